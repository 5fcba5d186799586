#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# iperf3: bulk in both directions, one stream and four, on either side; and beside it what is
# not accelerated.
. "$(dirname "$0")/lib.sh"
need iperf3 jq ping

iperf() { in_ns client timeout 60 iperf3 -c 10.0.0.2 -t 2 -J "$@"; }
moved() { jq '.end.sum_received.bytes' "$TMPDIR/iperf"; }

accel iperf_pid server iperf3 -s >"$TMPDIR/server.log"
wait_for listening server 5201

# bulk OPTIONS... - something arrived, at a rate, and fast
bulk() {
	count_from server s0
	iperf "$@" >"$TMPDIR/iperf"
	at_least 10000000 "$(moved)" "bytes received"
	mostly_fast server s0
}
test_one_stream_to_the_server() { bulk; }
test_one_stream_from_the_server() { bulk -R; }
test_four_streams_to_the_server() { bulk -P 4; }
test_four_streams_from_the_server() { bulk -P 4 -R; }
test_both_directions_at_once() { bulk --bidir; }

test_an_accelerated_client_sends_and_receives() {
	start plain_pid client iperf3 -s -p 5202 >"$TMPDIR/server.log"
	wait_for listening client 5202
	for way in "" -R; do
		count_from server s0
		# shellcheck disable=SC2086
		accel_in server timeout 60 iperf3 -c 10.0.0.1 -p 5202 -t 2 -J $way >"$TMPDIR/iperf"
		at_least 10000000 "$(moved)" "bytes received"
		mostly_fast server s0
	done
	stop "$plain_pid"
}
test_ping_udp_and_plain_tcp_work_meanwhile() {
	start other server iperf3 -s -p 5203 >"$TMPDIR/server.log"
	wait_for listening server 5203
	iperf -P 4 >"$TMPDIR/iperf" &
	local load=$!
	in_ns client ping -q -c 5 -i 0.2 -W 5 10.0.0.2
	in_ns client timeout 60 iperf3 -c 10.0.0.2 -p 5203 -u -b 20M -t 1 -J >"$TMPDIR/udp"
	in_ns client timeout 60 iperf3 -c 10.0.0.2 -p 5203 -t 1 -J >"$TMPDIR/tcp"
	wait "$load"
	at_least 1000000 "$(jq '.end.sum.bytes' "$TMPDIR/udp")" "bytes by UDP"
	at_least 1000000 "$(jq '.end.sum_received.bytes' "$TMPDIR/tcp")" "bytes by plain TCP"
	stop "$other"
}
test_nothing_is_left() {
	stop "$iperf_pid"
	nothing_left server s0
}

run_tests
