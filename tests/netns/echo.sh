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
	in_ns client rpc_client --addr 10.0.0.2 --conns 1 --secs 1 --least 1000
	mostly_fast server s0 99
}

# calls_a_message - of a server with 64 busy connections: all that strace counts but 16 calls for
# the set-up of each
calls_a_message() {
	local tracer load calls messages
	command -v strace >/dev/null || skip "strace is not installed"
	start tracer server strace -f -c -U calls,name -o "$TMPDIR/calls" -p "$server_pid" 2>"$TMPDIR/strace"
	wait_for grep -q attached "$TMPDIR/strace"
	start load client rpc_client --addr 10.0.0.2 --conns 64 --depth 4 --warmup 0 --secs 600 --json >"$TMPDIR/load"
	wait_for_segments client 4000
	kill "$load"
	wait "$load"
	messages=$(jq .requests "$TMPDIR/load")
	stop "$tracer" INT
	calls=$(awk '$2 == "total" { print $1 }' "$TMPDIR/calls")
	cat "$TMPDIR/calls"
	echo "$calls calls, $messages messages"
	per=$(awk "BEGIN { print ($calls - 64 * 16) / $messages }")
}
# Beside other loads a fast thread rightly sleeps more, and is woken by more calls. What takes a call a message
# takes one each time.
test_a_busy_server_makes_no_system_call_a_message() {
	local per
	for _ in 1 2 3 4 5; do
		calls_a_message
		! plain || return 0
		at_most 0.1 "$per" "system calls a message" && return
	done
	return 1
}

run_tests
