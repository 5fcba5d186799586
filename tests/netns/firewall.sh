#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Linux decides who may connect: firewall, NAT and backlog do what they do without taspilot.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24, 10.0.0.9/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
need talk nft rpc_server conn_rate

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
ip -n server addr add 10.0.0.9/24 dev s0
sysctl_in client net.ipv4.tcp_syn_retries=1
attach server s0

after_each() { in_ns server nft flush ruleset; }

# nft_rule RULE... - in a chain of its own on the way in; skip if this kernel cannot
nft_rule() {
	in_ns server nft "table ip t { chain c { type filter hook input priority 0; $1; }; }" ||
		skip "this kernel's nftables cannot do '$1'"
}
nft_nat() {
	in_ns server nft "table ip n { chain c { type nat hook prerouting priority -100; $1; }; }" ||
		skip "this kernel's nftables cannot do '$1'"
}

test_a_rule_that_drops_the_port() {
	nft_rule 'iifname "s0" tcp dport 7000-60000 drop'
	as_on_linux "await=tried" "connect mark=tried"
	is "connect=10.0.0.2: ETIMEDOUT" "$(head -n 1 "$TMPDIR/taspilot/client")"
}
test_a_rule_that_resets_the_port() {
	nft_rule 'iifname "s0" tcp dport 7000-60000 reject with tcp reset'
	as_on_linux "await=tried" "connect mark=tried"
	is "connect=10.0.0.2: ECONNREFUSED" "$(head -n 1 "$TMPDIR/taspilot/client")"
}
test_a_rule_that_rejects_the_port() {
	nft_rule 'iifname "s0" tcp dport 7000-60000 reject'
	as_on_linux "await=tried" "connect mark=tried"
	is "connect=10.0.0.2: ECONNREFUSED" "$(head -n 1 "$TMPDIR/taspilot/client")"
}
test_a_rule_on_the_nics_ingress_that_drops_the_port() {
	in_ns server nft 'table netdev t { chain c { type filter hook ingress device s0 priority 0;
		tcp dport 7000-60000 drop; }; }' || skip "this kernel has no ingress hook"
	as_on_linux "await=tried" "connect mark=tried"
	is "connect=10.0.0.2: ETIMEDOUT" "$(head -n 1 "$TMPDIR/taspilot/client")"
}
test_a_rule_that_drops_the_answer() {
	in_ns server nft 'table ip t { chain c { type filter hook output priority 0;
		tcp sport 7000-60000 drop; }; }' || skip "this kernel has no output hook"
	as_on_linux "await=tried" "connect mark=tried"
	is "connect=10.0.0.2: ETIMEDOUT" "$(head -n 1 "$TMPDIR/taspilot/client")"
}
test_a_port_that_nobody_listens_on() {
	export TALK_DIR=$TMPDIR
	is "connect=10.0.0.2:6999: ECONNREFUSED" "$(in_ns client talk connect=10.0.0.2:6999)"
}
# Several queues may take the last SYN before the ACKs that fill the backlog: it waits for these.
backlog_is_full() { in_ns server ss -Hltn | awk '$2 > $3 { full = 1 } END { exit !full }'; }
say_when_full() {
	local kind
	for kind in linux taspilot; do
		wait_for test -e "$TMPDIR/$kind/tried"
		wait_for backlog_is_full
		echo 1 >"$TMPDIR/$kind/full.new"
		mv "$TMPDIR/$kind"/full{.new,}
	done
}
test_a_backlog_that_overflows() {
	local many
	rm -rf "$TMPDIR"/{linux,taspilot}
	say_when_full &
	many=$(printf 'connect %.0s' {1..17})
	as_on_linux "await=over" "$many mark=tried await=full connect mark=over"
	is "ok ETIMEDOUT" "$(sed -n 's/^connect.*: //p' "$TMPDIR/taspilot/client" | uniq | xargs)"
}

# A server under taspilot on 7000, reached by another name.
reached_by() {
	accel server_pid server rpc_server --port 7000
	wait_for listening server 7000
	in_ns client conn_rate --addr "$1" --port "$2" --count 20 --echo
	in_ns client conn_rate --addr 10.0.0.2 --port 7000 --count 20 --echo
	stop "$server_pid"
}
test_a_port_redirected_to_ours() {
	nft_nat 'tcp dport 7100 redirect to :7000'
	reached_by 10.0.0.2 7100
}
test_an_address_translated_to_ours() {
	nft_nat 'ip daddr 10.0.0.9 tcp dport 7101 dnat to 10.0.0.2:7000'
	reached_by 10.0.0.9 7101
}
test_connection_tracking_on_the_nic() {
	nft_rule 'ct state invalid drop; ct state established,related accept; tcp dport 7000-60000 ct state new accept; tcp dport 7000-60000 drop'
	as_on_linux "accept recv=5 send=100000 eof close" "connect send=5 recv=100000 close"
	as_on_linux "accept recv=5 send=5 close" "connect send=5 eof close"
}
test_nothing_is_left() {
	nothing_left server s0
}

run_tests
