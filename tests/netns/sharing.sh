#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs share: a port, a listening socket, a connection.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
need rpc_server rpc_client conn_rate socat

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0

# accepted PID - connections that this process has taken; each has a socket of its own
accepted() { in_ns server ss -Htnp state established | grep -c "pid=$1,"; }

test_a_port_shared_with_a_program_that_is_not_accelerated() {
	start plain_pid server rpc_server --port 7000 --reuseport
	accel fast_pid server rpc_server --port 7000 --reuseport
	wait_for both_listen
	start load client rpc_client --addr 10.0.0.2 --port 7000 --conns 64 --secs 600
	wait_for all_accepted 64
	at_least 10 "$(accepted "$plain_pid")" "connections of the plain program"
	at_least 10 "$(accepted "$fast_pid")" "connections of the accelerated program"
	kill "$load"
	wait "$load"
	in_ns client conn_rate --addr 10.0.0.2 --port 7000 --parallel 8 --count 500 --echo
	stop "$plain_pid"
	in_ns client conn_rate --addr 10.0.0.2 --port 7000 --parallel 8 --count 100 --echo
	stop "$fast_pid"
}
both_listen() { [ "$(in_ns server ss -Hltn "sport = :7000" | wc -l)" = 2 ]; }
all_accepted() { [ $(($(accepted "$plain_pid") + $(accepted "$fast_pid"))) = "$1" ]; }

test_a_process_for_each_connection() {
	accel server_pid server rpc_server --port 7001 --model forks
	wait_for listening server 7001
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --port 7001 --conns 8 --secs 1 --least 100
	mostly_fast server s0
	in_ns client conn_rate --addr 10.0.0.2 --port 7001 --parallel 4 --count 200 --echo
	stop "$server_pid"
}
test_a_thread_for_each_connection() {
	accel server_pid server rpc_server --port 7002 --model threads
	wait_for listening server 7002
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --port 7002 --conns 8 --secs 1 --least 100
	mostly_fast server s0
	stop "$server_pid"
}
test_a_program_that_accepts_and_then_executes_another() {
	accel server_pid server socat TCP-LISTEN:7003,reuseaddr,fork EXEC:cat
	wait_for listening server 7003
	for i in 1 2 3; do
		is "hello $i" "$(echo "hello $i" | in_ns client socat -t 20 - TCP:10.0.0.2:7003)"
	done
	stop "$server_pid"
}
test_a_program_that_gives_the_socket_to_another_as_stdin() {
	accel server_pid server socat TCP-LISTEN:7004,reuseaddr,fork EXEC:cat,nofork
	wait_for listening server 7004
	for i in 1 2 3; do
		is "hello $i" "$(echo "hello $i" | in_ns client socat -t 20 - TCP:10.0.0.2:7004)"
	done
	stop "$server_pid"
}
test_an_accelerated_client() {
	start server_pid client rpc_server --port 7005
	wait_for listening client 7005
	count_from server s0
	accel_in server rpc_client --addr 10.0.0.1 --port 7005 --conns 8 --secs 1 --least 100
	mostly_fast server s0
	stop "$server_pid"
}
test_nothing_is_left() {
	nothing_left server s0
}

run_tests
