#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A driver that runs our XDP program no more: connections go on, and are fast again as soon as
# that is possible. No veth loses it by itself, so an administrator takes it away by force. What others lead past XDP.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
plain && skip "there is no XDP to be lost"
need socat talk bpftool jq

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0

after_each() { in_ns server ip link set s0 xdpgeneric off; }

verdict() { in_ns server taspilot status --json | jq ".[0].verdicts.$1"; }
take_xdp_away() { bpftool link detach pinned /sys/fs/bpf/taspilot/s0/xdp_link; }
xdp_is_ours() { in_ns server ip -d link show s0 | grep -q 'xdp .*tp_xdp'; }
# something arrives, and XDP has seen it
runs() { [ "$(tp_status server s0 xdp)" = true ]; }
heard() { in_ns client ping -c 1 -W 1 10.0.0.2 && runs; }

missed_and_set() { in_ns client ping -c 1 -W 1 10.0.0.2 && xdp_is_ours; }

test_it_is_set_anew_and_no_connection_is_lost() {
	talk_on 8001
	wait_for flows_are 1
	take_xdp_away
	say "nobody takes this"
	wait_for missed_and_set
	wait_for heard
	say "and this is fast"
	flows_are 1
	hang_up
	talk_on 8002
	wait_for flows_are 1
	hang_up
	nothing_left server s0
}

# Another program comes in the place of ours before the daemon notices.
others_are_quicker() {
	local obj pid
	obj=$(find /usr/lib -name xdp-dispatcher.o 2>/dev/null | head -n 1)
	[ -n "$obj" ] || skip "no XDP program at hand"
	pid=$(daemon_pid s0)
	: >/run/taspilot/s0/log
	kill -STOP "$pid"
	take_xdp_away
	in_ns server ip link set s0 xdpgeneric obj "$obj" sec xdp || { kill -CONT "$pid"; skip "it does not load"; }
	kill -CONT "$pid"
}

test_while_it_cannot_be_set_connections_are_linuxs() {
	talk_on 8003
	wait_for flows_are 1
	others_are_quicker
	say "somebody else sees this"
	wait_for said_and_flows_are_none
	say "Linux carries this"
	a_new_connection_is_linuxs
	in_ns server ip link set s0 xdpgeneric off
	wait_for heard
	say "still Linux"
	hang_up
	talk_on 8004
	wait_for flows_are 1
	hang_up
	nothing_left server s0
}
said_and_flows_are_none() { in_ns client ping -c 1 -W 1 10.0.0.2 && flows_are 0; }
a_new_connection_is_linuxs() {
	local pid
	start pid client talk listen=8005 accept recv=5 send=5 eof close
	wait_for listening client 8005
	accel_in server talk connect=10.0.0.1:8005 send=5 recv=5 shutwr eof close
	wait "$pid"
	in_ns server taspilot status --json | grep -q '"NO_XDP"' || { in_ns server taspilot status --json; return 1; }
}

# From the middle of a connection on, what the peer sends comes by m0, which redirects it to s0: as bpf_redirect_peer
# does into a container. XDP is heard all the while: it takes the ping.
test_what_is_redirected_past_xdp_reaches_the_fast_thread() {
	local mac pinger before
	mac=$(in_ns server ip -j link show s0 | jq -r '.[0].address')
	link client x0 10.0.9.1/24  server m0 10.0.9.2/24
	in_ns server ip link set m0 address "$mac"
	in_ns server tc qdisc add dev m0 clsact
	in_ns server tc filter add dev m0 ingress protocol all u32 match u32 0 0 action mirred ingress redirect dev s0 || skip "no mirred"
	sysctl_in client net.ipv4.conf.{all,c0}.rp_filter=0
	talk_on 8006
	wait_for flows_are 1
	start pinger client ping -q -i 0.1 -I c0 10.0.0.2
	in_ns client ip neigh replace 10.0.0.2 dev x0 lladdr "$mac"
	in_ns client ip route add 10.0.0.2 dev x0 src 10.0.0.1
	before=$(verdict tci_fast)
	say "this came past it"
	say "and this"
	at_least $((before + 2)) "$(verdict tci_fast)" "frames at tc ingress"
	runs
	flows_are 1
	in_ns client ip route del 10.0.0.2 dev x0
	say "this is fast again"
	stop "$pinger" INT
	in_ns client ip link del x0
	hang_up
	nothing_left server s0
}

# What Linux hears of its own multicast comes past XDP, and tells nothing of the driver.
test_our_own_multicast_is_not_the_wires() {
	local least until
	least=$(($(verdict tci_own) + 8))
	until=$(($(tp_status server s0 uptime_s) + 3))	# so many looks of the daemon's find some
	: >/run/taspilot/s0/log
	wait_for told_itself $least $until
	fails grep 'no more' /run/taspilot/s0/log
	xdp_is_ours
}
# FRAMES SECONDS - once more; is it enough?
told_itself() {
	echo hear | in_ns server socat - UDP4-DATAGRAM:239.1.1.1:5000,bind=:5000,ip-add-membership=239.1.1.1:10.0.0.2,ip-multicast-if=10.0.0.2
	[ "$(verdict tci_own)" -ge "$1" ] && [ "$(tp_status server s0 uptime_s)" -ge "$2" ]
}

# There XDP also takes off what is around all that the slow path says to Linux (door.h).
test_in_generic_mode_linux_is_told_all_the_same() {
	local there client
	detach server s0
	attach server s0 --mode skb
	export TALK_DIR=$TMPDIR
	accel there server talk listen=8007 mark=up accept recv=5 send=5 unread=5 mark=there await=linuxs recv=5 eof close
	start client client talk await=up connect=10.0.0.2:8007 send=5 recv=5 await=fast send=5 close
	wait_for flows_are 1
	echo 0 >"$TMPDIR/fast"
	wait_for [ -s "$TMPDIR/there" ]
	others_are_quicker
	wait_for said_and_flows_are_none
	echo 0 >"$TMPDIR/linuxs"
	wait "$there" "$client"
	in_ns server ip link set s0 xdpgeneric off
	nothing_left server s0
}

run_tests
