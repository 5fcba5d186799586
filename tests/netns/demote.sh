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
# The receiver compares every byte (tests/helpers/bulk.c). TP_TURNS=N: so many transfers each.
. "$(dirname "$0")/lib.sh"
need bulk jq
turns=${TP_TURNS:-4}

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
after_each() { detached server s0; }

flow_bytes() { in_ns server taspilot flows --json | jq '[.[] | .rx_bytes + .tx_bytes] | add // 0'; }
carried() { [ "$(flow_bytes)" -ge "$1" ]; }
demote() { plain || in_ns server taspilot demote "$@"; }
reason() { in_ns server taspilot why "$1" --json | jq -r '.[0].reason'; }

# transfer PORT SERVER-DOES CLIENT-DOES - demoted at a random byte; both must be content
transfer() {
	local server client at=$(((RANDOM << 15 | RANDOM) % 50000000)) until=until=$TMPDIR/enough
	rm -f "$TMPDIR/enough"
	accel server server bulk listen="$1" $2 $until
	wait_for listening server "$1"
	start client client bulk connect=10.0.0.2:"$1" $3 $until
	plain || wait_for carried "$at"
	demote 10.0.0.2:"$1"
	plain || is DEMOTED "$(reason "$1")"
	touch "$TMPDIR/enough"
	wait "$client" || { echo "demoted behind $at bytes: the client failed"; return 1; }
	wait "$server" || { echo "demoted behind $at bytes: the server failed"; return 1; }
}

transfers() { # SERVER-DOES CLIENT-DOES
	local i port
	attach server s0
	for ((i = 0; i < turns; i++)); do
		port=$((7000 + BASHPID % 20000 + i))
		transfer $port "$@"
	done
	nothing_left server s0
}

test_what_comes_in_survives() { transfers recv send; }
test_what_goes_out_survives() { transfers send recv; }
test_both_ways_at_once_survive() { transfers "send recv" "send recv"; }

run_tests
