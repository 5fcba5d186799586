#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Java: a Selector (epoll), and a thread a connection.
. "$(dirname "$0")/lib.sh"
need java javac socat
javac -d "$TMPDIR" "$here/Echo.java"

echo_server() { launch java -Xmx64m -XX:TieredStopAtLevel=1 -cp "$TMPDIR" Echo "$1" "$addr"; serving 7000; }
nio() { echo_server nio; }
classic() { echo_server classic; }
load() { echoes_large 7000; }
test_nio() { row "Java, NIO" nio load; }
test_classic_sockets() { row "Java, classic sockets" classic load; }

run_tests
