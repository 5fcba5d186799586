#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What happens to a real NIC, and not to a veth: its administrator changes it, its cable
# falls out, its driver goes, while connections run on it.
#
#       client                        server
#   10.0.0.1/24 c0 ─── a wire ─── s0 10.0.0.2/24
#                                 taspilot attached here
#
# Runs where TP_NICS names two NICs that a wire joins (vm/run). A transfer goes on while its
# NIC is disturbed, four times each way: what arrives must have the same SHA-256, and a
# connection made afterwards must be fast. TP_MIB says how much; TP_LONG, how much the one
# transfer that meets all of it, sixteen times.
. "$(dirname "$0")/../netns/lib.sh"
on_nics || skip "needs a pair of NICs (vm/run)"
need bulk rpc_server rpc_client conn_rate tcpdump sha256sum jq

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
queues=$(rx_queues server s0)

# sized MIB PIECES - the transfers from here on
sized() {
	mib=$1 pieces=$2 size=$((($1 << 20) / $2))
	head -c "${mib}M" /dev/urandom >"$TMPDIR/sent"
	sent=$(sha256sum <"$TMPDIR/sent")
}
sized "${TP_MIB:-64}" 4

# the address and the queues as they were, however a test ended
after_each() {
	plain || detached server s0
	for end in "client c0" "server s0"; do
		# shellcheck disable=SC2086
		set -- $end
		ip -n "$1" link set "$2" mtu 1500 up
		[ "$(rx_queues "$1" "$2")" = "$queues" ] || in_ns "$1" ethtool -L "$2" combined "$queues"
	done
	carrier_is on
}

# nic - all that attaching could change; without what only counts. Some drivers take their link down to
# switch offloads or the MTU (e1000e, for two seconds).
nic() {
	wait_for carrier server s0
	in_ns server ip -d link show s0
	in_ns server ip -d addr show s0 | grep -v valid_lft
	in_ns server tc qdisc show dev s0
	for what in -k -l -x -c -g -a; do
		in_ns server ethtool $what s0 2>/dev/null || true
	done
	in_ns server ip link show tas0 2>/dev/null || true
}

# --- transfers --------------------------------------------------------------------------

# transfer up|down DISTURBANCE... - up to the server or down to the client, in $pieces pieces; while
# each is on its way there is a disturbance. A flap costs Linux a retransmission timeout or two;
# so does it us.
transfer() {
	local server=recv=$TMPDIR/got client=send=$TMPDIR/pieces pid load i
	local port=$((20000 + BASHPID % 10000)) since=$SECONDS
	[ "$1" = up ] || { server=send=$TMPDIR/pieces client=recv=$TMPDIR/got; }
	rm -f "$TMPDIR/got" "$TMPDIR/pieces"
	mkfifo "$TMPDIR/pieces"
	accel pid server bulk listen=$port "$server"
	wait_for listening server $port
	in_ns client bulk connect=10.0.0.2:$port "$client" &
	load=$!
	exec 5<>"$TMPDIR/pieces"
	for ((i = 0; i < pieces; i++)); do
		piece $i >&5
		"${@:2}" $i
		wait_for arrived $(((i + 1) * size))
	done
	exec 5>&-
	wait "$load" || { echo "the client failed"; return 1; }
	wait "$pid" || { echo "the server failed"; return 1; }
	echo "$mib MiB $1 in $((SECONDS - since)) s"
	is "$sent" "$(sha256sum <"$TMPDIR/got")" "SHA-256 of what arrived"
}
piece() { timeout "${TP_PATIENCE:-60}" dd if="$TMPDIR/sent" bs="$size" skip="$1" count=1 status=none; }
arrived() { [ "$(stat -c %s "$TMPDIR/got" 2>/dev/null || echo 0)" -ge "$1" ]; }

# disturbed DISTURBANCE... - a transfer each way, then a new connection
disturbed() {
	attach server s0
	transfer up "$@"
	transfer down "$@"
	new_connections_are_fast
	detach server s0
}

new_connections_are_fast() {
	local pid load
	accel pid server rpc_server --port 7001
	wait_for listening server 7001
	count_from server s0
	start load client rpc_client --addr 10.0.0.2 --port 7001 --conns 8 --secs 600 --warmup 0
	wait_for_segments client 3000
	kill "$load"
	wait "$load"
	mostly_fast server s0 90
	stop "$pid"
}

# --- attaching --------------------------------------------------------------------------

test_attaching_and_detaching_leaves_the_nic_as_it_was() {
	local before
	before=$(nic)
	attach server s0
	plain || in_ns server taspilot status
	in_ns client ping -c 3 -i 0.2 10.0.0.2
	detach server s0
	diff <(echo "$before") <(nic)
	attach server s0 --mode skb
	in_ns client ping -c 3 -i 0.2 10.0.0.2
	detach server s0
	diff <(echo "$before") <(nic)
}

test_generic_mode_sees_no_merged_frames() {
	plain && return
	attach server s0 --mode skb
	in_ns server ethtool -k s0 | grep -E '^(generic-receive|large-receive|rx-gro-hw)' >"$TMPDIR/merge"
	fails grep ': on' "$TMPDIR/merge"
	transfer up true
	transfer down true
	new_connections_are_fast
	detach server s0
}

test_doctor_knows_this_nic() {
	plain && return
	in_ns server taspilot doctor s0
}

test_another_xdp_program_is_not_displaced() {
	plain && return
	local obj
	obj=$(find /usr/lib -name xdp-dispatcher.o 2>/dev/null | head -n 1)
	[ -n "$obj" ] || skip "no XDP program at hand"
	in_ns server ip link set s0 xdpgeneric obj "$obj" sec xdp || skip "it does not load"
	fails attach server s0
	in_ns server ip -o link show s0 | grep -q xdpgeneric
	in_ns server ip link set s0 xdpgeneric off
	fails in_ns server ip link show tas0
}

# refused IF WORD - attach and doctor say so
refused() {
	fails attach server "$1" 2>"$TMPDIR/err"
	grep "$2" "$TMPDIR/err"
	fails in_ns server taspilot doctor "$1" >"$TMPDIR/doctor"
	grep "^fail *device.*$2" "$TMPDIR/doctor"
}
test_devices_on_top_are_refused() {
	plain && return
	ip -n server link add link s0 name s0.5 type vlan id 5 || skip "no VLANs in this kernel"
	ip -n server link add mv0 link s0 type macvlan mode bridge
	ip -n server link add bd0 type bond mode active-backup
	local i
	for i in s0.5 mv0 bd0; do ip -n server link set $i up; done
	refused s0.5 vlan
	refused mv0 macvlan
	refused bd0 bond
	for i in mv0 s0.5; do ip -n server link del $i; done
	ip -n server link set s0 down
	ip -n server link set s0 master bd0
	refused s0 bond
	ip -n server link del bd0
	ip -n server link set s0 up
	new_nic_attaches
}

# --- the bytes --------------------------------------------------------------------------

test_a_transfer_each_way() { disturbed true; }

test_checksums_are_really_written() {
	attach server s0
	local pid cap
	accel pid server rpc_server --port 7001 --size 777
	wait_for listening server 7001
	start cap client tcpdump -Z root -Q in -i c0 -U --immediate-mode -w "$TMPDIR/sums.pcap" tcp src port 7001
	wait_for test -s "$TMPDIR/sums.pcap"
	in_ns client rpc_client --addr 10.0.0.2 --port 7001 --size 777 --conns 4 --secs 1
	stop "$cap" INT
	tcpdump -nvvr "$TMPDIR/sums.pcap" 2>/dev/null | grep -E 'length [1-9][0-9]*$' >"$TMPDIR/sums"
	at_least 10 "$(wc -l <"$TMPDIR/sums")" "segments with data"
	plain || is "" "$(grep '(incorrect' "$TMPDIR/sums")" "segments with a wrong checksum"
	stop "$pid"
	detach server s0
}

test_corrupt_segments_are_dropped() {
	in_ns client tc qdisc add dev c0 root netem corrupt 1% || skip "no netem"
	disturbed true
	in_ns client tc qdisc del dev c0 root
}

test_a_capture_beside_us_harms_nothing() {
	local cap
	attach server s0
	start cap server tcpdump -Z root -i s0 -w /dev/null
	wait_for promiscuous
	transfer up true
	transfer down true
	stop "$cap" INT
	new_connections_are_fast
	detach server s0
}
promiscuous() { in_ns server ip -d -o link show s0 | grep -q 'promiscuity [1-9]'; }

# --- the administrator ------------------------------------------------------------------

flap() {
	ip -n "$1" link set "$2" down
	ip -n "$1" link set "$2" up
	wait_for carrier "$1" "$2"
}
test_the_link_goes_down_and_up() { disturbed flap server s0; }
test_the_peers_link_goes_down_and_up() { disturbed flap client c0; }

# carrier_is on|off - the cable of s0; the guest's host pulls it
carrier_is() { [ -n "${TP_CABLE:-}" ] && echo "s0 $1" >"$TP_CABLE"; }
no_carrier() { not carrier server s0; }
pull() {
	carrier_is off
	wait_for no_carrier
	carrier_is on
	wait_for carrier server s0
}
test_the_cable_is_pulled_and_put_back() {
	[ -n "${TP_CABLE:-}" ] || skip "nobody can pull the cable here"
	carrier_is off
	wait_for no_carrier || skip "this NIC does not tell of its carrier"
	carrier_is on
	wait_for carrier server s0
	disturbed pull
}

# another MTU each time, on both ends, as large as jumbo frames if NIC and attach allow
mtu() {
	local all=(1280 3000 1500 "$jumbo" 1400) m
	m=${all[$1 % 5]}
	ip -n client link set c0 mtu "$m"
	ip -n server link set s0 mtu "$m" || { echo "s0 refuses an MTU of $m"; ip -n client link set c0 mtu 1500; }
}
test_the_mtu_changes() {
	jumbo=1500
	disturbed mtu
}
test_the_mtu_grows_to_jumbo_frames() {
	jumbo=9000
	ip -n server link set s0 mtu 9000 || skip "s0 knows no jumbo frames"
	ip -n server link set s0 mtu 1500
	attach server s0
	transfer up mtu
	transfer down mtu
	in_ns server ip link show s0 | grep 'mtu 9000'
	plain || wait_for xdp_is_heard_or_missed
	plain || xdp_runs || xdp_comes_back
	new_connections_are_fast
	detach server s0
}
xdp_runs() { [ "$(tp_status server s0 xdp)" = true ]; }
xdp_frames() {
	in_ns server taspilot status --json |
		jq '[.[0].verdicts | to_entries[] | select(.key | startswith("xdp_")) | .value] | add'
}
xdp_is_heard_or_missed() {
	local before
	before=$(xdp_frames)
	in_ns client ping -c 1 -W 1 10.0.0.2
	[ "$(xdp_frames)" -gt "$before" ] || not xdp_runs
}
# A driver that refuses XDP with such an MTU, and does not run what it has (vmxnet3): all is Linux's
# until it is smaller.
xdp_comes_back() {
	local pid
	accel pid server rpc_server --port 7001
	wait_for listening server 7001
	in_ns client rpc_client --addr 10.0.0.2 --port 7001 --conns 8 --secs 1
	stop "$pid"
	mtu 2
	wait_for pinged_and_runs
}
pinged_and_runs() { in_ns client ping -c 1 -W 1 10.0.0.2 && xdp_runs; }

# Linux before 6.3 asks of the MTU what XDP wants of it when XDP goes, too; what it complains of
# is a guest's last case.
test_a_nic_is_left_whose_mtu_has_grown() {
	plain && return
	local before
	before=$(nic)
	attach server s0
	ip -n server link set s0 mtu 9000 || skip "s0 knows no jumbo frames"
	detach server s0
	in_ns server ip link show s0 | grep 'mtu 9000'
	ip -n server link set s0 mtu 1500
	diff <(echo "$before") <(nic)
	new_nic_attaches
}

test_the_number_of_queues_changes() {
	[ "$queues" -gt 1 ] || skip "one queue"
	disturbed channels
}
# what the kernel refuses (queues that AF_XDP is bound to) changes nothing, and must not
channels() { in_ns server ethtool -L s0 combined $((1 + $1 % queues)) || true; }

test_flows_move_to_other_queues() {
	[ "$queues" -gt 1 ] || skip "one queue"
	in_ns server ethtool -X s0 equal "$queues" || skip "this NIC has no indirection table to set"
	disturbed indirection
	in_ns server ethtool -X s0 equal "$queues"
}
indirection() { in_ns server ethtool -X s0 equal $((1 + $1 % queues)); }

# one thing after the other; what this NIC does not know (its carrier, more queues, jumbo frames)
# is nothing that happens to it
all_of_it() {
	case $(($1 % 6)) in
	0) flap server s0 ;;
	1) mtu $(($1 / 6)) ;;
	2) flap client c0 ;;
	3) channels "$1" ;;
	4) if [ -n "$cable" ]; then pull; fi ;;
	5) [ "$queues" = 1 ] || indirection $(($1 / 6)) || true ;;
	esac
}
test_a_long_transfer_meets_all_of_it() {
	local cable=
	[ -z "${TP_CABLE:-}" ] || { carrier_is off; wait_for no_carrier && cable=1; carrier_is on; wait_for carrier server s0; }
	jumbo=9000
	sized "${TP_LONG:-${TP_MIB:-64}}" 16
	disturbed all_of_it
	sized "${TP_MIB:-64}" 4
	[ "$queues" = 1 ] || in_ns server ethtool -X s0 equal "$queues" || true
}

# A thousand flows use every queue, and all of them go on when the table changes under them: a
# segment that comes by another queue than its flow's is handed to the flow's thread. No connection
# starves and no answer is wrong or lost, or rpc_client would say so.
test_a_thousand_flows_use_every_queue() {
	[ "$queues" -gt 1 ] || skip "one queue"
	in_ns server ethtool -X s0 equal "$queues" || skip "this NIC has no indirection table to set"
	local pid load
	attach server s0
	accel pid server rpc_server --port 7001
	wait_for listening server 7001
	count_from server s0
	start load client rpc_client --addr 10.0.0.2 --port 7001 --conns 1000 --secs 600
	wait_for established 1000
	plain || wait_for every_thread_carries 500
	in_ns server ethtool -X s0 equal 1
	plain || the_first_queue_hands_over
	in_ns server ethtool -X s0 equal "$queues"
	kill "$load"
	wait "$load"
	mostly_fast server s0 90
	stop "$pid"
	detach server s0
}
# threads FILTER - what jq makes of the list of the fast threads' counters
threads() { in_ns server taspilot status --json | jq -r ".[0].threads | $1"; }
# every_thread_carries N - flows by the dozen, and N segments each way
every_thread_carries() {
	threads . >"$TMPDIR/threads"
	is "$queues" "$(jq "map(select(.flows > 50 and .segments_rx > $1 and .segments_tx > $1)) | length" "$TMPDIR/threads")"
}
# With all traffic on one queue, its thread hands over what the other threads then carry, within
# three in a hundred (the counters are not read in one moment); the others hand over nothing.
the_first_queue_hands_over() {
	wait_for only_the_first_hands_over
	threads . >"$TMPDIR/from"
	wait_for handed_since_then 2000
	jq -c . "$TMPDIR"/{threads,from,to}
	is true "$(jq -s '(.[1][0].handed_over - .[0][0].handed_over) as $handed |
		([.[1][1:][].segments_rx] | add) - ([.[0][1:][].segments_rx] | add) |
		. >= $handed * 0.97 - 50 and . <= $handed * 1.03 + 50' "$TMPDIR"/{from,to})" "what is handed over is carried"
	is true "$(jq -s '[range(1; .[0] | length) as $i | .[1][$i].segments_rx > .[0][$i].segments_rx] | all' \
		"$TMPDIR"/{from,to})" "every thread goes on"
}
only_the_first_hands_over() {
	threads . >"$TMPDIR/from"
	threads . >"$TMPDIR/to"
	jq -se '[.[][1:] | map(.handed_over)] | .[0] == .[1]' "$TMPDIR"/{from,to} && handed_more 1
}
handed_more() { jq -se ".[1][0].handed_over - .[0][0].handed_over >= $1" "$TMPDIR"/{from,to}; }
handed_since_then() { threads . >"$TMPDIR/to"; handed_more "$1"; }
established() { [ "$(in_ns server ss -Htn state established "sport = :7001" | wc -l)" -ge "$1" ]; }

test_queues_that_are_not_served_get_no_flows() {
	plain && return
	[ "$queues" -gt 1 ] || skip "one queue"
	in_ns server ethtool -X s0 default || skip "this NIC has no indirection table to set"
	local before
	before=$(nic)
	attach server s0 --queues 1
	is "0" "$(used_queues)" "queues in the indirection table"
	new_connections_are_fast
	detach server s0
	diff <(echo "$before") <(nic)
	# an administrator's own table stays, and this is said
	in_ns server ethtool -X s0 equal 2
	attach server s0 --queues 1 2>"$TMPDIR/said"
	grep "administrator" "$TMPDIR/said"
	is "0 1" "$(used_queues)" "queues in the indirection table"
	detach server s0
	is "0 1" "$(used_queues)" "queues in the indirection table"
	in_ns server ethtool -X s0 default
}
used_queues() {
	in_ns server ethtool -x s0 | sed -n 's/^ *[0-9]*: //p' | tr -s ' ' '\n' | grep . | sort -u | xargs
}

test_the_driver_is_unbound_under_the_daemon() {
	local bus dev driver path
	path=$(nsenter --net=/run/netns/server -- unshare --mount sh -c 'mount -t sysfs sys /sys; readlink -f /sys/class/net/s0/device')
	driver=$(readlink -f "$path/driver")
	dev=$(basename "$path")
	[ -e "$driver/unbind" ] || skip "no driver to unbind"
	local before pid
	before=$(plain || nic)
	attach server s0
	pid=$(plain || daemon_pid s0)
	echo "$dev" >"$driver/unbind"
	plain || wait_for gone "$pid"
	echo "$dev" >"$driver/bind"
	back_again
	new_nic_attaches
}
# A NIC whose driver comes back is a new one, in the namespace where devices are born.
back_again() {
	wait_for born
	ip -n server link set s0 up
	ip -n server addr add 10.0.0.2/24 dev s0
	wait_for carrier server s0
}
born() {
	local name
	name=$(nsenter --net=/proc/self/fd/9 ip -o link | sed -n 's/^[0-9]*: \([^:@]*\):.*52:54:00:00:00:02.*/\1/p')
	[ -n "$name" ] && nsenter --net=/proc/self/fd/9 ip link set "$name" down &&
		nsenter --net=/proc/self/fd/9 ip link set "$name" name s0 netns server
}
new_nic_attaches() {
	attach server s0
	new_connections_are_fast
	detach server s0
}

run_tests
