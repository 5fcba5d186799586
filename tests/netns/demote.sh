#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# A connection that is handed back to Linux in the middle of a stream goes on there: not a
# byte lost, doubled or moved.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
#                                   taspilot attached here
#
# Each transfer is demoted once one side has moved a random number of bytes; which side, in
# pieces of which size both work, and whether that side stands still there until the flow is on its
# way, is drawn as well. The receiver compares every byte (tests/helpers/bulk.c).
#
#   TP_TURNS=20    so many transfers in each direction
#   TP_SEED=1      what is drawn
. "$(dirname "$0")/lib.sh"
need bulk jq mkfifo stuck talk
turns=${TP_TURNS:-20} seed=${TP_SEED:-1}

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
after_each() { detached server s0; }

demote() { plain || in_ns server taspilot demote "$@"; }
# so many were told to go
told() { plain || is "$1" "$(in_ns server taspilot status --json | jq '.[0].handed_back.DEMOTED')"; }

ours() { plain || in_ns server taspilot flows --json | grep -q "10\.0\.0\.2:$1\""; }

# draw - $at, $pieces of the server and the client, $who marks, $stop: it waits there
draw() {
	local bits=$((RANDOM % 24))
	at=$(((RANDOM << 15 | RANDOM) % (2 << bits)))
	pieces=($((1 + RANDOM * 4 % 131072)) $((1 + RANDOM * 4 % 131072)))
	who=$((RANDOM % 2)) stop=$((RANDOM % 3))
}
drawn() { echo "seed $seed, turn $i: at $at, pieces ${pieces[*]}, $([ "$who" = 0 ] && echo server || echo client) marks, stop $stop"; }

# transfer PORT SERVER-DOES CLIENT-DOES - demoted at a random byte; both must be content
transfer() {
	local server client demoting until=until=$TMPDIR/enough does=("" "")
	rm -f "$TMPDIR"/{enough,go,mark}
	mkfifo "$TMPDIR/mark"
	draw
	does[who]="at=$at mark=$TMPDIR/mark"
	[ "$stop" != 0 ] || does[who]+=" pause=$TMPDIR/go"
	# shellcheck disable=SC2086
	accel server server bulk listen="$1" $2 piece="${pieces[0]}" ${does[0]} $until
	wait_for listening server "$1"
	# shellcheck disable=SC2086
	start client client bulk connect=10.0.0.2:"$1" $3 piece="${pieces[1]}" ${does[1]} $until
	read -r -t 60 <>"$TMPDIR/mark" || { drawn; echo "never came there"; return 1; }
	ours "$1" || touch "$TMPDIR/go"		# the program was too busy to claim it, and does so when it goes on
	wait_for ours "$1" || { drawn; in_ns server taspilot why; return 1; }
	demote 10.0.0.2:"$1" >"$TMPDIR/demoted" &
	demoting=$!
	wait_for told $((i + 1)) || { drawn; in_ns server taspilot status --json; in_ns server taspilot why; return 1; }
	touch "$TMPDIR/go"
	wait "$demoting" || { drawn; cat "$TMPDIR/demoted"; return 1; }
	touch "$TMPDIR/enough"
	wait "$client" || { drawn; echo "the client failed"; return 1; }
	wait "$server" || { drawn; echo "the server failed"; return 1; }
}

transfers() { # SERVER-DOES CLIENT-DOES
	local i at pieces who stop port=$((7000 + BASHPID % 20000))
	attach server s0
	RANDOM=$seed
	for ((i = 0; i < turns; i++)); do
		transfer $((port + i)) "$@"
	done
	nothing_left server s0
}

test_what_comes_in_survives() { transfers recv send; }
test_what_goes_out_survives() { transfers send recv; }
test_both_ways_at_once_survive() { transfers "send recv" "send recv"; }

# stuck WHAT - a reader stands still in the midst of a read, and the flow goes back all the same; then WHAT
stuck() {
	local port=$((7000 + BASHPID % 20000)) file=$TMPDIR/stuck server client rc=0
	rm -f "$file"
	export TALK_DIR=$TMPDIR/talk
	mkdir -p "$TALK_DIR"
	attach server s0
	accel server server stuck $port "$1" "$file" >"$TMPDIR/read"
	wait_for listening server $port
	start client client talk connect=10.0.0.2:$port recv=1 send=3000 shutwr eof close
	wait_for test -e "$file" || { gone "$server" && wait "$server" || rc=$?; [ $rc != 77 ] || skip "userfaultfd"; return 1; }
	demote 10.0.0.2:$port
	wait_for told 1
	plain || wait_for linux_has 3001 $port
	rm "$file"
	wait "$server"
	is "3000 bytes" "$(cat "$TMPDIR/read")"
	wait "$client"
	nothing_left server s0
}
linux_has() { [ "$(in_ns server ss -Htn state close-wait "sport = :$2" | awk '{ print $1 }')" = "$1" ]; }
test_a_reader_that_was_killed_in_the_midst_of_a_read() { stuck die; }
test_a_reader_that_stood_still_in_the_midst_of_a_read_goes_on() { stuck go-on; }

run_tests
