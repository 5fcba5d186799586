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
# differ, tests/diff/differences says why. A difference counts when it is there three times in
# a row: a slow machine can turn "at once" into "soon".
#
#   TP_ONLY=REGEX   only the scripts whose name matches      V=1   show the records
. "$(dirname "$0")/lib.sh"
need segments talk

scripts=$top/tests/diff

link peer c0 10.0.0.1/24  linux s0 10.0.0.2/24
link tpeer t0 10.0.0.1/24  taspilot s0 10.0.0.2/24
for ns in linux taspilot; do
	in_ns $ns ethtool -K s0 tso off gso off >/dev/null
	sysctl_in $ns net.ipv4.tcp_ecn=1
done
attach taspilot s0

# meet KIND SCRIPT PEER-NS PEER-IF PORT - the script against a TCP; what both said
meet() {
	local dir=$TMPDIR/$1 pid run=start
	rm -rf "$dir"; mkdir "$dir"
	[ "$1" = linux ] || run=accel
	# shellcheck disable=SC2046
	TALK_DIR=$dir $run pid "$1" talk listen="$5" mark=up $(segments "$2") >"$dir/program"
	wait_for listening "$1" "$5"
	in_ns "$3" segments "$2" "$4" 10.0.0.9 10.0.0.2:"$5" "$dir" >"$dir/record" 2>&1
	wait "$pid"
}

# changes - what differs between the two, as the + and - lines of a diff
changes() {
	local what
	for what in record program; do
		diff -U99 "$TMPDIR"/{linux,taspilot}/$what | tail -n +4 | grep '^[-+]' || true
	done
}

# meant SCRIPT - what is meant to differ; both with plain Linux: nothing
meant() {
	plain || awk -v script="$1" '
		/^[a-z0-9_]/ { on = $1 == script }
		on && /^[-+]/' "$scripts/differences"
}

compare() { # SCRIPT
	[ "$(changes)" != "$(meant "$1")" ] || return 0
	diff -U99 --label linux --label taspilot "$TMPDIR"/{linux,taspilot}/record || true
	diff -U99 --label linux --label taspilot "$TMPDIR"/{linux,taspilot}/program || true
	[ -z "$(meant "$1")" ] || { echo "tests/diff/differences expects:"; meant "$1"; }
	return 1
}

one_script() { # NAME PORT
	local pid
	(meet linux "$scripts/$1.seg" peer c0 "$2") &
	pid=$!
	meet taspilot "$scripts/$1.seg" tpeer t0 "$2"
	wait $pid
	compare "$1"
}

run_scripts() {
	local all t n=0 bad=0 rc try port=7000 log=$TMPDIR/log
	mapfile -t all < <(cd "$scripts" && ls ./*.seg | sed 's,^\./,,; s,\.seg$,,' | grep -E "${TP_ONLY:-}")
	echo "1..${#all[@]}"
	for t in "${all[@]}"; do
		n=$((n + 1))
		for try in 1 2 3; do
			port=$((port + 1)) rc=0
			(set -e; one_script "$t" $port) >"$log" 2>&1 &
			wait $! || rc=$?
			[ $rc != 0 ] || break
		done
		if [ $rc = 0 ]; then echo "ok $n - ${t//_/ }"; else echo "not ok $n - ${t//_/ }"; bad=1; fi
		[ $rc = 0 ] || sed 's/^/#   /' "$log"
		[ -z "${V:-}" ] || sed 's/^/#   /' "$TMPDIR/linux/record" "$TMPDIR/linux/program"
	done
	exit $bad
}

run_scripts
