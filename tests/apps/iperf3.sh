#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# iperf3: bulk in both directions, one stream and four, on either side; and beside it what is
# not accelerated.
. "$(dirname "$0")/lib.sh"
need iperf3 jq ping socat

server() { launch iperf3 -s --forceflush -B "$addr"; serving 5201; }
plain_server() { beside iperf3 -s --forceflush -B "$peer" -p 5202; wait_for listening client 5202; }
# bulk FROM CMD... - something arrived, at a rate; in more time, where the machine stood still
bulk() {
	local t n=1
	for ((t = secs; t <= 32 * secs; t *= 2, n++)); do
		wait_for ready_again "$n"
		"$@" -t "$t" -J >"$dir/iperf" || { cat "$dir/iperf"; return 1; }
		received iperf 10000000 && break
	done
	received iperf 10000000 || { cat "$dir/iperf"; return 1; }
	unit=MB/s rate=$(jq '.end.sum_received.bits_per_second / 8e6' "$dir/iperf")
}
# ready_again N - the server awaits its Nth client
ready_again() { [ "$(grep -c '^Server listening' "$dir/log")" -ge "$1" ]; }
# received FILE LEAST - by the server, as iperf3's words in $dir/FILE have it
received() { at_least "$2" "$(jq .end.sum_received.bytes "$dir/$1")" "bytes received"; }
to_server() { bulk in_ns client timeout 60 iperf3 -c "$addr" "$@"; }
from_server() { to_server -R; }
four_to_server() { to_server -P 4; }
four_from_server() { to_server -P 4 -R; }
both_ways() { to_server --bidir; }
to_client() { bulk subject timeout 60 iperf3 -c "$peer" -p 5202; }
from_client() { bulk subject timeout 60 iperf3 -c "$peer" -p 5202 -R; }

test_one_stream_to_the_server() { row "iperf3 -s, receiving" server to_server; }
test_one_stream_from_the_server() { row "iperf3 -s, sending" server from_server; }
test_four_streams_to_the_server() { row "iperf3 -s, receiving 4 streams" server four_to_server; }
test_four_streams_from_the_server() { row "iperf3 -s, sending 4 streams" server four_from_server; }
test_both_directions_at_once() { row "iperf3 -s, both ways" server both_ways; }
test_an_accelerated_client_sends() { row "iperf3 -c, sending" plain_server to_client; }
test_an_accelerated_client_receives() { row "iperf3 -c, receiving" plain_server from_client; }

# Past taspilot, beside what goes fast. How many of its datagrams a busy iperf3 has read when the client
# has sent the last is a matter of luck (and so it is of its bytes by TCP): that it is some of them is
# tried again, and what is compared whole goes by socat. A server each time: one that has just
# served somebody is for a moment busy with that, or not listening.
udp() {
	local other rc=0
	start other server iperf3 -s -1 -p 5203 >"$dir/udp.server" 2>&1
	wait_for listening server 5203
	in_ns client timeout 60 iperf3 -c "$addr" -p 5203 -J -u -b 20M -n 2M >"$dir/udp" || rc=$?
	stop "$other"
	[ $rc = 0 ] && at_least 2000000 "$(jq .end.sum_sent.bytes "$dir/udp")" "bytes sent" && received udp 100000
}
plain_tcp() {
	local other
	start other server socat -u TCP-LISTEN:5204,reuseaddr "CREATE:$dir/got"
	wait_for listening server 5204
	in_ns client timeout 60 socat -u "OPEN:$TMPDIR/www/large" "TCP:$addr:5204"
	wait "$other"
	same "$TMPDIR/www/large" cat "$dir/got"
}

test_ping_udp_and_plain_tcp_work_meanwhile() {
	local load
	on taspilot
	server
	count_from server s0
	start load client iperf3 -c "$addr" -t 600 -P 4 >"$dir/load" 2>&1
	wait_for many_fast
	in_ns client ping -q -c 5 -i 0.2 -W 30 "$addr"
	wait_for udp || { cat "$dir"/udp{,.server}; return 1; }
	plain_tcp
	not gone "$load" || { cat "$dir"/{load,log}; return 1; }
	stop "$load"
	finish
}
many_fast() { plain || [ "$(segments_fast server s0)" -ge 1000 ]; }

run_tests
