#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The same segments to Linux and to taspilot: the answers are the same.
#
#        peer ── veth ── linux 10.0.0.2                plain Linux
#       tpeer ── veth ── taspilot 10.0.0.2             taspilot attached here
#
# The peer is no TCP but a script of segments, from an address that its Linux does not have
# (tests/diff/segments.c); what answers is a program (tests/helpers/talk.c). A script says
# only what to send: what Linux answers is what taspilot is to answer. Where it is meant to
# differ, tests/diff/differences says why. A difference counts when it is there twenty times in
# a row: a slow machine can turn "at once" into "soon".
#
#   TP_ONLY=REGEX   only the scripts whose name matches      V=1   show the records
#   JOBS=4          at a time
. "$(dirname "$0")/lib.sh"
need segments talk

scripts=$top/tests/diff

link peer c0 10.0.0.1/24  linux s0 10.0.0.2/24
link tpeer t0 10.0.0.1/24  taspilot s0 10.0.0.2/24
for ns in linux taspilot; do
	in_ns $ns ethtool -K s0 tso off gso off >/dev/null
	# what one script taught Linux about its peer is nothing to the next
	sysctl_in $ns net.ipv4.tcp_ecn=1 net.ipv4.tcp_no_metrics_save=1 \
		net.ipv4.tcp_congestion_control=reno
done
attach taspilot s0

# meet KIND SCRIPT PEER-NS PEER-IF PORT - the script against a TCP; what both said
meet() {
	local dir=$TMPDIR/$2/$1 script=$scripts/$2.seg pid run=start
	rm -rf "$dir"; mkdir -p "$dir"
	[ "$1" = linux ] || run=accel
	# shellcheck disable=SC2046
	TALK_DIR=$dir $run pid "$1" talk listen="$5" mark=up $(segments "$script" 10.0.0.9 "$5") \
		>"$dir/program"
	wait_for listening "$1" "$5"
	in_ns "$3" segments "$script" "$4" 10.0.0.9 10.0.0.2:"$5" "$dir" >"$dir/record" 2>&1 ||
		echo "the script ends with status $?" >>"$dir/record"
	wait "$pid" || echo "status $?" >>"$dir/program"
	sed -i "s/:$((20000 + $5)): /: /" "$dir/program"
}

# both SCRIPT WHAT - record or program, of the two
both() { diff -U99 --label linux --label taspilot "$TMPDIR/$1"/{linux,taspilot}/"$2"; }

# changes SCRIPT - what differs between the two, as the + and - lines of a diff
changes() {
	local what
	for what in record program; do
		both "$1" $what | tail -n +4 | grep '^[-+]' || true
	done
}

# meant SCRIPT - what is meant to differ; both with plain Linux: nothing
meant() {
	plain || awk -v script="$1" '
		/^[a-z0-9_]/ { on = $1 == script }
		on && /^[-+]/' "$scripts/differences"
}

once() { # SCRIPT PORT
	local other
	meet linux "$1" peer c0 "$2" &
	other=$!
	meet taspilot "$1" tpeer t0 "$2"
	wait $other
	[ "$(changes "$1")" != "$(meant "$1")" ] || return 0
	both "$1" record || true
	both "$1" program || true
	[ -z "$(meant "$1")" ] || { echo "tests/diff/differences expects:"; meant "$1"; }
	return 1
}

# judge NUMBER SCRIPT - up to twenty times; a line of TAP
judge() {
	local try log=$TMPDIR/$2.log
	for try in {1..20}; do
		if once "$2" $((7000 + 20 * $1 + try)) >"$log" 2>&1; then
			echo "ok $1 - ${2//_/ }"
			[ -z "${V:-}" ] || sed 's/^/#   /' "$TMPDIR/$2"/linux/{record,program}
			return
		fi
	done
	echo "not ok $1 - ${2//_/ }"
	sed 's/^/#   /' "$log"
}

# They mostly wait, so several run at a time.
mapfile -t all < <(cd "$scripts" && ls ./*.seg | sed 's,^\./,,; s,\.seg$,,' | grep -E "${TP_ONLY:-}")
echo "1..$((${#all[@]} + 1))"
for i in "${!all[@]}"; do
	while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-4}" ]; do wait -n || true; done
	judge $((i + 1)) "${all[i]}" >"$TMPDIR/result.$i" &
done
wait
for i in "${!all[@]}"; do cat "$TMPDIR/result.$i"; done >"$TMPDIR/results"
fast=$(plain || tp_status taspilot s0 segments_fast_rx)
{ plain || [ "$fast" -gt "${#all[@]}" ] || echo -n "not "; } >>"$TMPDIR/results"
echo "ok $((${#all[@]} + 1)) - it was taspilot that answered" >>"$TMPDIR/results"
cat "$TMPDIR/results"
! grep -q '^not ok' "$TMPDIR/results"
