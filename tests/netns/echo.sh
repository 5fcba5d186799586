#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# An echo server, accelerated: every byte comes back right, and nearly none of it by Linux.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0
accel server_pid server rpc_server --size 64
wait_for listening server 7000

test_one_connection_echoes_fast() {
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --conns 1 --secs 1
	mostly_fast server s0 99
}

run_tests
