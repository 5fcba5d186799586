#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Who has an accelerated connection and reads it past the shim gets every byte, through Linux.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
#
# The client sends a pattern and compares the echo (tests/helpers/bulk.c); who echoes is not,
# or no longer, a program under `taspilot run` (tests/helpers/stranger.c).
. "$(dirname "$0")/lib.sh"
need bulk stranger jq

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
after_each() { detached server s0; }

# noticed REASON - or this kernel has no hook for it
noticed() {
	local what=strangers
	[ "$1" != IO_URING ] || what=io_uring
	plain || [ "$(in_ns server taspilot status --json | jq ".[0].$what")" = true ] ||
		skip "this kernel does not tell who uses a socket"
}
handed_back() { in_ns server taspilot status --json | jq -r '.[0].handed_back | keys | join(" ")'; }

# through REASON PORT ACCEPTS... - and what the client sends comes back whole
through() {
	local client server reason=$1 port=$2
	attach server s0
	noticed "$reason"
	accel server server stranger accept="$port" "$3"
	wait_for listening server "$port"
	start client client bulk connect=10.0.0.2:"$port" send=5M recv
	[ $# -lt 4 ] || "${@:4}"
	wait "$client"
	plain || is "$reason" "$(handed_back)"
	kill "$server" 2>/dev/null || true
}
taken() { wait_for test -S "$TMPDIR/pass"; in_ns server stranger take="$TMPDIR/pass" "$1"; }
stolen() { wait_for test -s "$TMPDIR/hold"; in_ns server stranger steal="$TMPDIR/hold" "$1"; }

test_a_program_that_became_another_by_exec() { through STRANGER 7001 exec=read; }
test_the_same_waiting_in_epoll() { through STRANGER 7002 exec=epoll; }
test_who_got_the_fd_in_a_message() { through STRANGER 7003 pass="$TMPDIR/pass" taken read; }
test_the_same_by_epoll() { rm -f "$TMPDIR/pass"; through STRANGER 7004 pass="$TMPDIR/pass" taken epoll; }
test_who_took_the_fd_from_the_process() { through STRANGER 7005 hold="$TMPDIR/hold" stolen read; }
test_raw_system_calls_of_the_program_itself() { through STRANGER 7006 raw; }
test_a_program_that_makes_an_io_uring() { through IO_URING 7007 uring; }

# Linux before 6.9 in a container, by its name (traced.h).
test_in_a_container_on_an_old_kernel_an_io_uring_still_shows() {
	local status
	plain && skip "nothing to attach"
	attach server s0
	noticed IO_URING
	detach server s0
	in_ns server setarch --uname-2.6 taspilot attach s0
	status=$(in_ns server taspilot status --json)
	grep 'deadlock' /run/taspilot/s0/log
	is "false true" "$(jq -r '.[0] | "\(.strangers) \(.io_uring)"' <<<"$status")"
}

test_a_program_that_uses_the_shim_is_no_stranger() {
	local server
	attach server s0
	noticed STRANGER
	accel server server bulk listen=7008 "send=5M" recv
	wait_for listening server 7008
	in_ns client bulk connect=10.0.0.2:7008 send=5M recv
	wait "$server"
	plain || is "" "$(handed_back)"
}

run_tests
