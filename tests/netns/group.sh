#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs of ordinary users are accelerated, if they may be: attach --group.
#
#       client                        server
#   10.0.0.1/24 c0 ───── veth ───── s0 10.0.0.2/24
. "$(dirname "$0")/lib.sh"
plain && skip "there is no daemon to be let in by"
need bulk setpriv jq
group=daemon			# exists everywhere

link client c0 10.0.0.1/24  server s0 10.0.0.2/24
after_each() { detached server s0; }

# as_user SETPRIV-OPTIONS CMD... - an ordinary user in the server's namespace
as_user() { in_ns server setpriv --reuid 65534 --regid 65534 "$@"; }
can_run() {
	as_user --clear-groups test -x "$OUT/taspilot" ||
		skip "the build directory is closed to other users"
}

# transfer PORT GROUPS... - a server of an ordinary user receives
transfer() {
	local server client
	nsenter --net=/run/netns/server -- setpriv --reuid 65534 --regid 65534 "${@:2}" \
		taspilot run -- bulk listen="$1" recv &
	server=$!
	wait_for listening server "$1"
	in_ns client bulk connect=10.0.0.2:"$1" send=8M
	wait "$server"
}

test_without_a_group_everybody_is_served() {
	can_run
	attach server s0
	transfer 7001 --clear-groups
	is 1 "$(tp_status server s0 setups)" "accelerated connections"
}
test_a_member_is_served() {
	can_run
	attach server s0 --group $group
	transfer 7002 --groups $group
	is 1 "$(tp_status server s0 setups)" "accelerated connections"
	as_user --groups $group taspilot status s0
}
test_who_is_no_member_lives_on_plain_linux() {
	can_run
	attach server s0 --group $group
	transfer 7003 --clear-groups
	is 0 "$(tp_status server s0 setups)" "accelerated connections"
	fails as_user --clear-groups taspilot status s0 2>"$TMPDIR/err"
	grep -q 'does not serve you' "$TMPDIR/err"
}
test_an_ordinary_user_may_not_demote_or_detach() {
	can_run
	attach server s0
	fails as_user --clear-groups taspilot demote --all
	fails as_user --clear-groups taspilot detach s0
	[ -S /run/taspilot/s0/sock ]
}
test_a_group_that_does_not_exist() {
	local rc=0
	in_ns server taspilot attach s0 --group nosuchgroup 2>"$TMPDIR/err" || rc=$?
	is 2 $rc
	grep -q nosuchgroup "$TMPDIR/err"
}

run_tests
