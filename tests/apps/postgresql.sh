#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# postgresql, a process a connection, with pgbench over TCP.
. "$(dirname "$0")/lib.sh"
pg=$(echo /usr/lib/postgresql/*/bin)
[ -x "$pg/postgres" ] || skip "postgresql is not installed"
need runuser
PATH=$PATH:$pg

serve() {
	local i
	install -d -o postgres "$dir/data"
	runuser -u postgres -- "$pg/initdb" -A trust -N -D "$dir/data" >"$dir/initdb"
	echo "host all all 10.0.0.0/8 trust" >>"$dir/data/pg_hba.conf"
	launch setpriv --reuid=postgres --regid=postgres --clear-groups "$pg/postgres" \
		-D "$dir/data" -h "$addr" -k "$dir/data" -c fsync=off -c shared_buffers=32MB
	wait_for ready
}
sql() { in_ns client timeout 60 "$pg/psql" -h "$addr" -U postgres -qAt -c "$1"; }
bench() { in_ns client timeout 120 "$pg/pgbench" -h "$addr" -U postgres "$@" >"$dir/bench" 2>&1 || { cat "$dir/bench"; return 1; }; }
ready() { [ "$(sql 'select 1')" = 1 ]; }
tables() {
	bench -i -q postgres || return 1
	is 100000 "$(sql 'select count(*) from pgbench_accounts')"
	is "$(seq 20000)" "$(sql 'select generate_series(1, 20000)')" || return 1
}
tps() { awk '/^tps/ { print $3 }' "$dir/bench"; }
reads() { tables && bench -S -M prepared -c 8 -j 2 -T "$secs" postgres && rate=$(tps); }
writes() {
	tables && bench -c 8 -j 2 -T "$secs" postgres && rate=$(tps) || return 1
	is "$(sql 'select sum(abalance) from pgbench_accounts')" \
		"$(sql 'select sum(delta) from pgbench_history')"
	bench -S -C -c 4 -T "$secs" postgres
}
test_reads() { quit=INT row "postgresql, pgbench -S" serve reads; }
test_transactions() { quit=INT row "postgresql, pgbench" serve writes 80; }

run_tests
