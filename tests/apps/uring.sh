#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A server of liburing's. Its requests pass by libc and show in no system call: it lives on
# plain Linux, and that it does is noticed by its making an io_uring.
. "$(dirname "$0")/lib.sh"
[ -e /usr/include/liburing.h ] || skip "liburing-dev is not installed"
[ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0)" = 0 ] || skip "this machine has no io_uring"
gcc -O2 -o "$TMPDIR/uring_echo" "$here/uring_echo.c" -luring

noticed() { plain || [ "$(in_ns server taspilot status --json | jq '.[0].io_uring')" = true ]; }
serve() { launch "$TMPDIR/uring_echo" "$addr" 7000; serving 7000; }
load() { echoes_large 7000; }
test_a_server_of_liburing() {
	noticed || skip "this kernel does not tell who makes an io_uring"
	row "a server of liburing" serve load linux "on Linux, as it must be"
}

run_tests
