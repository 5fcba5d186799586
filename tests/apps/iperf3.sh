#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# iperf3: bulk in both directions, one stream and four, on either side; and beside it what is
# not accelerated.
. "$(dirname "$0")/lib.sh"
need iperf3 jq ping

server() { launch iperf3 -s -B "$addr"; serving 5201; }
plain_server() { beside iperf3 -s -B "$peer" -p 5202; wait_for listening client 5202; }
# bulk FROM CMD... - something arrived, at a rate
bulk() {
	"$@" -t "$secs" -J >"$dir/iperf" || { cat "$dir/iperf"; return 1; }
	at_least 10000000 "$(jq '.end.sum_received.bytes' "$dir/iperf")" "bytes received" || return 1
	unit=MB/s rate=$(jq '.end.sum_received.bits_per_second / 8e6' "$dir/iperf")
}
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

# plainly PORT [OPTION...] - an iperf3 past taspilot; what it says is in $dir/PORT. It has a server of
# its own: one that has just served somebody is for a moment busy with that, or not listening.
plainly() {
	start other server iperf3 -s -1 -p "$1" >"$dir/server.$1" 2>&1
	wait_for listening server "$1"
	in_ns client timeout 60 iperf3 -c "$addr" -p "$1" -J "${@:2}" >"$dir/$1" || true
	stop "$other"
}
# received PORT LEAST WHAT - by that server
received() { at_least "$2" "$(jq .end.sum_received.bytes "$dir/$1")" "$3" || { cat "$dir"/{,server.}"$1"; return 1; }; }

test_ping_udp_and_plain_tcp_work_meanwhile() {
	local load
	on taspilot
	server
	count_from server s0
	start load client iperf3 -c "$addr" -t 600 -P 4 >"$dir/load" 2>&1
	wait_for many_fast
	in_ns client ping -q -c 5 -i 0.2 -W 30 "$addr"
	plainly 5203 -u -b 20M -n 2M
	plainly 5204 -n 4M
	received 5203 100000 "bytes by UDP"
	received 5204 1000000 "bytes by plain TCP"
	not gone "$load" || { cat "$dir"/{load,log}; return 1; }
	stop "$load"
	finish
}
many_fast() { plain || [ "$(segments_fast server s0)" -ge 1000 ]; }

run_tests
