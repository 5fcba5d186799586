#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# socat: a process a connection, another program behind it, on either side of the wire.
. "$(dirname "$0")/lib.sh"
need socat sha256sum

head -c 5000000 /dev/urandom >"$TMPDIR/file"

test_a_file_goes_through_cat_and_comes_back() {
	accel server_pid server socat TCP-LISTEN:7000,reuseaddr,fork EXEC:cat
	wait_for listening server 7000
	is "$(sha256sum <"$TMPDIR/file")" \
		"$(in_ns client socat -t 30 - TCP:10.0.0.2:7000 <"$TMPDIR/file" | sha256sum)"
	stop "$server_pid"
}
test_a_file_is_sent_by_an_accelerated_client() {
	start server_pid client socat -u TCP-LISTEN:7001,reuseaddr "CREATE:$TMPDIR/got"
	wait_for listening client 7001
	accel_in server socat -u "OPEN:$TMPDIR/file" TCP:10.0.0.1:7001
	wait_for gone "$server_pid"
	is "$(sha256sum <"$TMPDIR/file")" "$(sha256sum <"$TMPDIR/got")"
}
test_a_file_is_received_by_an_accelerated_client() {
	start server_pid client socat -u "OPEN:$TMPDIR/file" TCP-LISTEN:7002,reuseaddr
	wait_for listening client 7002
	is "$(sha256sum <"$TMPDIR/file")" "$(accel_in server socat -u TCP:10.0.0.1:7002 - | sha256sum)"
}
test_nothing_is_left() {
	nothing_left server s0
}

run_tests
