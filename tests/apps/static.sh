#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A program that no library can be preloaded into, statically linked with musl: it runs on plain
# Linux beside everything else.
. "$(dirname "$0")/lib.sh"
need musl-gcc
musl-gcc -static -O2 -D_GNU_SOURCE -idirafter /usr/include -idirafter "/usr/include/$(gcc -dumpmachine)" \
	-o "$TMPDIR/rpc_server" "$top/tests/bench/rpc_server.c" -lpthread -lm

serve() { launch "$TMPDIR/rpc_server" --addr "$addr" --port 7000; serving 7000; }
load() { echoes 7000; }
test_a_static_musl_binary() { row "a static musl binary" serve load linux "on Linux, as it must be"; }

run_tests
