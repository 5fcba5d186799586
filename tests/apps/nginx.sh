#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# nginx, with wrk and curl: small files, keep-alive, large files both ways.
#
#   SIZE_MB=256    of the large file (1024 to be thorough)
. "$(dirname "$0")/lib.sh"
need nginx wrk curl pgrep
size_mb=${SIZE_MB:-256}

mkdir -p "$TMPDIR/www/put" "$TMPDIR/tmp"
chmod -R 777 "$TMPDIR"
head -c 1024 /dev/urandom >"$TMPDIR/www/small"
head -c "${size_mb}M" /dev/urandom >"$TMPDIR/www/large"
cat >"$TMPDIR/nginx.conf" <<CONF
user root;
worker_processes 2;
daemon off;
pid $TMPDIR/nginx.pid;
error_log $TMPDIR/error.log warn;
events { worker_connections 1024; }
http {
	access_log off;
	sendfile on;
	keepalive_requests 1000000;
	client_body_temp_path $TMPDIR/tmp;
	client_max_body_size 0;
	server {
		listen 10.0.0.2:80;
		root $TMPDIR/www;
		location /put { dav_methods PUT; }
	}
}
CONF
accel nginx server nginx -c "$TMPDIR/nginx.conf" >"$TMPDIR/nginx.log" 2>&1
wait_for listening server 80

get() { in_ns client curl -sS --fail --max-time 120 "http://10.0.0.2/$1"; }

test_a_small_file_comes_whole() {
	is "$(sha256sum <"$TMPDIR/www/small")" "$(get small | sha256sum)"
}
test_wrk_with_keep_alive_is_fast() {
	count_from server s0
	in_ns client wrk -t 1 -c 64 -d 2 http://10.0.0.2/small | tee "$TMPDIR/wrk"
	fails grep -E 'Socket errors|Non-2xx' "$TMPDIR/wrk"
	mostly_fast server s0
}
test_a_large_file_comes_whole_and_fast() {
	count_from server s0
	is "$(sha256sum <"$TMPDIR/www/large")" "$(get large | sha256sum)"
	mostly_fast server s0
}
test_a_large_file_goes_up_whole_and_fast() {
	count_from server s0
	in_ns client curl -sS --fail --max-time 120 -T "$TMPDIR/www/large" http://10.0.0.2/put/large
	is "$(sha256sum <"$TMPDIR/www/large")" "$(sha256sum <"$TMPDIR/www/put/large")"
	mostly_fast server s0
	rm "$TMPDIR/www/put/large"
}
test_a_reload_goes_on_serving() {
	in_ns client wrk -t 1 -c 16 -d 3 http://10.0.0.2/small >"$TMPDIR/wrk" &
	local load=$!
	for _ in 1 2; do
		kill -HUP "$nginx"
		wait_for workers 2
		get small >/dev/null
	done
	wait "$load"
	fails grep -E 'Non-2xx|connect [1-9]' "$TMPDIR/wrk"
}
# workers that are not on their way out
workers() { [ "$(pgrep -P "$nginx" -fc 'worker process$')" = "$1" ]; }
test_a_quiet_shutdown_leaves_nothing() {
	stop "$nginx" QUIT
	nothing_left server s0
}

run_tests
