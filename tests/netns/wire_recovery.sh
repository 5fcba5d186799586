#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The one segment that must not be lost is lost: every conversation ends as on plain Linux.
#
#       client                     wire                     server
#   10.0.0.1/24 c0 ── veth ── w0  wire  w1 ── veth ── s0 10.0.0.2/24
#                                                     taspilot attached here
#
# Each case is what the wire loses, chosen by class and number in a direction (a is the
# client's end), and two lists of steps (tests/helpers/talk.c). The client waits until the
# server has accepted, so that the connection is taspilot's when the data comes.
. "$(dirname "$0")/lib.sh"
. "$top/tests/wire/lab.sh"
need wire talk jq

wired
attach server s0
road="--rtt 4 --rate 100M"
to_server="accept mark=ours recv=60000 send=1 eof close"
from_client="connect await=ours send=60000 recv=1 close"
to_client="connect await=ours send=1 eof close"
from_server="accept mark=ours recv=1 send=60000 close"

# up OPTIONS..., down OPTIONS... - the client sends, the server sends
up() { as_on_linux_over "$road $*" "$to_server" "$from_client"; }
down() { as_on_linux_over "$road $*" "$from_server" "$to_client"; }

test_the_syn_is_lost() { up --from-a --drop syn:1; }
test_the_syn_ack_is_lost() { up --from-b --drop syn:1; }
test_the_ack_of_the_handshake_is_lost() {
	up --from-a --drop ack:1
	down --from-a --drop ack:1
}
test_the_first_segment_is_lost() {
	up --from-a --drop data:1
	down --from-b --drop data:1
}
test_the_last_segment_is_lost() {
	# 60000 bytes are 42 segments of 1448
	up --from-a --drop data:42
	down --from-b --drop data:42
}
test_the_last_segments_are_lost() {
	up --from-a --drop data:39-42
	down --from-b --drop data:39-42
}
test_the_whole_first_window_is_lost() {
	up --from-a --drop data:1-10
	down --from-b --drop data:1-10
}
test_all_but_the_last_of_the_window_are_lost() {
	up --from-a --drop data:1-9
	down --from-b --drop data:1-9
}
test_retransmissions_are_lost_too() {
	up --from-a --drop data:3 --drop data:9-14
	down --from-b --drop data:3 --drop data:9-14
}
test_every_second_segment_is_lost() {
	up --from-a --drop data:/2
	down --from-b --drop data:/2
}
test_the_fin_of_the_server_is_lost() { down --from-b --drop fin:1; }
test_the_fin_of_the_server_is_lost_three_times() { down --from-b --drop fin:1-3; }
test_the_fin_of_the_client_is_lost() { up --from-a --drop fin:1; }
test_both_fins_are_lost() { up --drop fin:1; }
test_data_and_fin_are_lost_together() {
	up --from-a --drop data:40-42 --drop fin:1
	down --from-b --drop data:40-42 --drop fin:1
}
test_acknowledgements_are_lost() {
	up --from-b --drop ack:1-5
	down --from-a --drop ack:3-7
}
test_most_acknowledgements_are_lost() {
	up --from-b --drop ack:2-3,5-7,9-10
	down --from-a --drop ack:2-3,5-7,9-10
}
test_nothing_passes_for_a_second() {
	as_on_linux_over "--rtt 4 --rate 10M --queue 64K --hole 200-1200" \
		"accept mark=ours recv=1000000 send=1000000 eof close" \
		"connect await=ours send=1000000 recv=1000000 close"
}
test_a_seventh_of_everything_is_lost() {
	up --drop 15%
	down --drop 15%
}
test_the_window_opens_again_though_half_of_all_acks_are_lost() {
	as_on_linux_over "$road --drop ack:/2" \
		"rcvbuf=20000 accept mark=ours recv=1 await=full eof=full close" \
		"connect await=ours send=1 fill=full close"
	as_on_linux_over "$road --drop ack:/2" \
		"accept mark=ours recv=1 fill=full close" \
		"connect await=ours send=1 await=full eof=full close"
}

test_it_was_fast() {
	plain && return
	at_least 1000 "$(tp_status server s0 segments_fast_rx)" "segments that went fast"
}

run_tests
