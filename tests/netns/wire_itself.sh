#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The bad wire itself: it does what it is told, says so, and does the same again.
#
#       client                     wire                     server
#   10.0.0.1/24 c0 ── veth ── w0  wire  w1 ── veth ── s0 10.0.0.2/24        plain Linux
export TP_PLAIN=1
. "$(dirname "$0")/lib.sh"
. "$top/tests/wire/lab.sh"
need wire bulk ping jq tcpdump

wired
pings() { in_ns client ping -q -n -i 0.002 -W 5 -c "$@" 10.0.0.2 || true; }
# answered MANY COMMAND... - so many answers come to its pings. ping itself hardly waits for the last ones.
answered() {
	local before
	before=$(snmp client InEchoReps Icmp)
	"${@:2}" >/dev/null
	wait_for replies $((before + $1)) || { is $((before + $1)) "$(snmp client InEchoReps Icmp)" replies; }
}
replies() { [ "$(snmp client InEchoReps Icmp)" = "$1" ]; }

test_a_good_wire_loses_nothing() {
	lay --rtt 0
	answered 200 pings 200
	lift
	wire_was_sound
	is "$(wire_did w0 frames)" "$(wire_did w0 out)"
}
test_a_round_trip_takes_as_long_as_asked_for() {
	lay --rtt 30
	at_least 30 "$(in_ns client ping -q -n -c 3 -i 0.01 10.0.0.2 |
		sed -n 's,^rtt min[^=]*= \([0-9.]*\)/.*,\1,p')" "ms"
}
test_the_same_seed_does_the_same_again() {
	local seed
	for seed in 1 1 2; do
		lay --seed $seed --drop 20% --corrupt 20% --duplicate 20% --truncate 20% --log "$TMPDIR/log"
		pings 230 -s 500 >/dev/null
		# the log is written when the wire is idle
		wait_for beyond 200
		lift
		# the client's frames: what comes back depends on which of them were harmed
		awk '$2 == "w0>w1" && $4 <= 200' "$TMPDIR/log" | cut -d' ' -f2- >"$TMPDIR/log.$seed"
		[ ! -e "$TMPDIR/first" ] || [ $seed = 2 ] || diff "$TMPDIR/first" "$TMPDIR/log.1"
		[ $seed = 2 ] || cp "$TMPDIR/log.1" "$TMPDIR/first"
	done
	at_least 100 "$(wc -l <"$TMPDIR/first")" "lines of log"
	fails cmp -s "$TMPDIR/log.1" "$TMPDIR/log.2"
}
beyond() { awk -v n="$1" '$2 == "w0>w1" && $4 > n { found = 1 } END { exit !found }' "$TMPDIR/log"; }
test_the_chosen_segment_is_lost() {
	lay --from-a --drop data:2 --log "$TMPDIR/log"
	carry up "$(file_of 20000)"
	lift
	is 1 "$(wire_did w0 lost)"
	is 1 "$(grep -c ' data 2 drop: ' "$TMPDIR/log")"
}
test_corrupt_frames_are_not_delivered_by_linux() {
	lay --from-a --corrupt 100%
	pings 20 | grep -q ' 100% packet loss'
	lift
	is 20 "$(wire_did w0 corrupted)"
}
test_a_queue_that_is_full_drops_and_is_never_longer() {
	lay --rate 1M --queue 10K
	pings 100 -l 50 -s 1000 >/dev/null
	lift
	at_least 1 "$(wire_did w0 full)" "frames that found it full"
	at_most 10240 "$(wire_did w0 queue_max)" "queue"
}
test_marks_reach_only_who_can_bear_them() {
	lay --mark 100%
	pings 10 >/dev/null
	lift
	is 0 "$(wire_did w0 marked)"
	lay --mark 100%
	answered 10 pings 10 -Q 2
	lift
	is 10 "$(wire_did w0 marked)"
}
test_a_cut_wire_lets_nothing_pass_until_it_is_joined() {
	lay --rtt 0
	answered 1 pings 1
	kill -USR1 "$wire_pid"
	wait_for not in_ns client ping -q -c 1 -W 1 10.0.0.2
	pings 3 | grep -q ' 100% packet loss'
	kill -USR2 "$wire_pid"
	wait_for in_ns client ping -q -c 1 -W 1 10.0.0.2
}
test_a_hole_begins_and_ends() {
	lay --from-a --hole 0-500
	pings 1 | grep -q ' 100% packet loss'
	wait_for in_ns client ping -q -c 1 -W 1 10.0.0.2
	lift
	at_least 1 "$(wire_did w0 hole)" "frames in the hole"
}
test_both_ends_are_recorded() {
	local end
	lay --from-a --drop frame:3 --pcap "$TMPDIR/wire"
	answered 9 pings 10
	lift
	for end in a:19 b:18; do
		is "${end#*:}" "$(tcpdump -nr "$TMPDIR/wire.${end%:*}.pcap" icmp 2>/dev/null | wc -l)" "at $end"
	done
}
test_sums_left_to_the_device_are_made() {
	in_ns client ethtool -K c0 tx on >/dev/null
	lay --pcap "$TMPDIR/sum"
	carry up "$(file_of 100000)"
	lift
	fails grep -q incorrect <(tcpdump -vvnr "$TMPDIR/sum.a.pcap" tcp 2>/dev/null)
	grep -q 'cksum.*correct' <(tcpdump -vvnr "$TMPDIR/sum.a.pcap" tcp 2>/dev/null)
}
test_wrong_use_is_told() {
	local args
	for args in "" "w0" "--drop 2 w0 w1" "--drop pizza:1 w0 w1" "--rtt w0 w1" "--wrong w0 w1"; do
		local rc=0
		# shellcheck disable=SC2086
		in_ns wire wire $args 2>"$TMPDIR/stderr" || rc=$?
		is 2 $rc "$args"
		grep -q -- --help "$TMPDIR/stderr"
	done
	rc=0
	in_ns wire wire nosuch w1 2>"$TMPDIR/stderr" || rc=$?
	is 1 $rc
	grep -q 'nosuch: .*No such device' "$TMPDIR/stderr"
}

run_tests
