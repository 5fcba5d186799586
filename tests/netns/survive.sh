#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs and the daemon die or stop, at a bad moment; what is not theirs goes on.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
. "$(dirname "$0")/lib.sh"
need rpc_server rpc_client conn_rate talk

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
start plain_server server rpc_server --port 7999
wait_for listening server 7999

after_each() { plain || detached server s0; }
pings() { in_ns client ping -c 3 -i 0.2 -W 30 10.0.0.2; }
plain_works() { in_ns client rpc_client --addr 10.0.0.2 --port 7999 --secs 1 --warmup 0; }
# answers PORT - a new connection to it works
answers() { in_ns client conn_rate --addr 10.0.0.2 --port "$1" --count 1 --echo; }
# nic - all that attaching could change; without what only counts
nic() {
	in_ns server ip -d link show s0
	in_ns server ip -d addr show s0 | grep -v valid_lft
	in_ns server ip link show tas0 2>/dev/null || true
	in_ns server tc qdisc show dev s0
	in_ns server ethtool -k s0
}

test_a_killed_server_leaves_what_linux_would_leave() {
	attach server s0
	accel server_pid server rpc_server --port 7001
	wait_for listening server 7001
	in_ns client rpc_client --addr 10.0.0.2 --port 7001 --conns 50 --secs 30 >"$TMPDIR/load" &
	local load=$! rc=0
	wait_for established server 7001 50
	stop "$server_pid" KILL
	wait "$load" || rc=$?
	is 1 "$rc" "the client's status"
	grep -q "broken connections 50" "$TMPDIR/load" || { cat "$TMPDIR/load"; return 1; }
	fails answers 7001
	nothing_left server s0
	accel server_pid server rpc_server --port 7001
	wait_for answers 7001
	stop "$server_pid"
	detach server s0
}
established() { [ "$(in_ns "$1" ss -Htn state established "sport = :$2" | wc -l)" -ge "$3" ]; }

test_a_killed_daemon_changes_nothing_for_the_rest() {
	plain && return
	local before
	before=$(nic)
	attach server s0
	accel server_pid server rpc_server --port 7002
	wait_for listening server 7002
	answers 7002
	stop "$(daemon_pid s0)" KILL
	pings
	plain_works
	wait_for answers 7002
	plain_works
	stop "$server_pid"
	detach server s0
	diff <(echo "$before") <(nic)
}

test_a_server_started_without_a_daemon_works() {
	accel server_pid server rpc_server --port 7003
	wait_for listening server 7003
	answers 7003
	stop "$server_pid"
}

test_an_open_connection_of_a_killed_daemon_fails_and_does_not_hang() {
	plain && return
	attach server s0
	export TALK_DIR=$TMPDIR/killed
	mkdir -p "$TALK_DIR"
	accel server_pid server talk listen=7004 mark=up accept recv=5 send=5 mark=ready drain >"$TALK_DIR/server"
	start client_pid client talk await=up connect=10.0.0.2:7004 send=5 recv=5 await=never
	wait_for test -e "$TALK_DIR/ready"
	stop "$(daemon_pid s0)" KILL
	wait_for gone "$server_pid"
	grep -q "drain: ECONNRESET" "$TALK_DIR/server" || { cat "$TALK_DIR/server"; return 1; }
	detach server s0
}

test_a_stopped_daemon_lets_new_connections_through_and_replays_none() {
	plain && return
	attach server s0
	accel server_pid server rpc_server --port 7005
	wait_for listening server 7005
	answers 7005
	kill -STOP "$(daemon_pid s0)"
	wait_for answers 7005
	pings
	plain_works
	in_ns client conn_rate --addr 10.0.0.2 --port 7005 --secs 8 --parallel 4 --echo
	local resets
	resets=$(snmp server OutRsts)
	kill -CONT "$(daemon_pid s0)"
	wait_for accelerated_again
	is "$resets" "$(snmp server OutRsts)" "resets sent"
	is 0 "$(in_ns server ss -Htn state syn-recv | wc -l)" "half-open connections"
	stop "$server_pid"
	detach server s0
}
# The shim waits a second for an answer, and then the connection is Linux's: a claim that the daemon
# finds when it goes on is nobody's.
test_what_a_program_gave_up_asking_for_is_not_done() {
	plain && return
	attach server s0
	export TALK_DIR=$TMPDIR/gaveup
	mkdir -p "$TALK_DIR"
	accel server_pid server talk listen=7006 mark=up await=stopped accept mark=accepted recv=5 \
		send=5 eof close >"$TALK_DIR/server"
	start client_pid client talk await=up connect=10.0.0.2:7006 mark=connected await=go send=5 \
		recv=5 shutwr eof close >"$TALK_DIR/client"
	wait_for test -e "$TALK_DIR/connected"
	kill -STOP "$(daemon_pid s0)"
	echo 1 >"$TALK_DIR/stopped.new"; mv "$TALK_DIR"/stopped{.new,}
	wait_for test -e "$TALK_DIR/accepted"
	kill -CONT "$(daemon_pid s0)"
	in_ns server taspilot status
	echo 1 >"$TALK_DIR/go.new"; mv "$TALK_DIR"/go{.new,}
	wait "$client_pid" "$server_pid"
	is "" "$(grep -h hangs "$TALK_DIR"/{server,client})"
	detach server s0
}
# A new connection goes fast. One that lives: the listener has seen many short ones (young.c).
accelerated_again() {
	count_from server s0
	in_ns client rpc_client --addr 10.0.0.2 --port 7005 --secs 1 --warmup 0
	[ "$(segments_fast server s0)" -gt 0 ]
}

test_the_machine_is_as_it_was() {
	plain && return
	is "" "$(ls /sys/fs/bpf/taspilot 2>/dev/null)"
	is "" "$(in_ns server bpftool net show dev s0 | grep -i taspilot || true)"
	fails in_ns server ip link show tas0
}

run_tests
