#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# mariadb, a thread a connection, with sysbench over TCP. It makes an io_uring for its files, and who
# has one is Linux's, because nobody tells what it is used for; without that it is accelerated.
. "$(dirname "$0")/lib.sh"
need mariadbd mariadb-install-db mariadb sysbench

serve() { # [OPTION...]
	install -d -o mysql "$dir/data"
	mariadb-install-db --no-defaults --user=mysql --datadir="$dir/data" --skip-test-db \
		--auth-root-authentication-method=normal >"$dir/install" 2>&1
	launch mariadbd --no-defaults --user=mysql --datadir="$dir/data" --bind-address="$addr" \
		--port=3306 --socket="$dir/data/sock" --innodb-buffer-pool-size=32M \
		--innodb-flush-log-at-trx-commit=0 --skip-name-resolve "$@"
	wait_for mariadb --no-defaults -u root --socket="$dir/data/sock" -e "create database sbtest;
		create user 'sbtest'@'%'; grant all on sbtest.* to 'sbtest'@'%'"
}
sql() { in_ns client timeout 60 mariadb --no-defaults -h "$addr" -u sbtest -BN -e "$1" sbtest; }
bench() {
	in_ns client timeout 120 sysbench oltp_point_select --db-driver=mysql --mysql-host="$addr" \
		--mysql-user=sbtest --tables=1 --table-size=10000 --threads=8 --time="$secs" "$@" \
		>"$dir/bench" 2>&1 || { cat "$dir/bench"; return 1; }
}
load() {
	bench prepare || return 1
	is 10000 "$(sql 'select count(*) from sbtest1')"
	sql 'select repeat(md5(id), 100) from sbtest1 order by id' >"$dir/by_tcp"
	mariadb --no-defaults -u root --socket="$dir/data/sock" -BN \
		-e 'select repeat(md5(id), 100) from sbtest1 order by id' sbtest | cmp - "$dir/by_tcp" || return 1
	bench run || return 1
	rate=$(awk '/queries:/ { gsub(/\(/, ""); print $3 }' "$dir/bench")
}
serve_without() { serve --innodb-use-native-aio=0; }
uring_is_noticed() { ! plain && [ "$(in_ns server taspilot status --json | jq '.[0].io_uring')" = true ]; }
test_point_selects() {
	local least=95
	! uring_is_noticed || least=linux
	row "mariadb, sysbench" serve load "$least" "has an io_uring for its files"
}
test_point_selects_without_io_uring() {
	row "mariadb --innodb-use-native-aio=0" serve_without load
}

run_tests
