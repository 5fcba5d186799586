#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What happens to connections when taspilot goes.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
need socat rpc_server

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
after_each() { detached server s0; }

test_a_connection_that_was_never_ours_survives() {
	local served
	attach server s0
	start served server socat TCP-LISTEN:7,reuseaddr,fork EXEC:cat
	wait_for listening server 7
	call 7
	say before
	detach server s0
	say after
	end_call
	stop "$served"
}

test_an_accelerated_connection_survives() {
	local served
	attach server s0
	accel served server socat TCP-LISTEN:8,reuseaddr PIPE
	wait_for listening server 8
	call 8
	say before; say "and again"
	detach server s0
	say after; say "and long after"
	end_call
	wait_for gone "$served"
}

# One is one, not "1 connections".
test_detach_says_what_lives_on() {
	plain && return
	local served
	attach server s0
	accel served server socat TCP-LISTEN:8,reuseaddr PIPE
	wait_for listening server 8
	call 8
	wait_for goes_fast
	detach server s0 2>&1 | tee "$TMPDIR/said"
	grep '^taspilot: s0: 1 connection lives on in Linux; .* its numbers and goes when it ends$' "$TMPDIR/said"
	end_call
	wait_for gone "$served"
}
goes_fast() { say something && in_ns server taspilot flows --json | jq -e '[.. | objects | .tx_bytes? // 0] | add > 0'; }

test_an_idle_accelerated_connection_without_a_byte_survives() {
	local served
	attach server s0
	accel served server socat TCP-LISTEN:8,reuseaddr PIPE
	wait_for listening server 8
	call 8
	wait_for accepted 8
	detach server s0
	say "first bytes"
	end_call
	wait_for gone "$served"
}
accepted() { [ -n "$(in_ns server ss -Htn state established "sport = :$1")" ]; }

test_new_connections_work_at_once_after_detach() {
	local served
	attach server s0
	accel served server rpc_server --addr 10.0.0.2
	wait_for listening server 7000
	in_ns client rpc_client --addr 10.0.0.2 --conns 4 --secs 1
	detach server s0
	in_ns client rpc_client --addr 10.0.0.2 --conns 4 --secs 1
	stop "$served"
}

test_a_program_goes_on_after_detach_and_attach() {
	plain && return
	local served
	attach server s0
	accel served server rpc_server --addr 10.0.0.2
	wait_for listening server 7000
	in_ns client rpc_client --addr 10.0.0.2 --conns 4 --secs 1
	wait_for no_flows server s0
	detach server s0
	attach server s0
	wait_for goes_fast_again
	stop "$served"
	detach server s0
}
# and not only on plain Linux
goes_fast_again() {
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --conns 4 --secs 1
	[ "$(segments_fast server s0)" -gt 0 ]
}

test_new_connections_work_at_once_after_kill() {
	local served
	attach server s0
	accel served server rpc_server --addr 10.0.0.2
	wait_for listening server 7000
	in_ns client rpc_client --addr 10.0.0.2 --conns 4 --secs 1
	plain || stop "$(daemon_pid s0)" KILL
	in_ns client rpc_client --addr 10.0.0.2 --conns 4 --secs 1
	detach server s0
	in_ns client rpc_client --addr 10.0.0.2 --conns 4 --secs 1
	stop "$served"
}

test_with_force_nothing_is_waited_for() {
	plain && return
	local served
	attach server s0
	accel served server socat TCP-LISTEN:8,reuseaddr PIPE
	wait_for listening server 8
	call 8
	say before
	detach server s0 --force
	[ ! -e /run/taspilot/s0 ]
	end_call
	wait_for gone "$served"
}

test_a_stopped_daemon_is_told_and_ended_by_force() {
	plain && return
	local pid rc=0
	attach server s0
	pid=$(daemon_pid s0)
	kill -STOP "$pid"
	detach server s0 2>"$TMPDIR/err" || rc=$?
	is 1 $rc
	grep 'does not answer' "$TMPDIR/err"
	detach server s0 --force
	wait_for gone "$pid"
	[ ! -e /run/taspilot/s0 ]
}

# Undoing waits for locks of the kernel that others hold too: there is no heartbeat meanwhile.
test_a_daemon_that_undoes_for_long_is_waited_for() {
	plain && return
	local tracer pid
	command -v strace >/dev/null || skip "strace is not installed"
	attach server s0
	pid=$(daemon_pid s0)
	start tracer server strace -p "$pid" -o /dev/null -e trace=unlink \
		-e inject=unlink:delay_enter=7000000:when=1 2>"$TMPDIR/strace"
	wait_for grep -q attached "$TMPDIR/strace"
	detach server s0
	wait_for gone "$pid"
	wait "$tracer"
	[ ! -e /run/taspilot/s0 ]
}

run_tests
