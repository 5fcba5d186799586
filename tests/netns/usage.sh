#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Wrong use gets one clear sentence, a hint and the right exit status, and changes nothing.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
. "$(dirname "$0")/lib.sh"
plain && skip "there is nothing to misuse without taspilot"
need setpriv clang bpftool socat

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
after_each() { detached server s0; }

# everything that a failed attach could have left
traces() {
	in_ns server ip -o link | sed 's/ qlen.*//'
	in_ns server tc qdisc show
	in_ns server bpftool net
	in_ns server ethtool -k s0
	find /run /sys/fs/bpf -path '*taspilot*' | sort
}

# refused STATUS SAYS CMD... - in the server's namespace
refused() {
	local rc=0 before
	before=$(traces)
	in_ns server "${@:3}" >"$TMPDIR/out" 2>"$TMPDIR/err" || rc=$?
	cat "$TMPDIR/err"
	[[ $rc == $1 ]] || { echo "exit status $rc, want $1"; return 1; }
	is "" "$(cat "$TMPDIR/out")" "standard output"
	grep -Eqi "$2" "$TMPDIR/err" || { echo "does not say '$2'"; return 1; }
	at_least 2 "$(wc -l <"$TMPDIR/err")" "lines: what failed, and what to do"
	diff <(echo "$before") <(traces)
}

test_an_interface_that_does_not_exist() { refused 1 'nosuch0' taspilot attach nosuch0; }
test_the_loopback_interface() { refused 1 'lo' taspilot attach lo; }
test_no_interface() { refused 2 'attach' taspilot attach; }
test_an_unknown_command() { refused 2 'accelerate' taspilot accelerate s0; }
test_an_unknown_option() { refused 2 'nosuch' taspilot attach s0 --nosuch; }
test_a_mode_that_does_not_exist() { refused 2 'mode' taspilot attach s0 --mode fast; }
test_a_poll_policy_that_does_not_exist() { refused 2 'poll' taspilot attach s0 --poll often; }
test_more_queues_than_the_nic_has() { refused 1 'queue' taspilot attach s0 --queues 2; }
test_a_cpu_that_does_not_exist() { refused '[12]' 'cpu' taspilot attach s0 --cpus 4000; }
test_a_name_for_the_tap_that_is_taken() { refused 1 's0|c0|exist' taspilot attach s0 --tap s0; }
test_detaching_what_is_not_attached() { refused 1 's0' taspilot detach s0; }
test_running_a_program_that_does_not_exist() { refused 1 'nosuch-program' taspilot run nosuch-program; }
test_running_nothing() { refused 2 'run' taspilot run; }

test_demoting_nothing() { refused 2 'demote' taspilot demote; }
test_demoting_what_is_no_flow() { refused 2 'demote.*10.0.0.1' taspilot demote 10.0.0.1; }
test_demoting_a_flow_that_is_not_there() { refused 1 '10.0.0.2:99' taspilot demote 10.0.0.2:99; }

# What the command of an older version says means another connection: its ports are swapped.
test_what_an_older_command_asks_for_is_refused() {
	local order
	attach server s0
	for order in 66 68; do
		{ printf "\\x$(printf %x "$order")"; head -c 199 /dev/zero; } >"$TMPDIR/order"
		wait_for not_supported
	done
}
not_supported() {
	is -95 "$(socat -t 1 - UNIX-CONNECT:/run/taspilot/s0/sock,type=5 <"$TMPDIR/order" | od -An -td4 -j8 -N4 | tr -d ' ')"
}
# One that is attached still when the command is a newer one's: its answer to what it does not know.
test_a_daemon_of_another_version_is_told_from_one_that_fails() {
	local old
	mkdir -p /run/taspilot/s9
	{ printf '\100\0\0\0\0\0\0\0\241\377\377\377'; head -c 388 /dev/zero; } >"$TMPDIR/answer"
	start old server socat UNIX-LISTEN:/run/taspilot/s9/sock,type=5,fork SYSTEM:"cat $TMPDIR/answer"
	wait_for test -S /run/taspilot/s9/sock
	refused 1 'another version' taspilot status s9
	stop "$old"
	rm -r /run/taspilot/s9
}

test_a_second_attach_of_the_same_interface() {
	attach server s0
	refused 1 's0.*already' taspilot attach s0
}
test_without_privileges() {
	setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$OUT/taspilot" ||
		skip "the build directory is closed to other users"
	refused 1 'root|privilege|permit|CAP_' \
		setpriv --reuid 65534 --regid 65534 --clear-groups "$OUT/taspilot" attach s0
}
test_an_interface_with_an_xdp_program_of_somebody_else() {
	echo '__attribute__((section("xdp"))) int other(void *c) { return 2; }' |
		clang -target bpf -O2 -c -x c - -o "$TMPDIR/other.o"
	bpftool prog load "$TMPDIR/other.o" /sys/fs/bpf/other
	in_ns server bpftool net attach xdp pinned /sys/fs/bpf/other dev s0
	refused 1 'xdp.*other|other.*xdp' taspilot attach s0
	in_ns server bpftool net detach xdp dev s0
	rm /sys/fs/bpf/other
}
test_every_command_has_help() {
	local c
	for c in attach detach run status flows why demote doctor; do
		taspilot $c --help | grep -q "taspilot $c" || { echo "$c: no help"; return 1; }
	done
	taspilot --help | grep -q 'attach IFACE'
}
# synopsis_of COMMAND - that part of the manual's
synopsis_of() {
	awk -v c="$1" '/^\.Sh/ { on = $2 == "SYNOPSIS" } on && /^\.Cm/ { at = $2 } on && at == c' \
		"$top/docs/man/taspilot.8"
}
test_the_manual_has_every_command_and_option() {
	local c o n=0
	for c in $(taspilot --help | sed -n 's/^  taspilot \([a-z]*\) .*/\1/p'); do
		n=$((n + 1))
		synopsis_of "$c" | grep -q "^\.Cm $c" || { echo "the synopsis has no $c"; return 1; }
		for o in $(taspilot "$c" --help | grep -o -- '--[a-z]\+' | sed 's/^--//'); do
			synopsis_of "$c" | grep -q "Fl -$o" || { echo "the synopsis of $c has no --$o"; return 1; }
		done
	done
	is 8 "$n" "commands"
}

run_tests
