#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# haproxy: HTTP and plain TCP, both sides of it accelerated; and reloaded while it serves, the
# listening sockets being passed from the old process to the new one.
#
#   RELOADS=3      one every 2 s (30 to be thorough)
. "$(dirname "$0")/lib.sh"
need haproxy wrk curl nginx python3 pgrep

conf() {
	cat >"$dir/conf" <<-CONF
	global
		nbthread 4
		stats socket $dir/admin level admin expose-fd listeners
		hard-stop-after 10s
	defaults
		mode http
		timeout connect 60s
		timeout client 60s
		timeout server 60s
		http-reuse always
	frontend http
		bind $addr:80
		default_backend o
	backend o
		server o1 $peer:8080
	listen tcp
		mode tcp
		bind $addr:81
		server o2 $peer:8080
	CONF
}
serve() {
	origin
	conf
	launch haproxy -W -db -f "$dir/conf"
	haproxy=$pid
	serving 80
}
http() {
	same "$TMPDIR/www/small" fetch "http://$addr/small" &&
		same "$TMPDIR/www/large" fetch "http://$addr/large" && wrk_at "http://$addr/small"
}
tcp() { same "$TMPDIR/www/large" fetch "http://$addr:81/large" && wrk_at "http://$addr:81/small"; }
test_http() { row "haproxy, HTTP" serve http 95 "both sides"; }
test_tcp() { row "haproxy, TCP (splice)" serve tcp 95 "both sides"; }

# SIGUSR2 to the master: a new worker gets the listeners from the old one by SCM_RIGHTS.
reload() {
	local i
	for ((i = 0; i < ${RELOADS:-3}; i++)); do
		sleep 2
		kill -USR2 "$haproxy"
		wait_for new_worker "$i"
	done
	sleep 1
}
reloaded() { steadily reload; }
new_worker() { [ "$(grep -c 'New worker' "$dir/log")" -ge $(($1 + 2)) ]; }
test_a_reload_every_2_seconds_fails_no_request() { row "haproxy, reload every 2 s" serve reloaded 80; }

run_tests
