# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# lib.sh - what every namespace test sources.
#
# The test runs in its own net, mount and PID namespaces, with a /run, a bpffs and a /proc
# of its own: it cannot see or harm the machine, two runs cannot meet, and there is no
# cleanup to forget. When the script ends the kernel takes everything away.
#
#   OUT=dir        where the programs were built (default: out beside the Makefile)
#   TP_PLAIN=1     the same test without taspilot: attach and detach do nothing, `run` runs
#                  its command directly, and what only taspilot can show is not asserted.
#                  Whatever fails then is a fault of the test.
#   TP_ONLY=regex  only the test functions whose names match
#   TP_NICS="c0 s0"  a pair of NICs joined by a wire (vm/init): where a test wants a link of
#                  these names it gets them, moved into its namespaces, and no veth pair
#   TP_PATIENCE=60, TP_PAUSE=0.02  seconds: how long a condition is waited for, how often it is asked
#   V=1            show what passed too
set -euo pipefail

skip() { echo "1..0 # SKIP $*"; exit 77; }

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
OUT=$(realpath -m "${OUT:-$top/out}")
export OUT PATH="$OUT:$OUT/bench:$OUT/helpers:/usr/sbin:/usr/bin:/sbin:/bin"

[ "$(id -u)" = 0 ] || skip "needs root"
if [ -z "${TP_PRIVATE:-}" ]; then
	exec 9</proc/self/ns/net	# where the NICs of TP_NICS are
	TP_PRIVATE=1 exec unshare --net --mount --pid --fork --kill-child "$0" "$@"
fi
unset TP_PRIVATE	# a test that a test runs gets namespaces of its own
# The first process of a PID namespace hears only of signals that it asks for. With it all goes.
trap 'exit 130' INT
trap 'exit 143' TERM HUP

mount -t proc proc /proc
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/tmp
mount -t bpf bpf /sys/fs/bpf 2>/dev/null || skip "this kernel has no bpffs"
export TMPDIR=/run/tmp
ip link set lo up

plain() { [ -n "${TP_PLAIN:-}" ]; }
need() { local c; for c; do command -v "$c" >/dev/null || skip "$c is not installed"; done; }
plain || need taspilot taspilotd

# --- namespaces and links ---------------------------------------------------------------

# in_ns NS CMD... - run in a namespace, keeping our bpffs in sight
in_ns() { nsenter --net="/run/netns/$1" -- "${@:2}"; }

# start VAR NS CMD... - the same in the background; its own process id goes to VAR
start() {
	nsenter --net="/run/netns/$2" -- "${@:3}" </dev/null &
	printf -v "$1" %s "$!"
}

# stop PID [SIGNAL] - and wait until it is gone
stop() {
	kill "-${2:-TERM}" "$1" 2>/dev/null || true
	wait_for gone "$1"
	wait "$1" 2>/dev/null || true
}
gone() { [ ! -e "/proc/$1" ] || grep -q '^State:[[:space:]]*Z' "/proc/$1/status" 2>/dev/null; }

# new_ns NS - nobody else is on its links, so no IPv6 address needs to be looked for there first
new_ns() {
	ip netns add "$1"
	[ ! -e /proc/sys/net/ipv6 ] ||
		sysctl_in "$1" net.ipv6.conf.{all,default}.accept_dad=0
	ip -n "$1" link set lo up
}

# link NS IF ADDR NS IF ADDR [queues=N] [wire] - join two namespaces with a veth pair.
# The first is the peer: like what comes from a wire, its checksums are whole. With "wire"
# its segments are MTU-sized too: no TSO, no GSO there.
link() {
	local queues=1 wire= o
	for o in "${@:7}"; do
		case $o in
		queues=*) queues=${o#*=} ;;
		wire) wire=1 ;;
		*) echo "link: what is '$o'?"; return 1 ;;
		esac
	done
	for o in "$1" "$4"; do
		[ -e "/run/netns/$o" ] || new_ns "$o"
	done
	if on_nics "$2" "$5"; then
		take_nic "$1" "$2" "$queues"
		take_nic "$4" "$5" "$queues"
	else
		ip link add "$2" netns "$1" numtxqueues "$queues" numrxqueues "$queues" type veth \
			peer name "$5" netns "$4" numtxqueues "$queues" numrxqueues "$queues"
	fi
	in_ns "$1" ethtool -K "$2" tx off >/dev/null
	[ -z "$wire" ] || in_ns "$1" ethtool -K "$2" tso off gso off >/dev/null
	ip -n "$1" addr add "$3" dev "$2"; ip -n "$1" link set "$2" up
	ip -n "$4" addr add "$6" dev "$5"; ip -n "$4" link set "$5" up
	for o in "$1 $2" "$4 $5"; do
		# shellcheck disable=SC2086
		wait_for ready $o
	done
}
# on_nics [IF IF] - is this link, or are links at all, a pair of NICs and not of veth?
on_nics() { [ -n "${TP_NICS:-}" ] && [ "${*:-$TP_NICS}" = "$TP_NICS" ]; }
# take_nic NS IF QUEUES - once the namespaces of an earlier test have given it back
take_nic() {
	wait_for nsenter --net=/proc/self/fd/9 ip link set "$2" netns "$1"
	ip -n "$1" link set "$2" mtu 1500
	[ "$(rx_queues "$1" "$2")" -ge "$3" ] || in_ns "$1" ethtool -L "$2" combined "$3" ||
		skip "$2 has no $3 queues"
}
# rx_queues NS IF - how many it uses now; a NIC that cannot be asked has one
rx_queues() {
	{ in_ns "$1" ethtool -l "$2" 2>/dev/null || true; } | awk '
		/^Current/ { now = 1 }
		now && /^(RX|Combined):/ && $2 > 0 { n += $2 }
		END { print n ? n : 1 }'
}
carrier() { ip -n "$1" -o link show "$2" | grep -q LOWER_UP; }
# ready NS IF - it has a carrier and, where there is IPv6, its own address and routes of that:
# the kernel adds them in a while, and who compares before with after wants them there before
ready() {
	carrier "$@" || return 1
	no_ipv6 "$@" || ip -n "$1" -6 route show table local dev "$2" | grep -q '^local fe80:'
}
no_ipv6() { [ "$(in_ns "$1" cat "/proc/sys/net/ipv6/conf/$2/disable_ipv6" 2>/dev/null)" != 0 ]; }

# sysctl_in NS NAME=VALUE... - of that network namespace
sysctl_in() { in_ns "$1" sysctl -qw "${@:2}"; }

# --- waiting ----------------------------------------------------------------------------

# wait_for CMD... - until CMD succeeds. The limit only ends a test that has failed: it is
# long, because the machine may be slow and other tests may run beside this one. The clock is not
# the wall's, which is set at times: a virtual machine that was stopped for a minute finds it there.
wait_for() {
	local now _ end=
	until "$@" >/dev/null 2>&1; do
		read -r now _ </proc/uptime
		: "${end:=$((${now%.*} + ${TP_PATIENCE:-60}))}"
		((${now%.*} < end)) || { echo "timed out waiting for: $*"; return 1; }
		sleep "${TP_PAUSE:-0.02}"
	done
}

listening() { [ -n "$(in_ns "$1" ss -Hltn "sport = :$2")" ]; }
not() { ! "$@"; }

# --- taspilot ---------------------------------------------------------------------------

attach() { plain || in_ns "$1" taspilot attach "${@:2}"; }
detach() { plain || in_ns "$1" taspilot detach "${@:2}"; }

# accel VAR NS CMD... - like start, under `taspilot run`
accel() {
	if plain; then start "$@"; else start "$1" "$2" taspilot run -- "${@:3}"; fi
}
# accel_in NS CMD... - like in_ns, under `taspilot run`
accel_in() {
	if plain; then in_ns "$@"; else in_ns "$1" taspilot run -- "${@:2}"; fi
}

# detached NS IF - so that the next test can attach, whatever happened to this one
detached() { [ ! -e "/run/taspilot/$2" ] || in_ns "$1" taspilot detach "$2" --force; }

# tp_status NS IF FIELD - one number of `taspilot status --json`
tp_status() {
	in_ns "$1" taspilot status --json |
		jq -r --arg i "$2" --arg f "$3" '[.. | objects | select(.ifname? == $i)][0][$f]'
}

# native_here NS IF - skip what wants native XDP where the driver has none
native_here() {
	plain || ! on_nics || { in_ns "$1" taspilot attach "$2" --mode native 2>"$TMPDIR/native" && in_ns "$1" taspilot detach "$2"; } ||
		! grep 'no XDP driver support' "$TMPDIR/native" || skip "no native XDP on $2"
}

# --- a conversation: lines that come back, between the two namespaces of most tests ---------

# call PORT - a client whose lines come back; bash forgets the names of its ends when it has ended
call() {
	coproc C { exec nsenter --net=/run/netns/client socat - "TCP:10.0.0.2:$1,nodelay"; }
	talker=$C_PID from=${C[0]} to=${C[1]}
}
say() {
	local got
	echo "$1" >&"$to"
	read -r -t 60 got <&"$from" || { echo "no answer to '$1'"; return 1; }
	is "$1" "$got"
}
end_call() { exec {to}>&-; wait "$talker" || true; }
# talk_on PORT [SOCKET OPTIONS] - an echo server for one connection, $served, and a call to it; hang_up
talk_on() {
	accel served server socat "TCP-LISTEN:$1,reuseaddr,nodelay${2:+,$2}" PIPE
	wait_for listening server "$1"
	call "$1"
	say "it begins"
}
hang_up() { end_call; wait_for gone "$served"; }
# flows_are N - fast flows of s0
flows_are() { [ "$(tp_status server s0 flows)" = "$1" ]; }

# daemon_pid IF
daemon_pid() { cat "${TASPILOT_RUN_DIR:-/run/taspilot}/$1/pid"; }

# map_entries IF MAP - how many entries a pinned map has
map_entries() { bpftool -j map dump pinned "/sys/fs/bpf/taspilot/$1/$2" | jq length; }

# nothing_left NS IF - nothing is left of any connection, once TIME_WAIT is over. We end it, and
# look again: a connection whose program has just gone may enter it only now.
nothing_left() {
	wait_for forgotten "$@" || { in_ns "$1" taspilot flows; in_ns "$1" ss -Htano; in_ns client ss -Htano; bpftool map dump pinned \
		"/sys/fs/bpf/taspilot/$2/tp_flows"; return 1; }
}
forgotten() {
	in_ns "$1" ss -HK state time-wait || true
	no_flows "$@"
}
# holdings IF - what the daemon holds for programs: fds, mappings, entries in its maps. No more after
# them than before, or something has leaked; less, where earlier ones were just being forgotten.
holdings() {
	local pid
	pid=$(daemon_pid "$1")
	echo "$(ls "/proc/$pid/fd" | wc -l) fds, $(grep -c memfd "/proc/$pid/maps") mappings," \
		"$(map_entries "$1" tp_cookies) cookies, $(map_entries "$1" tp_listeners) listeners"
}
# leaks_nothing IF BEFORE - once those that have just gone are forgotten
leaks_nothing() { wait_for holds_at_most "$@" || is "$2" "$(holdings "$1")" "held by taspilotd"; }
holds_at_most() {
	awk 'NR == 1 { split($0, most, /[^0-9]+/) }
		NR == 2 { n = split($0, now, /[^0-9]+/); for (i = 1; i < n; i++) if (now[i] > most[i] + 0) exit 1 }' \
		<<<"$2"$'\n'"$(holdings "$1")"
}
no_flows() {
	plain || { [ "$(tp_status "$1" "$2" flows)" = 0 ] && [ "$(map_entries "$2" tp_flows)" = 0 ]; }
}

# --- counting ---------------------------------------------------------------------------

# snmp NS FIELD [Tcp] - of that line of the namespace's counters, e.g. InSegs
snmp() {
	in_ns "$1" awk -v f="$2" -v p="${3:-Tcp}:" '$1 == p && !n { for (i = 2; i <= NF; i++) if ($i == f) n = i; next }
		$1 == p { print $n }' /proc/self/net/snmp
}

# wait_for_segments NS N - until it has received N more, however fast the machine is
wait_for_segments() { wait_for has_received "$1" $(($(snmp "$1" InSegs) + $2)); }
has_received() { [ "$(snmp "$1" InSegs)" -ge "$2" ]; }

# count_from NS IF, then fast_share NS IF: percent of the segments received since then that
# the fast path took. What Linux counts is all that it saw, handshakes and closes included;
# so 8 segments for each connection that began (one request may be Linux's: young.c) are not held
# against anybody, or on a slow machine, where few are exchanged, this would measure its speed.
count_from() {
	opens_before=$(opens "$1")
	from_linux=$(snmp "$1" InSegs)
	plain || from_fast=$(tp_status "$1" "$2" segments_fast_rx)
}
opens() { echo $(($(snmp "$1" PassiveOpens) + $(snmp "$1" ActiveOpens))); }
segments_linux() { echo $(($(snmp "$1" InSegs) - from_linux)); }
segments_fast() { echo $(($(tp_status "$1" "$2" segments_fast_rx) - from_fast)); }
fast_share() {
	awk -v f="$(segments_fast "$@")" -v l="$(segments_linux "$1")" \
		-v o="$(($(opens "$1") - opens_before))" 'BEGIN {
			l = l > 8 * o ? l - 8 * o : 0
			printf "%.2f\n", f + l ? 100 * f / (f + l) : 0
		}'
}

# mostly_fast NS IF [PERCENT] - assert it, and that Linux took less than 5%
mostly_fast() {
	plain && return
	local share
	share=$(fast_share "$1" "$2")
	echo "fast $(segments_fast "$1" "$2"), Linux $(segments_linux "$1"): $share%"
	at_least "${3:-95}" "$share" "percent of segments fast" || { in_ns "$1" taspilot status --json; return 1; }
}

# --- asserting --------------------------------------------------------------------------

# is WANT GOT [WHAT] - say both when they differ
is() { [ "$2" = "$1" ] || { echo "${3:+$3: }want '$1', got '$2'"; return 1; }; }
# at_least LEAST GOT WHAT, at_most MOST GOT WHAT - numbers, fractions too
at_least() { awk "BEGIN { exit !($2 >= $1) }" || { echo "$3: $2, want at least $1"; return 1; }; }
at_most() { awk "BEGIN { exit !($2 <= $1) }" || { echo "$3: $2, want at most $1"; return 1; }; }
# fails CMD... - CMD must fail
fails() { ! "$@" || { echo "should have failed: $*"; return 1; }; }

# --- comparing with plain Linux ---------------------------------------------------------

# settled PORT - no socket of it is still closing, on the server nor on the client
settled() {
	local ns
	for ns in client server; do
		[ -z "$(in_ns $ns ss -Htan exclude time-wait exclude listening \
			"( sport = :$1 or dport = :$1 )")" ] || return 1
	done
}

# converse KIND PORT SERVER-STEPS CLIENT-STEPS - a conversation (tests/helpers/talk.c); what
# each side said, and what is left of the sockets, goes to $TMPDIR/KIND
converse() {
	local dir=$TMPDIR/$1 pid rc=0 run=start ns
	rm -rf "$dir"; mkdir "$dir"
	export TALK_DIR=$dir
	[ "$1" = linux ] || run=accel
	# shellcheck disable=SC2086
	$run pid server talk listen=$2 mark=up $3 >"$dir/server"
	# shellcheck disable=SC2086
	in_ns client talk await=up ${4//connect/connect=10.0.0.2:$2} >"$dir/client" \
		2>"$dir/stderr" || rc=$?
	echo "status $rc" >>"$dir/client"
	rc=0; wait "$pid" || rc=$?
	echo "status $rc" >>"$dir/server"
	sed -i "s/:$2//" "$dir/client" "$dir/server"
	wait_for settled "$2"
	time_waits "$2" >"$dir/time-wait"
}

# time_waits PORT - how many sockets of it are in TIME_WAIT, at the client and at the server
time_waits() {
	local ns
	for ns in client server; do
		in_ns $ns ss -Htan state time-wait "( sport = :$1 or dport = :$1 )" | wc -l
	done
}
# same_time_waits PORT - as on Linux. One that stands there because FINs crossed inside this
# machine is taken away within seconds; a true one stays for a minute.
same_time_waits() {
	time_waits "$1" >"$TMPDIR/taspilot/time-wait"
	diff "$TMPDIR"/{linux,taspilot}/time-wait
}

same_said() {
	cmp -s "$TMPDIR"/{linux,taspilot}/server && cmp -s "$TMPDIR"/{linux,taspilot}/client
}

# as_on_linux SERVER-STEPS CLIENT-STEPS - the same conversation with the server on plain Linux
# and with it under taspilot. "connect" is completed with the server's address and port.
# $compare: what must be the same (server client time-wait).
as_on_linux() {
	local port=$((7000 + BASHPID % 20000 * 2)) what differ=
	converse linux "$port" "$@"
	converse taspilot $((port + 1)) "$@"
	[ -n "${compare:-}" ] || ! same_said || wait_for same_time_waits $((port + 1)) || true
	for what in ${compare:-server client time-wait}; do
		diff -U99 --label linux --label taspilot "$TMPDIR"/{linux,taspilot}/"$what" ||
			{ echo "that was what the $what said"; differ=1; }
	done
	[ -z "$differ" ] && is "" "$(grep -Eh 'hangs|^status' "$TMPDIR"/{linux,taspilot}/{server,client} |
		grep -vE '^status (0|137)$')"
}

# --- running ----------------------------------------------------------------------------

# run_tests - every function named test_*, in the order of their names in the file, in TAP;
# output only where it failed. Each runs in the background, because inside "if" bash quietly
# ignores set -e, and as a process group, so that what it started goes with it. A function
# after_each, if there is one, puts back what a failed test may have left.
run_tests() {
	local n=0 bad=0 t log all rc
	log=$(mktemp)
	mapfile -t all < <(sed -n 's/^\(test_[a-z0-9_]*\)().*/\1/p' "$0" | grep -E "${TP_ONLY:-}")
	echo "1..${#all[@]}"
	for t in "${all[@]}"; do
		n=$((n + 1))
		set -m
		(set -e; "$t") >"$log" 2>&1 &
		set +m
		rc=0
		wait $! || rc=$?
		kill -KILL -- "-$!" 2>/dev/null || true
		if declare -F after_each >/dev/null; then after_each >/dev/null 2>&1 || true; fi
		case $rc in
		0) echo "ok $n - ${t#test_}" ;;
		77) echo "ok $n - ${t#test_} # SKIP $(tail -n 1 "$log" | sed 's/.*# SKIP //')" ;;
		*) echo "not ok $n - ${t#test_}"; bad=1; sed 's/^/#   /' "$log" ;;
		esac
		[ -z "${V:-}" ] || [ $rc != 0 ] || sed 's/^/#   /' "$log"
	done
	exit "$bad"
}
