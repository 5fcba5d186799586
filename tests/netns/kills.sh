#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs are killed at random moments, under load: nobody else notices.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
#
# A bystander, accelerated too, is asked all the time, and none of its answers may be missing or
# wrong. Beside it, several at a time, victims start, work, and are killed by SIGKILL: servers with
# an epoll, with threads, with a process a connection; senders and receivers of streams; clients; and one
# of two processes that share a connection, of which the other goes on. Afterwards taspilotd holds
# what it held before.
#
#   TP_KILLS=60    how many (1000 to be thorough)
#   TP_SEED=1      what is drawn
. "$(dirname "$0")/lib.sh"
need rpc_server rpc_client bulk jq pgrep pkill
kills=${TP_KILLS:-60} seed=${TP_SEED:-1} lanes=4

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
attach server s0

# asked_all_the_time FILE - rounds of requests to the bystander until FILE exists
asked_all_the_time() {
	until [ -e "$1" ]; do
		in_ns client rpc_client --addr 10.0.0.2 --port 7000 --conns 4 --secs 1 --warmup 0 >"$TMPDIR/asked" ||
			{ cat "$TMPDIR/asked"; return 1; }
	done
}

# a_moment - that the victim lives: from its first instruction to well into its work
a_moment() { sleep "0.$(printf %03d $((RANDOM % 250)))"; }
up_or_gone() { gone "$2" || listening server "$1"; }
# over PID... - they end, whatever they say about it
over() { local p; for p; do wait_for gone "$p"; wait "$p" 2>/dev/null || true; done; }

# parted PORT - no client is connected to it, or believes so
parted() { [ -z "$(in_ns client ss -Htn state established "dport = :$1")" ]; }
# a_server PORT OPTIONS... - its client hears of the end, and does not wait for ever
a_server() {
	local victim asking
	accel victim server rpc_server --port "$1" "${@:2}"
	[ $((RANDOM % 4)) = 0 ] || wait_for up_or_gone "$1" "$victim"
	start asking client rpc_client --addr 10.0.0.2 --port "$1" --conns 8 --secs 60 --warmup 0
	a_moment
	kill -KILL "$victim"
	over "$victim"
	pkill -KILL -f "^rpc_server --port $1( |$)" || true	# a process a connection: its children
	wait_for parted "$1"
	stop "$asking"
}
# a_stream PORT DOES PEER-DOES
a_stream() {
	local victim peer
	accel victim server bulk listen="$1" $2 until="$TMPDIR/never"
	wait_for listening server "$1"
	start peer client bulk connect=10.0.0.2:"$1" $3 until="$TMPDIR/never"
	a_moment
	kill -KILL "$victim"
	over "$victim" "$peer"
}
# a_client - of a plain server
a_client() {
	local victim
	accel victim server rpc_client --addr 10.0.0.1 --port 6999 --conns 8 --secs 60 --warmup 0
	a_moment
	kill -KILL "$victim"
	over "$victim"
}
# one_of_two PORT - the child that sends is killed, or the parent that receives. Who is left goes
# on: the parent reads all that comes and closes, so that the peer is content; the child ends.
one_of_two() {
	local parent child peer stop=$TMPDIR/stop.$1 rc=0
	accel parent server bulk listen="$1" send recv until="$stop"
	wait_for listening server "$1"
	start peer client bulk connect=10.0.0.2:"$1" send recv until="$stop"
	wait_for pgrep -P "$parent"
	child=$(pgrep -P "$parent")
	a_moment
	if [ $((RANDOM % 2)) = 0 ]; then
		kill -KILL "$child"
		touch "$stop"
		wait "$peer" || { echo "the peer of a connection whose sender was killed failed"; return 1; }
		over "$parent"
	else
		kill -KILL "$parent"
		touch "$stop"
		over "$parent" "$peer"
		wait_for gone "$child"
	fi
}

victim() { # PORT
	case $((RANDOM % 8)) in
	0 | 1) a_server "$1" ;;
	2) a_server "$1" --model threads ;;
	3) a_server "$1" --model forks ;;
	4) a_stream "$1" recv send ;;
	5) a_stream "$1" send recv ;;
	6) a_client ;;
	7) one_of_two "$1" ;;
	esac
}
lane() { # NUMBER
	local i
	RANDOM=$((seed * lanes + $1))
	for ((i = $1; i < kills; i += lanes)); do
		victim $((10000 + i)) >"$TMPDIR/lane.$1" 2>&1 ||
			{ echo "kill $i of seed $seed:"; cat "$TMPDIR/lane.$1"; return 1; }
	done
}

accelerated() { [ "$(tp_status server s0 setups)" -ge "$1" ]; }

test_nobody_notices_that_others_are_killed() {
	local bystander held asking i n=()
	plain || held=$(holdings s0)
	start _ client rpc_server --port 6999
	accel bystander server rpc_server --port 7000
	wait_for listening server 7000
	asked_all_the_time "$TMPDIR/enough" &
	asking=$!
	for ((i = 0; i < lanes; i++)); do
		lane $i &
		n+=($!)
	done
	for i in "${n[@]}"; do wait "$i"; done
	# who is killed early has none, but the bystander is asked on
	plain || wait_for accelerated $((2 * kills))
	touch "$TMPDIR/enough"
	wait "$asking"
	stop "$bystander"
	plain && return
	nothing_left server s0
	leaks_nothing s0 "$held"
}

run_tests
