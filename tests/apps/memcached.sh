#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# memcached with four threads: connections are accepted by one thread and served by others.
. "$(dirname "$0")/lib.sh"
need memcached python3 memcslap

serve() { launch memcached -t 4 -u root -l "$addr" -p 11211 -m 256; serving 11211; }
load() {
	in_ns client timeout 60 python3 "$here/memcached.py" "$addr" || return 1
	from=${EPOCHREALTIME/./}
	in_ns client timeout 60 memcslap --servers="$addr" --concurrency=8 --test=get \
		--execute-number=$((5000 * secs)) --initial-load=1000 || return 1
	rate=$((8 * 5000 * secs * 1000000 / (${EPOCHREALTIME/./} - from)))
}
test_four_threads() { row "memcached -t 4" serve load; }

run_tests
