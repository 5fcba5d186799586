#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Across a bad wire with every kind of peer: with and without SACK, timestamps, window scaling
# and ECN, with tiny segments and windows; and with every congestion control of Linux's.
#
#       client                     wire                     server
#   10.0.0.1/24 c0 ── veth ── w0  wire  w1 ── veth ── s0 10.0.0.2/24
#                                                     taspilot attached here
. "$(dirname "$0")/lib.sh"
. "$top/tests/wire/lab.sh"
need wire bulk jq sha256sum

wired
attach server s0
sysctl_in server net.ipv4.tcp_ecn=1
file=$(file_of 300000)

# both_ways WIRE-OPTIONS... - the file up and down
both_ways() {
	lay --rtt 4 --rate 100M --queue 64K --seed 3 "$@"
	carry up "$file"
	carry down "$file"
	lift
}

# peer SACK TIMESTAMPS WINDOW-SCALING - each 0 or 1; with and without ECN
peer() {
	local ecn
	for ecn in 0 1; do
		sysctl_in client net.ipv4.tcp_sack="$1" net.ipv4.tcp_timestamps="$2" \
			net.ipv4.tcp_window_scaling="$3" net.ipv4.tcp_ecn=$ecn
		both_ways --drop 1% --reorder 1% --reorder-by 1-3 --mark 1%
	done
	sysctl_in client net.ipv4.tcp_sack=1 net.ipv4.tcp_timestamps=1 \
		net.ipv4.tcp_window_scaling=1 net.ipv4.tcp_ecn=2
}

test_a_peer_with_all_options() { peer 1 1 1; }
test_a_peer_without_window_scaling() { peer 1 1 0; }
test_a_peer_without_timestamps() { peer 1 0 1; }
test_a_peer_with_sack_only() { peer 1 0 0; }
test_a_peer_without_sack() { peer 0 1 1; }
test_a_peer_with_timestamps_only() { peer 0 1 0; }
test_a_peer_with_window_scaling_only() { peer 0 0 1; }
test_a_peer_without_any_option() { peer 0 0 0; }

# route_of NS IF ADDRESS SETTINGS... - of the link's network
route_of() { in_ns "$1" ip route change 10.0.0.0/24 dev "$2" src "$3" "${@:4}"; }

test_a_peer_with_tiny_segments() {
	local mss
	for mss in 88 536; do
		route_of client c0 10.0.0.1 advmss $mss
		both_ways --drop 0.5%
	done
	route_of client c0 10.0.0.1
}

test_a_peer_with_a_tiny_window() {
	sysctl_in client net.ipv4.tcp_rmem="4096 4096 4096"
	both_ways --drop 0.5%
	sysctl_in client net.ipv4.tcp_rmem="4096 131072 6291456"
}

# under CC - which this kernel may lack
under() {
	grep -qw "$1" /proc/sys/net/ipv4/tcp_available_congestion_control || return 0
	route_of server s0 10.0.0.2 congctl "$1"
	both_ways --drop 1% --reorder 1% --duplicate 1% --mark 1%
	route_of server s0 10.0.0.2
}
test_reno() { under reno; }
test_cubic() { under cubic; }
test_bbr() { under bbr; }
test_dctcp() { under dctcp; }

test_it_was_fast() {
	plain && return
	at_least 10000 "$(tp_status server s0 segments_fast_rx)" "segments that went fast"
}

run_tests
