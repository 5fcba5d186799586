#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A connection ends in every order that it can, and looks as it does on plain Linux.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
#
# Each case is two lists of steps (tests/helpers/talk.c), run twice: with the server on plain
# Linux, and with it under taspilot. What both sides saw must be the same, and so must what
# is left of the sockets.
. "$(dirname "$0")/lib.sh"
need talk

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0

test_the_client_closes_first() {
	as_on_linux "accept recv=5 send=5 eof close" "connect send=5 recv=5 close"
}
test_the_server_closes_first() {
	as_on_linux "accept recv=5 send=5 close" "connect send=5 recv=5 eof close"
}
# The program closes while Linux is just being told that the client has: their FINs cross. A RST ends what then
# waits in Linux for the wrong side. The slow path is held up whenever it says something, and the program closes
# when that is about to be a TCP segment.
test_the_server_closes_before_linux_has_heard_of_the_clients_fin() {
	local tracer
	plain && return
	command -v strace >/dev/null || skip "strace is not installed"
	start tracer server strace -p "$(daemon_pid s0)" -o "$TMPDIR/says" -e trace=writev \
		-e inject=writev:delay_enter=300000 2>"$TMPDIR/strace"
	wait_for grep -q attached "$TMPDIR/strace"
	rm -rf "$TMPDIR"/{linux,taspilot}
	close_when_linux_is_told &
	as_on_linux "accept recv=5 send=5 eof mark=eof await=now close" "connect send=5 recv=5 close"
	stop "$tracer"
}
close_when_linux_is_told() {
	local kind
	for kind in linux taspilot; do
		wait_for test -e "$TMPDIR/$kind/eof"
		[ $kind = linux ] || wait_for grep -qF '\10\0E\0' "$TMPDIR/says"	# a frame of IPv4
		echo 1 >"$TMPDIR/$kind/now.new"
		mv "$TMPDIR/$kind"/now{.new,}
	done
}
# Whose FIN comes first is the scheduler's choice, and with it who waits in TIME_WAIT. That
# somebody does, and nobody resets, holds either way.
test_both_close_at_once() {
	local compare="server client" resets
	resets=$(snmp client OutRsts)+$(snmp server OutRsts)
	as_on_linux "accept recv=5 send=5 await=now shutwr eof close" \
		"connect send=5 recv=5 mark=now shutwr eof close"
	is "$resets" "$(snmp client OutRsts)+$(snmp server OutRsts)" "resets sent"
	at_least 1 "$(awk '{ n += $1 } END { print n }' "$TMPDIR/taspilot/time-wait")" "sockets in TIME_WAIT"
}
test_the_client_closes_its_direction_and_reads_on() {
	as_on_linux "accept eof send=3000000 close" "connect send=5 shutwr eof close"
}
test_the_server_closes_its_direction_and_reads_on() {
	as_on_linux "accept send=5 shutwr eof close" "connect eof send=3000000 close"
}
test_a_connection_closes_without_any_data() {
	as_on_linux "accept eof close" "connect close"
	as_on_linux "accept close" "connect eof close"
}
test_the_server_exits_without_closing() {
	as_on_linux "accept recv=5 send=100000 exit" "connect send=5 eof close"
}
test_the_server_is_killed() {
	as_on_linux "accept recv=5 send=100000 kill" "connect send=5 eof close"
}
test_the_server_is_killed_with_data_unread() {
	as_on_linux "accept unread=5 mark=there kill" "connect send=5 await=there drain"
}
test_the_server_closes_with_data_unread() {
	as_on_linux "accept unread=5 close" "connect send=5 drain error"
}
test_the_client_closes_with_data_unread() {
	as_on_linux "accept recv=5 send=5 drain" "connect send=5 unread=5 close"
}
test_the_server_closes_with_data_unread_that_a_fin_follows() {
	as_on_linux "accept unread=5 poll=rdhup close" "connect send=5 shutwr drain error"
}
test_the_server_is_killed_with_data_unread_that_a_fin_follows() {
	as_on_linux "accept unread=5 poll=rdhup mark=there kill" "connect send=5 shutwr await=there drain"
}
test_the_server_resets_with_data_unread_that_a_fin_follows() {
	as_on_linux "accept unread=5 poll=rdhup linger=0 close" "connect send=5 shutwr drain error"
}
test_the_server_sends_much_before_it_reads_what_a_fin_follows() {
	as_on_linux "accept unread=5 poll=rdhup send=3000000 recv=5 send=5 eof close" \
		"connect send=5 shutwr eof close"
}
test_the_server_shuts_down_before_it_reads_what_a_fin_follows() {
	as_on_linux "accept unread=5 poll=rdhup send=5 shutwr recv=5 eof close" \
		"connect send=5 shutwr eof close"
}
test_the_server_reads_all_that_a_fin_follows_and_closes_at_once() {
	as_on_linux "accept recv=2900000 poll=rdhup recv=100000 close" \
		"connect send=3000000 shutwr eof close"
}
# Nobody reads: perhaps because somebody waits for it in Linux, whom taspilot does not see. (ss counts
# the FIN as a byte.)
linux_has_it() { [ "$(in_ns server ss -Htn state close-wait "sport = :$1" | awk '{ print $1 }')" = 6 ]; }
test_what_nobody_reads_after_a_fin_becomes_linuxs() {
	local port=$((7000 + BASHPID % 20000)) server client
	export TALK_DIR=$TMPDIR/talk
	rm -rf "$TALK_DIR"; mkdir "$TALK_DIR"
	accel server server talk listen=$port mark=up accept unread=5 await=linuxs recv=5 eof send=5 close \
		>"$TALK_DIR/said"
	start client client talk await=up connect=10.0.0.2:$port send=5 shutwr recv=5 eof close
	wait_for linux_has_it $port
	echo 0 >"$TALK_DIR/linuxs.new"
	mv "$TALK_DIR"/linuxs{.new,}
	wait "$client"
	wait "$server"
	is "" "$(grep -Ev ': (ok|5|eof after 5)$' "$TALK_DIR/said")" "what went wrong"
}
test_data_after_the_server_closed_is_reset() {
	as_on_linux "accept recv=5 close mark=closed" "connect send=5 eof await=closed sendfail"
}
test_data_after_the_client_closed_is_reset() {
	as_on_linux "accept recv=5 eof sendfail" "connect send=5 close"
}
test_the_server_resets() {
	as_on_linux "accept recv=5 linger=0 close" "connect send=5 drain"
}
test_the_client_resets() {
	as_on_linux "accept recv=5 mark=read drain error" "connect send=5 await=read linger=0 close"
}
test_the_client_resets_while_the_server_waits_in_poll() {
	as_on_linux "accept recv=5 mark=read poll=in,rdhup drain" \
		"connect send=5 await=read linger=0 close"
}
test_the_client_resets_after_its_data() {
	as_on_linux "accept recv=5 send=5 drain" "connect send=5 recv=5 linger=0 close"
}
test_a_close_delivers_what_a_slow_reader_has_yet_to_read() {
	as_on_linux "accept recv=5 fill=amount close mark=closed" \
		"connect send=5 await=closed eof=amount close"
}
test_an_exit_delivers_what_a_slow_reader_has_yet_to_read() {
	as_on_linux "accept recv=5 fill=amount exit" "connect send=5 await=amount eof=amount close"
}
test_a_close_after_the_clients_fin_delivers_everything() {
	as_on_linux "accept eof fill=amount close mark=closed" \
		"connect send=5 shutwr await=closed eof=amount close"
}
test_the_clients_fin_comes_while_our_data_is_in_flight() {
	as_on_linux "accept recv=5 fill=amount mark=filled poll=rdhup eof close" \
		"connect send=5 await=filled shutwr eof=amount close"
}
test_shutdown_then_close() {
	as_on_linux "accept recv=5 send=100000 shutwr close" "connect send=5 eof close"
}
test_shutdown_of_reading_changes_nothing_on_the_wire() {
	as_on_linux "accept recv=5 shutrd send=5 close" "connect send=5 recv=5 eof close"
}
test_poll_reports_the_clients_half_close() {
	as_on_linux "accept recv=5 mark=read poll=in,rdhup eof send=5 close" \
		"connect send=5 await=read shutwr eof close"
}
test_a_forked_child_carries_on() {
	as_on_linux "accept fork recv=5 send=5 eof close" "connect send=5 recv=5 close"
}
test_the_same_ports_are_used_again_after_the_server_closed() {
	as_on_linux "accept recv=5 close accept recv=5 send=5 eof close" \
		"from=40001 connect send=5 eof close connect send=5 recv=5 close"
}
test_the_same_ports_are_used_again_after_a_reset() {
	as_on_linux "accept recv=5 drain accept recv=5 send=5 eof close" \
		"from=40002 connect send=5 linger=0 close connect send=5 recv=5 close"
}
test_megabytes_go_both_ways_before_the_end() {
	as_on_linux "accept recv=5000000 send=5000000 eof close" \
		"connect send=5000000 recv=5000000 close"
}

test_they_were_fast() {
	plain && return
	at_least 1000 "$(tp_status server s0 segments_fast_rx)" "segments that went fast"
}
test_nothing_is_left() {
	nothing_left server s0
}

run_tests
