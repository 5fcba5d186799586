#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Traffic that is not ours is Linux's as ever: while the daemon runs, is stopped, and is dead;
# with devices of all kinds on top of the NIC, a firewall and connection tracking.
#
#       client                                      server
#   10.0.0.1/24 c0 ─────────────── veth ─────────── s0 10.0.0.2/24     taspilot attached here
#   10.0.1.1/24 c0.5 ───────────── VLAN ─────────── s0.5 10.0.1.2/24
#                                                    mv0 10.0.0.3/24   macvlan on s0, in "guest"
#   10.0.2.1/24 b1 ──── veth ──── b2 (bridge br0 10.0.2.2/24)          taspilot on b2, at times
. "$(dirname "$0")/lib.sh"
need socat ping conntrack nft rpc_server

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
new_ns guest

# What this kernel has of devices that sit on a NIC.
macvlan=10.0.0.3 vlan=10.0.1.2
if ip -n server link add mv0 link s0 type macvlan mode bridge 2>/dev/null; then
	ip -n server link set mv0 netns guest
	ip -n guest addr add 10.0.0.3/24 dev mv0
	ip -n guest link set mv0 up
else
	echo "# no macvlan in this kernel"; macvlan=
fi
for side in client:c0:1 server:s0:2; do
	IFS=: read -r ns dev n <<<"$side"
	ip -n $ns link add link $dev name $dev.5 type vlan id 5 2>/dev/null ||
		{ echo "# no VLANs in this kernel"; vlan=; break; }
	ip -n $ns addr add 10.0.1.$n/24 dev $dev.5
	ip -n $ns link set $dev.5 up
done

# A plain service everywhere, and one that is registered, on any address.
serve() { # NS PORT
	local pid
	start pid "$1" socat TCP-LISTEN:"$2",reuseaddr,fork EXEC:cat
	wait_for listening "$1" "$2"
}
serve server 7; serve guest 7
start udp server socat UDP4-RECVFROM:9,reuseaddr,fork EXEC:cat

after_each() { detached server s0; }

# Each way to be reached, once. What a stopped or dead daemon may cost is checked apart.
echoes() { # ADDRESS PORT [OPTIONS]
	local got
	got=$(echo "hello $1" | in_ns client timeout 60 socat -t 30 - "TCP:$1:$2,${3:-nodelay}")
	is "hello $1" "$got" "echo of $1:$2"
}
udp_echoes() {
	is datagram "$(in_ns client bash -c '
		exec 3<>/dev/udp/10.0.0.2/9; echo datagram >&3; timeout 60 head -n 1 <&3')" UDP
}
pings() { in_ns client ping -q -c 2 -i 0.1 -W 30 "$1"; }
forget_neighbours() { local n; for n in client server guest; do ip -n $n neigh flush all; done; }

all_works() {
	pings 10.0.0.2
	udp_echoes
	echoes 10.0.0.2 7
	in_ns server ping -q -c 2 -i 0.1 -W 30 10.0.0.1
	local other
	for other in $macvlan $vlan; do pings "$other"; echoes "$other" 7; done
	in_ns client ping -6 -q -c 2 -i 0.1 -W 30 "$(link_local)%c0"
}
link_local() { ip -n server -6 -o addr show dev s0 scope link | awk '{ sub(/\/.*/, "", $4); print $4 }'; }
all_works_from_scratch() { forget_neighbours; all_works; all_works; }

# The daemon in each of its conditions.
running() { attach server s0 "$@"; all_works_from_scratch; detach server s0; all_works; }
stopped() {
	attach server s0 "$@"
	kill -STOP "$(daemon_pid s0)"
	wait_for silent
	all_works_from_scratch
	kill -CONT "$(daemon_pid s0)"
	all_works
	detach server s0
}
silent() { # the heartbeat is older than the limit
	local beat
	beat=$(bpftool -j map lookup pinned /sys/fs/bpf/taspilot/s0/tp_config key 0 0 0 0 |
		jq .formatted.value.heartbeat_ns)
	awk -v b="$beat" '{ exit !($1 * 1e9 - b > 1e9) }' /proc/uptime
}
dead() {
	attach server s0 "$@"
	stop "$(daemon_pid s0)" KILL
	all_works_from_scratch
	detach server s0
}

test_before_anything_it_all_works() { all_works_from_scratch; }
test_running_native() { native_here server s0; running --mode native; }
test_running_generic() { running --mode skb; }
test_stopped_native() { native_here server s0; plain || stopped --mode native; }
test_stopped_generic() { plain || stopped --mode skb; }
test_dead_native() { native_here server s0; plain || dead --mode native; }
test_dead_generic() { plain || dead --mode skb; }

# Killed while neighbours are unknown: the first ARP request must not be lost with the TAP.
test_a_ping_right_after_kill_is_answered() {
	plain && return
	attach server s0
	forget_neighbours
	kill -9 "$(daemon_pid s0)"
	in_ns client ping -q -c 1 -W 30 10.0.0.2
	in_ns server ping -q -c 1 -W 30 10.0.0.1
	detach server s0
}

# Linux stops a device's queue, and drops what comes meanwhile, when a clsact qdisc comes or goes
# (qdisc_graft()); attach needs one where there is no tcx, before 6.6, and uses one that is there.
test_no_ping_is_lost_when_taspilot_comes_and_goes() {
	local i pid before
	rxvlan off
	in_ns server tc qdisc add dev s0 clsact
	before=$(snmp client InEchoReps Icmp)
	in_ns client ping -q -i 0.01 -c 400 -W 30 10.0.0.2 >"$TMPDIR/ping" &
	pid=$!
	for i in 1 2 3; do attach server s0 --mode skb; detach server s0; done
	wait $pid
	cat "$TMPDIR/ping"
	# ping itself hardly waits for the last ones
	wait_for replies $((before + 400))
	in_ns server tc qdisc del dev s0 clsact
	rxvlan on
}
# What attach would switch off. Some drivers take their link down for that (e1000e, for two seconds).
rxvlan() {
	on_nics || return 0
	in_ns server ethtool -K s0 rxvlan "$1" || true
	wait_for carrier server s0
}
replies() { [ "$(snmp client InEchoReps Icmp)" = "$1" ]; }

# A registered listener on every address must not draw what belongs to other devices.
with_a_listener_on_any_address() {
	local pid
	attach server s0 "$@"
	accel pid server rpc_server --port 8080
	wait_for listening server 8080
	[ -z "$vlan" ] || in_ns client rpc_client --addr $vlan --port 8080 --conns 2 --secs 1
	in_ns client rpc_client --addr 10.0.0.2 --port 8080 --conns 2 --secs 1
	all_works
	stop "$pid"
	detach server s0
}
test_a_listener_on_any_address_serves_the_vlan_too_native() {
	native_here server s0
	with_a_listener_on_any_address --mode native
}
test_a_listener_on_any_address_serves_the_vlan_too_generic() {
	with_a_listener_on_any_address --mode skb
}

test_a_bridge_over_the_nic_goes_on() {
	link client b1 10.0.2.1/24  server b2 10.0.3.2/24
	ip -n server addr flush dev b2
	ip -n server link add br0 type bridge
	ip -n server link set b2 master br0
	ip -n server addr add 10.0.2.2/24 dev br0
	ip -n server link set br0 up
	bridge() {
		attach server b2 "$@"
		forget_neighbours
		pings 10.0.2.2; echoes 10.0.2.2 7
		detach server b2
		pings 10.0.2.2; echoes 10.0.2.2 7
	}
	bridge --mode native
	bridge --mode skb
	ip -n server link del br0
	ip -n server link del b2
}

# A firewall that looks at everything, and sees no mark of ours. MLD reports have one of Linux's own, when
# a driver starts its NIC anew (vmxnet3).
with_nft_and_conntrack() {
	in_ns server nft -f - <<-'NFT'
		table inet t {
			counter marked { }
			chain in {
				type filter hook input priority 0; policy drop;
				meta l4proto != ipv6-icmp meta mark != 0 counter name marked
				ct state established,related accept
				iif lo accept
				meta l4proto { icmp, ipv6-icmp } accept
				tcp dport { 7, 8080 } ct state new accept
				udp dport 9 ct state new accept
			}
			chain out {
				type filter hook output priority 0; policy accept;
				meta l4proto != ipv6-icmp meta mark != 0 counter name marked
			}
		}
	NFT
	local pid
	attach server s0 "$@"
	accel pid server rpc_server --addr 10.0.0.2 --port 8080
	wait_for listening server 8080
	in_ns client rpc_client --addr 10.0.0.2 --port 8080 --conns 2 --secs 1
	pings 10.0.0.2; udp_echoes; echoes 10.0.0.2 7
	in_ns client bash -c '! timeout 1 socat - TCP:10.0.0.2:11'	# dropped
	wait_for tracked
	stop "$pid"
	detach server s0
	in_ns server nft list counter inet t marked | grep 'packets 0 '
	in_ns server nft delete table inet t
}
test_with_nft_and_conntrack_native() { native_here server s0; with_nft_and_conntrack --mode native; }
test_with_nft_and_conntrack_generic() { with_nft_and_conntrack --mode skb; }
tracked() { in_ns server conntrack -L -p tcp --dport 7 2>/dev/null | grep 'ESTABLISHED\|WAIT'; }

test_an_ordinary_service_works_beside_a_busy_one() {
	local pid
	attach server s0
	accel pid server rpc_server --addr 10.0.0.2 --port 8080
	wait_for listening server 8080
	in_ns client rpc_client --addr 10.0.0.2 --port 8080 --conns 8 --secs 1 &
	local load=$!
	all_works
	wait $load
	stop "$pid"
	detach server s0
}

# Generic XDP meets what the peer's TSO left in one piece: up to 64 KiB, which no AF_XDP buffer
# holds. Such a flow goes back to Linux.
test_bulk_from_a_peer_with_tso_arrives_in_generic_mode() {
	local pid mib=64
	in_ns client ethtool -K c0 tx on tso on >/dev/null || skip "c0 has no TSO"
	attach server s0 --mode skb
	head -c ${mib}M /dev/urandom >"$TMPDIR/sent"
	accel pid server socat -u TCP-LISTEN:8081,reuseaddr CREATE:"$TMPDIR/got"
	wait_for listening server 8081
	in_ns client timeout 100 socat -u OPEN:"$TMPDIR/sent" TCP:10.0.0.2:8081
	wait_for gone "$pid"
	cmp "$TMPDIR/sent" "$TMPDIR/got"
	plain || at_least 1 "$(in_ns server taspilot status --json |
		jq '[.. | objects | .tci_merged? // empty][0]')" "merged frames taken to the TAP"
	detach server s0
	in_ns client ethtool -K c0 tx off >/dev/null
}

run_tests
