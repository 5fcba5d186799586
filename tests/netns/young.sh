#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A listener whose connections are short leaves them to Linux, and claims those that live
# (user/shim/young.c).
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
need rpc_server rpc_client conn_rate

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0
accel server_pid server rpc_server
wait_for listening server 7000

short() { in_ns client conn_rate --addr 10.0.0.2 --echo --parallel 1 --count "$1"; }
setups() { plain && echo 0 || tp_status server s0 setups; }

test_short_connections_are_linuxs_once_they_are_known() {
	local before
	short 40
	before=$(setups)
	short 100
	is "$before" "$(setups)" "connections claimed"
}

# the client has always that many requests on the way, so the server's answers are hardly ever all
# acknowledged when it writes the next
living() {
	local before
	short 40
	before=$(setups)
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --conns 8 --depth "$1" --secs 1 --least $((1000 + 20 * $1))
	mostly_fast server s0
	plain || is $((before + 8)) "$(setups)" "connections claimed"
}
test_one_that_lives_is_claimed_all_the_same() { living 1; }
test_so_is_one_with_many_requests_on_the_way() { living 16; }
test_and_one_that_is_never_quiet() { living 1000; }

# The server sleeps until all of them have been closed, so each claim is refused
test_connections_that_are_over_before_they_are_accepted_are_short_too() {
	local pid before
	accel pid server rpc_server --port 7001
	wait_for listening server 7001
	kill -STOP "$pid"
	in_ns client conn_rate --addr 10.0.0.2 --port 7001 --parallel 1 --count 40
	before=$(setups)
	kill -CONT "$pid"
	in_ns client conn_rate --addr 10.0.0.2 --port 7001 --echo --parallel 1 --count 20
	is "$before" "$(setups)" "connections claimed"
	stop "$pid"
}

test_nothing_is_left() { nothing_left server s0; }

run_tests
