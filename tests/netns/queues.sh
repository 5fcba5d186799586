#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A NIC with two RX queues: a fast thread each, and flows that change their queue.
#
#       client                        server
#   10.0.0.1/24 c0 ═════ veth ═════ s0 10.0.0.2/24     two queues each way
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
need rpc_server rpc_client

link client c0 10.0.0.1/24  server s0 10.0.0.2/24  queues=2
attach server s0
accel server_pid server rpc_server --port 7000
wait_for listening server 7000

test_both_queues_carry_fast_flows() {
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --conns 64 --secs 1 --least 100
	mostly_fast server s0 99
	plain || is 2 "$(threads_of_daemon)" "threads that serve a queue"
	plain || is "true true" "$(each_thread '.segments_rx > 0 and .segments_tx > 0')" "it works"
}
# each_thread EXPRESSION - what jq makes of each fast thread's counters
each_thread() { in_ns server taspilot status --json | jq -r ".[0].threads[] | $1" | xargs; }
threads_of_daemon() { cat /proc/"$(daemon_pid s0)"/task/*/comm | grep -c fast; }

test_a_flow_that_changes_its_queue_goes_on() {
	local before
	count_from server s0
	before=$(plain || handed_over)
	start load client rpc_client --addr 10.0.0.2 --conns 32 --secs 600
	wait_for established 32
	in_ns client ethtool -L c0 tx 1
	in_ns client ethtool -L c0 tx 2
	in_ns client ethtool -L c0 tx 1
	plain || wait_for more_handed_over "$before"
	wait_for going_on $(($(snmp client InSegs) + 1000))
	kill "$load"
	wait "$load"
	mostly_fast server s0 99
}
going_on() { [ "$(snmp client InSegs)" -ge "$1" ]; }
# frames for another queue's thread
more_handed_over() { [ "$(handed_over)" -gt "$1" ]; }
handed_over() { in_ns server taspilot status --json | jq '[.[0].threads[].handed_over] | add'; }
established() { [ "$(in_ns server ss -Htn state established "sport = :7000" | wc -l)" -ge "$1" ]; }

run_tests
