#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# redis-server, with redis-benchmark and redis-cli.
. "$(dirname "$0")/lib.sh"
need redis-server redis-benchmark redis-cli

accel redis server redis-server --port 6379 --bind 10.0.0.2 --protected-mode no --save "" \
	--appendonly no --dir "$TMPDIR" --loglevel warning >"$TMPDIR/redis.log"
cli() { in_ns client timeout 60 redis-cli -h 10.0.0.2 "$@"; }
bench() { in_ns client timeout 120 redis-benchmark -h 10.0.0.2 --csv "$@"; }
answers() { [ "$(cli ping)" = PONG ]; }
wait_for answers

test_requests_are_answered_right() {
	is OK "$(cli set greeting "guten Tag")"
	is "guten Tag" "$(cli get greeting)"
	is 1000 "$(seq 1000 | sed 's/.*/rpush list &/' | cli | tail -n 1)"
	is "$(seq 1000)" "$(cli lrange list 0 -1)"
}
test_a_large_value_comes_back_whole() {
	head -c 20000000 /dev/urandom >"$TMPDIR/value"
	is OK "$(cli -x set large <"$TMPDIR/value")"
	is "$(sha256sum <"$TMPDIR/value")" "$(cli get large | head -c -1 | sha256sum)"
}
test_the_benchmark_is_fast() {
	count_from server s0
	bench -t ping,set,get,lrange -n 20000 -c 50
	mostly_fast server s0
}
test_the_benchmark_with_pipelining_is_fast() {
	count_from server s0
	bench -t ping,set,get -n 100000 -c 50 -P 16
	mostly_fast server s0
}
test_publish_reaches_every_subscriber() {
	local i
	for i in 1 2 3 4 5; do
		start "sub$i" client timeout 60 redis-cli -h 10.0.0.2 subscribe news >"$TMPDIR/sub$i"
	done
	wait_for subscribers 5
	is 5 "$(cli publish news "hello")"
	for i in 1 2 3 4 5; do wait_for grep -q hello "$TMPDIR/sub$i"; done
}
subscribers() { [ "$(cli pubsub numsub news | tail -n 1)" = "$1" ]; }
test_saving_forks_and_service_goes_on() {
	cli bgsave
	wait_for saved
	answers
}
saved() { cli info persistence | grep -q 'rdb_last_bgsave_status:ok' && cli info persistence | grep -q 'rdb_bgsave_in_progress:0'; }
test_shutdown_is_clean() {
	cli shutdown nosave || true
	wait_for gone "$redis"
	nothing_left server s0
}

run_tests
