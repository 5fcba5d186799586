#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# socat: a process a connection, another program behind it, on either side of the wire.
. "$(dirname "$0")/lib.sh"
need socat sha256sum

cat_behind() { launch socat "TCP-LISTEN:7000,bind=$addr,reuseaddr,fork" EXEC:cat; serving 7000; }
through() { in_ns client socat -t 30 - "TCP:$addr:7000" <"$TMPDIR/www/large"; }
through_cat() { megabytes same "$TMPDIR/www/large" through; }
# all that the client sends is fast, whatever then becomes of the answer
test_a_file_goes_through_cat_and_comes_back() { row "socat, EXEC:cat" cat_behind through_cat 50 "after the peer's FIN by Linux"; }
open_through_cat() { megabytes there_and_back 7000; }
test_a_file_goes_through_cat_and_comes_back_before_the_end() { row "socat, EXEC:cat, the FIN last" cat_behind open_through_cat; }

# nofork: cat itself has the connection for stdin and stdout; its stdio is libc's own
nofork() { launch socat "TCP-LISTEN:7000,bind=$addr,reuseaddr,fork" EXEC:cat,nofork; serving 7000; }
test_a_program_has_the_connection_for_stdin_and_stdout() {
	row "socat, EXEC:cat,nofork (inetd style)" nofork through_cat 0 "stdin and stdout are Linux's"
}

sink() { beside socat -u "TCP-LISTEN:7001,bind=$peer,reuseaddr" "CREATE:$dir/got"; wait_for listening client 7001; }
send_file() {
	megabytes subject socat -u "OPEN:$TMPDIR/www/large" "TCP:$peer:7001" && wait_for gone "${procs[0]}" &&
		cmp "$TMPDIR/www/large" "$dir/got"
}
test_a_file_is_sent_by_an_accelerated_client() { row "socat, sending" sink send_file; }

source_() { beside socat -u "OPEN:$TMPDIR/www/large" "TCP-LISTEN:7002,bind=$peer,reuseaddr"; wait_for listening client 7002; }
receive() { megabytes same "$TMPDIR/www/large" subject socat -u "TCP:$peer:7002" -; }
test_a_file_is_received_by_an_accelerated_client() { row "socat, receiving" source_ receive; }

run_tests
