#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# redis-server: one thread and four, pipelining, large values, publish and subscribe, saving by
# fork while clients write, and replication in both directions of acceleration.
. "$(dirname "$0")/lib.sh"
need redis-server redis-benchmark redis-cli

options="--protected-mode no --appendonly no --loglevel notice --logfile"
one() {
	# shellcheck disable=SC2086
	launch redis-server --port 6379 --bind "$addr" --save "" --dir "$dir" $options '' "$@"
	wait_for answers "$addr"
}
four() { one --io-threads 4 --io-threads-do-reads yes; }

cli() { in_ns client timeout 60 redis-cli -h "$addr" "$@"; }
answers() { [ "$(in_ns client timeout 60 redis-cli -h "$1" ping)" = PONG ]; }
# bench OPTION... - the rate of the last of its tests
bench() {
	in_ns client timeout 120 redis-benchmark -h "$addr" --csv "$@" >"$dir/bench" || return 1
	cat "$dir/bench"
	rate=$(tail -n 1 "$dir/bench" | cut -d '"' -f 4)
}

right() {
	is OK "$(cli set greeting "guten Tag")" &&
		is "guten Tag" "$(cli get greeting)" &&
		is 1000 "$(seq 1000 | sed 's/.*/rpush list &/' | cli | tail -n 1)" &&
		is "$(seq 1000)" "$(cli lrange list 0 -1)"
}
requests() { right && bench -t set,get -n $((20000 * secs)) -c 50; }
few() { right && bench -t set,get -n $((1000 * secs)) -c 10; }
pipelined() { right && bench -t set,get -n $((200000 * secs)) -c 50 -P 16; }
test_requests() { row "redis" one requests; }
test_requests_with_pipelining() { row "redis, 16 requests a time" one pipelined; }
test_requests_with_four_threads() { row "redis, io-threads 4" four few; }

large() { megabytes put_and_get; }
put_and_get() {
	is OK "$(cli -x set large <"$TMPDIR/www/large")" &&
		is "$(sha256sum <"$TMPDIR/www/large")" "$(cli get large | head -c -1 | sha256sum)"
}
test_a_large_value_comes_back_whole() { row "redis, a value of ${SIZE_MB:-32} MB" one large; }

published() {
	local i
	for i in 1 2 3 4 5; do
		start "sub$i" client timeout 60 redis-cli -h "$addr" subscribe news >"$dir/sub$i"
	done
	wait_for subscribers 5
	is 5 "$(cli publish news "nothing new")" || return 1
	for i in 1 2 3 4 5; do wait_for grep -q "nothing new" "$dir/sub$i" || return 1; done
	bench -n $((10000 * secs)) -c 10 publish news "something new"
	for i in 1 2 3 4 5; do
		wait_for has $((10000 * secs)) "$dir/sub$i" || return 1
		stop_var "sub$i"
	done
}
subscribers() { [ "$(cli pubsub numsub news | tail -n 1)" = "$1" ]; }
has() { [ "$(grep -c "something new" "$2")" = "$1" ]; }
stop_var() { stop "${!1}"; }
test_publish_reaches_every_subscriber() { row "redis, publish to 5" one published; }

# A child writes the file while the parent goes on serving; what it wrote is what was there.
saved() {
	cli debug populate 100000 key 100 >/dev/null
	cli set before yes
	cli bgsave
	bench -t set -n $((20000 * secs)) -c 50 || return 1
	wait_for done_saving
	redis-check-rdb "$dir/dump.rdb" >"$dir/check"
	at_least 100001 "$(awk '/keys read/ { print $2 }' "$dir/check")" "keys in the file"
}
done_saving() {
	cli info persistence | grep -q 'rdb_last_bgsave_status:ok' &&
		cli info persistence | grep -q 'rdb_bgsave_in_progress:0'
}
saver() { one --enable-debug-command yes --dbfilename dump.rdb; }
test_saving_forks_and_service_goes_on() { row "redis, saving by fork" saver saved; }

# The other redis is a plain one, beside the client.
follower() {
	one --repl-diskless-sync yes --repl-diskless-sync-delay 0
	# shellcheck disable=SC2086
	beside redis-server --port 6379 --bind "$peer" --save "" --dir "$dir" $options '' \
		--replicaof "$addr" 6379
	wait_for answers "$peer"
}
replicated() {
	wait_for in_step
	cli -x set large <"$TMPDIR/www/large"
	bench -t set -n $((20000 * secs)) -c 50 -r 10000 || return 1
	is 1 "$(cli wait 1 50000)" && wait_for same_data
}
same_data() {
	is "$(cli debug digest)" "$(in_ns client redis-cli -h "$peer" debug digest)"
}
in_step() { cli info replication | grep -q 'state=online'; }
test_a_master() { options="--enable-debug-command yes $options" row "redis, master of a replica" follower replicated; }

leader() {
	# shellcheck disable=SC2086
	beside redis-server --port 6379 --bind "$peer" --save "" --dir "$dir" $options ''
	wait_for answers "$peer"
	one --replicaof "$peer" 6379
}
follows() {
	wait_for caught_up
	in_ns client redis-cli -h "$peer" -x set large <"$TMPDIR/www/large"
	in_ns client redis-benchmark -h "$peer" --csv -t set -n $((20000 * secs)) -c 50 -r 10000 >/dev/null
	is 1 "$(in_ns client redis-cli -h "$peer" wait 1 50000)" && wait_for same_data &&
		bench -t get -n $((20000 * secs)) -c 50
}
caught_up() { cli info replication | grep -q 'master_link_status:up'; }
test_a_replica() { options="--enable-debug-command yes $options" row "redis, replica" leader follows; }

run_tests
