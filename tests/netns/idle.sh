#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# With nothing to do, taspilot does nothing.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
need rpc_server talk

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0
accel server_pid server rpc_server --port 7000
wait_for listening server 7000

# ticks PID - of CPU that it has used, 100 a second
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
established() { [ "$(in_ns server ss -Htn state established "sport = :7000" | wc -l)" -ge "$1" ]; }

# The five seconds are the measurement, not a wait for something.
test_a_hundred_idle_connections_cost_no_cpu() {
	local daemon=$server_pid d s
	export TALK_DIR=$TMPDIR
	start clients client talk $(printf 'connect=10.0.0.2:7000 send=64 recv=64 %.0s' {1..100}) await=never
	wait_for established 100
	plain || daemon=$(daemon_pid s0)
	d=$(ticks "$daemon") s=$(ticks "$server_pid")
	sleep 5
	at_most 10 $(($(ticks "$daemon") - d)) "ticks of taspilotd in 5 s"
	at_most 10 $(($(ticks "$server_pid") - s)) "ticks of the server in 5 s"
	stop "$clients"
}

run_tests
