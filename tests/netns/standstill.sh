#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A receiver that stops reading for a minute and goes on, on plain Linux and under taspilot at once.
#
#       client                     wire                     server
#   10.0.0.1/24 c0 ── veth ── w0  wire  w1 ── veth ── s0 10.0.0.2/24
#                                                     taspilot attached here
#
# Four files cross the wire, two each way, one of each under taspilot at the server. Their
# receivers read a megabyte and wait. Whoever sends then finds the window closed, and asks now and
# then whether it has opened: as often as Linux does.
. "$(dirname "$0")/lib.sh"
. "$top/tests/wire/lab.sh"
need wire bulk tcpdump jq

stand=60	# seconds
wired
attach server s0
lay --rtt 4 --rate 100M --seed 1 --pcap "$TMPDIR/seen"
file=$(file_of 20000000)
declare -A what=([7001]="up, Linux" [7002]="up, taspilot" [7003]="down, Linux" [7004]="down, taspilot")
pids=()

# cross PORT - one of the four
cross() {
	local port=$1 run=start server=send=$file client=send=$file pid
	local reads="recv=$TMPDIR/got.$1 at=1000000 pause=$TMPDIR/go"
	case ${what[$port]} in up*) server=$reads ;; *) client=$reads ;; esac
	case ${what[$port]} in *taspilot) run=accel ;; esac
	# shellcheck disable=SC2086
	$run pid server bulk listen="$port" $server
	wait_for listening server "$port"
	pids+=("$pid")
	# shellcheck disable=SC2086
	start pid client bulk connect=10.0.0.2:"$port" $client
	pids+=("$pid")
}

# closed PORT - somebody said that its window is closed
frames() { tcpdump -nr "$TMPDIR/seen.a.pcap" "tcp port $1" 2>/dev/null; }
# (all of it read: who is cut off in the midst of writing fails)
closed() { [ -n "$(frames "$1" | grep ' win 0,')" ]; }

# asked PORT - frames of the sender between the first and the last word that the window is closed
asked() {
	frames "$1" | awk -v up="${what[$1]%%,*}" '
		{ of_sender = ($3 ~ /^10\.0\.0\.1\./) == (up == "up") }
		!of_sender && / win 0,/ { n = since; begun = 1 }
		begun && of_sender { since++ }
		END { print n + 0 }'
}

ticks() { awk '{ print $14 + $15 }' "/proc/$(daemon_pid s0)/stat"; }

test_a_receiver_that_stops_for_a_minute_costs_nothing_and_loses_nothing() {
	local port pid ours theirs before after
	for port in "${!what[@]}"; do cross "$port"; done
	for port in "${!what[@]}"; do wait_for closed "$port"; done
	plain || before=$(ticks)
	sleep $stand
	plain || after=$(ticks)
	touch "$TMPDIR/go"
	for pid in "${pids[@]}"; do wait "$pid"; done
	lift
	for port in "${!what[@]}"; do
		is "$(sha256sum <"$file")" "$(sha256sum <"$TMPDIR/got.$port")" "SHA-256 of what went ${what[$port]}"
	done
	for port in 7001 7003; do
		theirs=$(asked "$port") ours=$(asked $((port + 1)))
		echo "${what[$port]%%,*}: $ours probes in $stand s, Linux $theirs"
		at_least $((theirs - 1)) "$ours" "probes of ${what[$((port + 1))]}"
		at_most $((theirs + 1)) "$ours" "probes of ${what[$((port + 1))]}"
		at_least 6 "$theirs" "probes of ${what[$port]}"
	done
	plain && return
	echo "taspilotd used $((after - before)) ticks of 10 ms"
	at_most 100 $((after - before)) "ticks of taspilotd in $stand s"
}

run_tests
