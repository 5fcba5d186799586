#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# What Linux decides about routes, neighbours and time holds for connections that are ours.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
need socat talk jq

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0

# serve PORT [SOCKET OPTIONS] - a conversation that is ours
serve() { talk_on "$@"; plain || wait_for flows_are 1; }
mss() { flow .mss; }
# flow FIGURE - of the only one there is
flow() { in_ns server taspilot flows --json | jq -r ".[0]$1"; }

test_a_neighbour_that_gets_another_address() {
	serve 8001
	in_ns client ip link set c0 address 02:00:00:00:77:01
	in_ns server ip neigh replace 10.0.0.1 lladdr 02:00:00:00:77:01 dev s0
	in_ns client ip neigh flush dev c0
	say "found again"
	plain || flows_are 1
	hang_up
}

test_a_smaller_mtu_makes_smaller_segments() {
	serve 8002
	in_ns server ip link set s0 mtu 1000
	plain || wait_for small_segments
	say "in small pieces"
	in_ns server ip link set s0 mtu 1500
	say "and back"
	hang_up
}
small_segments() { [ "$(mss)" -le 948 ]; }

test_an_address_that_goes_takes_its_flows_back_to_linux() {
	serve 8003
	in_ns server ip addr del 10.0.0.2/24 dev s0
	plain || wait_for flows_are 0
	in_ns server ip addr add 10.0.0.2/24 dev s0
	say "by linux"
	hang_up
}

test_the_link_goes_down_and_up_and_nothing_is_lost() {
	serve 8004
	in_ns server ip link set s0 down
	in_ns server ip link set s0 up
	wait_for carrier server s0
	say "still there"
	hang_up
}

test_keepalive_lets_a_silent_connection_live() {
	serve 8005 keepalive,keepidle=1,keepintvl=1,keepcnt=2
	wait_for probes_answered 3
	say "still there"
	hang_up
}
# Linux counts what it sends; the probes are the only thing that it does for this connection
probes_answered() { [ "$(in_ns server nstat -asz TcpExtTCPKeepAlive | awk '/KeepAlive/ { print $2 }')" -ge "$1" ]; }

test_keepalive_finds_a_dead_peer() {
	serve 8006 keepalive,keepidle=1,keepintvl=1,keepcnt=2
	in_ns client ip link set c0 down
	wait_for gone "$served"
	in_ns client ip link set c0 up
	kill "$talker"
	plain || wait_for flows_are 0
}

# While the connection is ours Linux holds its options; each change reaches the fast path.
test_another_congestion_control_takes_effect_at_once() {
	local talks
	export TALK_DIR=$TMPDIR
	accel talks server talk listen=8007 accept recv=5 cc=cubic mark=changed await=seen send=5 \
		cc=reno mark=again await=seen_too eof close
	wait_for listening server 8007
	in_ns client talk connect=10.0.0.2:8007 send=5 recv=5 await=seen_too shutwr eof close &
	wait_for test -e "$TMPDIR/changed"
	plain || wait_for uses cubic
	echo 1 >"$TMPDIR/seen"
	wait_for test -e "$TMPDIR/again"
	plain || wait_for uses reno
	echo 1 >"$TMPDIR/seen_too"
	wait "$talks" $!
	plain || wait_for flows_are 0
}
uses() { [ "$(flow .cc)" = "$1" ]; }

# Longer than a program waits for a claim, after which Linux would have the connection. Here it has not.
test_what_is_set_while_the_daemon_stands_still_takes_effect() {
	plain && return
	local talks pid
	export TALK_DIR=$TMPDIR/still
	mkdir -p "$TALK_DIR"
	pid=$(daemon_pid s0)
	accel talks server talk listen=8009 accept recv=5 send=5 mark=ours await=stopped cc=reno eof close
	wait_for listening server 8009
	in_ns client talk connect=10.0.0.2:8009 send=5 recv=5 await=seen shutwr eof close &
	wait_for test -e "$TALK_DIR/ours"
	wait_for flows_are 1
	kill -STOP "$pid"
	echo 1 >"$TALK_DIR/stopped.new"; mv "$TALK_DIR"/stopped{.new,}
	sleep 2.5
	kill -CONT "$pid"
	wait_for uses reno
	echo 1 >"$TALK_DIR/seen.new"; mv "$TALK_DIR"/seen{.new,}
	wait "$talks" $!
	wait_for flows_are 0
}

test_what_a_route_says_holds_for_connections_that_are_ours() {
	in_ns server ip route change 10.0.0.0/24 dev s0 src 10.0.0.2 congctl reno rto_min 60ms initcwnd 33
	serve 8008
	if ! plain; then
		is reno "$(flow .cc)"
		at_least 33 "$(flow .cwnd)" "congestion window"
		wait_for low_rto
	fi
	in_ns server ip route change 10.0.0.0/24 dev s0 src 10.0.0.2
	hang_up
}
# below Linux's usual least, once what it measured while the machine was busy is forgotten
low_rto() { say "once more" && [ "$(flow .rto_us)" -lt 150000 ]; }

run_tests
