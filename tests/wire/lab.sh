# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# lab.sh - client and server with a bad wire between them; sourced after tests/netns/lib.sh.
#
#       client                     wire                     server
#   10.0.0.1/24 c0 ── veth ── w0  wire  w1 ── veth ── s0 10.0.0.2/24
#
# What leaves either side is MTU-sized, as on a wire: no TSO. Linux may still segment in
# software just before (GSO), and leave the checksum to its "device", which wire is. Both
# sides have the same congestion control, whatever the machine's default is.

# wired [queues=N] - build it; no wire is laid yet
wired() {
	local queues=1 side ns near far addr
	[ $# = 0 ] || queues=${1#queues=}
	ip netns add wire
	for side in "client c0 w0 10.0.0.1/24" "server s0 w1 10.0.0.2/24"; do
		read -r ns near far addr <<<"$side"
		ip netns add "$ns"
		ip -n "$ns" link set lo up
		ip link add "$near" netns "$ns" numtxqueues "$queues" numrxqueues "$queues" \
			type veth peer name "$far" netns wire numtxqueues "$queues" numrxqueues "$queues"
		in_ns "$ns" ethtool -K "$near" tso off >/dev/null
		sysctl_in "$ns" net.ipv4.tcp_congestion_control=reno
		in_ns wire ethtool -K "$far" gro off >/dev/null
		in_ns wire sysctl -qw "net.ipv6.conf.$far.disable_ipv6=1"
		ip -n "$ns" addr add "$addr" dev "$near"
		ip -n wire link set "$far" arp off up
		ip -n "$ns" link set "$near" up
	done
	in_ns wire sysctl -qw net.ipv4.ip_forward=0
	wait_for carrier client c0
	wait_for carrier server s0
}

# lay OPTIONS... - lay a wire, or a worse one in place of the one there is
lay() {
	lift
	wire_said=$TMPDIR/wire
	nsenter --net=/run/netns/wire -- wire --json "$@" w0 w1 </dev/null >"$wire_said" &
	wire_pid=$!
	wait_for grep -q joined "$wire_said"
}

# lift - take the wire away; what it did can be asked afterwards
lift() {
	[ -n "${wire_pid:-}" ] || return 0
	stop "$wire_pid"
	wire_pid=
}

# wire_did w0|w1 FIGURE - of the frames that came in there, after lift
wire_did() { jq -r --arg w "$1>" --arg f "$2" 'select(.way | startswith($w))[$f]' < <(tail -n 2 "$wire_said"); }

# the wire itself lost nothing that it was not told to lose
wire_was_sound() {
	local w f
	for w in w0 w1; do
		for f in missed refused too_long; do
			is 0 "$(wire_did "$w" "$f")" "$w: $f"
		done
	done
}

# file_of BYTES - a file of random bytes, the same one each time
file_of() {
	local f=$TMPDIR/random-$1
	[ -e "$f" ] || head -c "$1" /dev/urandom >"$f"
	echo "$f"
}

# carry up|down FILE - FILE crosses the wire: up to the server, or down to the client; what
# arrives has the same SHA-256
carry() {
	local server=recv=$TMPDIR/got client=send=$2 pid port=$((20000 + BASHPID % 10000))
	[ "$1" = up ] || { server=send=$2 client=recv=$TMPDIR/got; }
	rm -f "$TMPDIR/got"
	accel pid server bulk listen=$port "$server"
	wait_for listening server $port
	in_ns client bulk connect=10.0.0.2:$port "$client"
	wait "$pid"
	is "$(sha256sum <"$2")" "$(sha256sum <"$TMPDIR/got")" "SHA-256 of what went $1"
}

# as_on_linux_over WIRE-OPTIONS SERVER-STEPS CLIENT-STEPS - the same conversation across two
# equal wires, the server on plain Linux and then under taspilot; both must have done harm,
# and neither side may notice any difference
as_on_linux_over() {
	local port=$((7000 + BASHPID % 20000 * 2)) kind what
	for kind in linux taspilot; do
		# shellcheck disable=SC2086
		lay $1
		converse $kind $port "${@:2}"
		lift
		wire_was_sound
		at_least 1 "$(jq -s '[.[] | .lost + .burst + .hole] | add' < <(tail -n 2 "$wire_said"))" \
			"frames that were lost"
		port=$((port + 1))
	done
	for what in server client; do
		diff -U99 --label linux --label taspilot "$TMPDIR"/{linux,taspilot}/"$what" ||
			{ echo "that was what the $what said"; return 1; }
	done
	is "" "$(grep -Eh 'hangs|^status' "$TMPDIR"/{linux,taspilot}/{server,client} | grep -v '^status 0')"
}
