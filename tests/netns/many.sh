#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Many connections: at once, and one after the other. None is lost and nothing is left.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
#
#   SHORT=20000    short connections of each kind (100000 to be thorough)
. "$(dirname "$0")/lib.sh"
need rpc_server rpc_client conn_rate
short=${SHORT:-20000}

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
sysctl_in client net.ipv4.ip_local_port_range="1024 65535" net.ipv4.tcp_tw_reuse=1
sysctl_in server net.ipv4.tcp_max_tw_buckets=1000 net.core.somaxconn=4096 net.ipv4.tcp_max_syn_backlog=4096
attach server s0
accel server_pid server rpc_server --port 7000
accel ending_pid server rpc_server --port 7001 --answers 1
wait_for listening server 7000
wait_for listening server 7001

# holds WHAT - how many bytes taspilotd has allocated, or how many descriptors or mappings it has.
# Not its resident memory: that is as large as it once was, so it would measure the rate.
holds() {
	case $1 in
	bytes) tp_status server s0 allocated ;;
	descriptors) find "/proc/$(daemon_pid s0)/fd" -mindepth 1 | wc -l ;;
	mappings) wc -l <"/proc/$(daemon_pid s0)/maps" ;;
	esac
}

test_ten_thousand_connections_at_once_all_answer() {
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --conns 10000 --secs 3
	mostly_fast server s0 80	# the handshakes are Linux's, and they are many here
	nothing_left server s0
}

# payload_kib - of the memory that the server and taspilotd share
payload_kib() {
	cat "/proc/$server_pid/smaps_rollup" "/proc/$(daemon_pid s0)/smaps_rollup" |
		awk '/^Pss_Shmem:/ { n += $2 } END { print n }'
}
payload_below() { [ "$(payload_kib)" -lt "$1" ]; }
held() { [ -s "$TMPDIR/held" ]; }
test_idle_connections_hold_no_payload_page() {
	local clients before
	plain || before=$(payload_kib)
	start clients client rpc_client --addr 10.0.0.2 --conns 4000 --secs 1 --json --hold >"$TMPDIR/held"
	wait_for held
	plain || wait_for payload_below $((before + 4000))	# a page each would be 32000
	stop "$clients" KILL
	nothing_left server s0
	plain || wait_for payload_below $((before + 4000))
}
test_connections_that_were_idle_for_long_answer_right() {
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --conns 1000 --rate 300 --secs 9
	mostly_fast server s0 80
	nothing_left server s0
}

# closing OPTIONS... - many connections that end in this way; the daemon does not grow. What it
# holds may differ by what malloc keeps at hand, not by a byte for each connection.
closing() {
	local what before=
	in_ns client conn_rate --addr 10.0.0.2 --parallel 16 --count 2000 "$@"
	nothing_left server s0
	plain || for what in bytes descriptors mappings; do before+=" $(holds $what)"; done
	in_ns client conn_rate --addr 10.0.0.2 --parallel 16 --count "$short" "$@"
	nothing_left server s0
	plain && return
	set -- $before
	at_most $(($1 + 16384)) "$(holds bytes)" "bytes that taspilotd holds"
	at_most $(($2 + 2)) "$(holds descriptors)" "its descriptors"
	at_most $(($3 + 8)) "$(holds mappings)" "its mappings"
}
test_short_connections_leave_nothing() { closing --echo; }
test_connections_without_data_leave_nothing() { closing; }
test_connections_that_are_reset_leave_nothing() { closing --echo --reset; }
test_connections_closed_in_halves_leave_nothing() { closing --echo --half; }
test_connections_that_the_server_ends_leave_nothing() { closing --port 7001 --echo --last; }

run_tests
