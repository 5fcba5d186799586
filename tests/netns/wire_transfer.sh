#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What crosses a bad wire arrives complete and unharmed, in both directions.
#
#       client                     wire                     server
#   10.0.0.1/24 c0 ── veth ── w0  wire  w1 ── veth ── s0 10.0.0.2/24
#                                                     taspilot attached here
#
# The wire (tests/wire) harms data and acknowledgements alike. Each test asks it afterwards
# whether it did: a wire that was kind shows nothing.
. "$(dirname "$0")/lib.sh"
. "$top/tests/wire/lab.sh"
need wire bulk jq sha256sum

wired
attach server s0
road="--rtt 4 --rate 100M --queue 256K"

# over HARM OPTIONS... - a file each way; the wire must have done HARM in each direction
over() {
	local file way
	file=$(file_of 3000000)
	for way in up down; do
		# shellcheck disable=SC2086
		lay $road --seed 7 "${@:2}"
		carry $way "$file"
		lift
		wire_was_sound
		[ "$1" = nothing ] || at_least 1 "$(wire_did $([ $way = up ] && echo w0 || echo w1) "$1")" "$1"
	done
}

test_nothing_is_lost_on_a_clean_wire() { over nothing; }
test_one_frame_in_a_thousand_is_lost() { over lost --drop data:/1000 --drop 0.1%; }
test_one_frame_in_a_hundred_is_lost() { over lost --drop 1%; }
test_three_frames_in_a_hundred_are_lost() { over lost --drop 3%; }
test_frames_are_lost_in_bursts() { over burst --burst 0.5%:20%; }
test_a_short_queue_overflows() { over full --queue 20K; }
test_frames_are_reordered() { over reordered --reorder 1% --reorder-by 1-3; }
test_many_frames_are_far_out_of_order() { over reordered --reorder 30% --reorder-by 0-8; }
test_frames_come_twice() { over duplicated --duplicate 1%; }
test_every_frame_comes_twice() { over duplicated --duplicate 100%; }
test_frames_are_corrupted() { over corrupted --corrupt 1%; }
test_frames_are_truncated() { over truncated --truncate 1%; }
test_everything_goes_wrong_at_once() {
	over lost --drop 1% --burst 0.2%:30% --reorder 2% --duplicate 2% --corrupt 1% --truncate 1%
}
test_only_acknowledgements_are_lost() {
	local file
	file=$(file_of 3000000)
	# shellcheck disable=SC2086
	{
		lay $road --from-b --drop 20%; carry up "$file"
		lay $road --from-a --drop 20%; carry down "$file"
	}
}
test_both_directions_at_once() {
	local pid file
	file=$(file_of 3000000)
	lay --rtt 4 --rate 100M --queue 128K --drop 1% --reorder 1%
	accel pid server bulk listen=7000 send="$file" recv="$TMPDIR/up"
	wait_for listening server 7000
	in_ns client bulk connect=10.0.0.2:7000 send="$file" recv="$TMPDIR/down"
	wait "$pid"
	cmp "$file" "$TMPDIR/up"
	cmp "$file" "$TMPDIR/down"
}

test_it_was_fast() {
	plain && return
	at_least 10000 "$(tp_status server s0 segments_fast_rx)" "segments that went fast"
}

run_tests
