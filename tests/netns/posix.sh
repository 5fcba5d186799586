#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What a program sees of its sockets, case by case, is what it sees on plain Linux. The cases, and
# what they print, are tests/posix's; tests/posix/differences says which may differ, and why.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#   the other end                   the subject: plain first, then accelerated
. "$(dirname "$0")/lib.sh"

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0

# cases KIND - all of them, or those whose name contains TP_CASE; what they said goes to KIND
cases() {
	local sock=$TMPDIR/$1.sock run=in_ns pid
	[ "$1" = linux ] || run=accel_in
	start pid client posix peer "$sock" 10.0.0.2
	$run server timeout 600 posix subject "$sock" 10.0.0.1 ${TP_CASE:+"$TP_CASE"} >"$TMPDIR/$1"
	stop "$pid"
}
# intended FILE - without the cases that may differ
intended() {
	awk -F '\t' 'NR == FNR { may[$1] = 1; next } /^[a-z]/ { skip = $1 in may } !skip' \
		"$top/tests/posix/differences" "$1"
}
test_every_case_ends_as_on_linux() {
	cases linux
	count_from server s0
	cases taspilot
	mostly_fast server s0 50
	is "" "$(grep -B 3 hangs "$TMPDIR/linux")" "what hangs on Linux"
	diff <(intended "$TMPDIR/linux") <(intended "$TMPDIR/taspilot") -U99 |
		awk '/^ [a-z]/ { name = $0 } /^[-+] / { if (name) print name; name = ""; print }
			END { exit NR > 0 }'
}

run_tests
