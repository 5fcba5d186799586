#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# apache2 (a process, or a thread, a connection) and lighttpd.
. "$(dirname "$0")/lib.sh"
need apache2 ab lighttpd wrk curl python3

modules=/usr/lib/apache2/modules
apache() {
	cat >"$dir/conf" <<-CONF
	ServerRoot $dir
	ServerName lab
	PidFile $dir/pid
	ErrorLog $dir/log
	LoadModule mpm_$1_module $modules/mod_mpm_$1.so
	LoadModule authz_core_module $modules/mod_authz_core.so
	Listen $addr:80
	User www-data
	DocumentRoot $TMPDIR/www
	KeepAlive On
	MaxKeepAliveRequests 0
	KeepAliveTimeout 100
	StartServers 2
	MaxRequestWorkers $2
	$3
	CONF
	# prefork signals its process group at the end
	launch setsid apache2 -f "$dir/conf" -DFOREGROUND
	serving 80
}
prefork() { apache prefork 64 ""; }
# A child whose threads are all busy closes connections that it keeps alive: each can have all of ours.
event() { apache event 128 "ThreadsPerChild 64"; }
load() {
	same "$TMPDIR/www/small" fetch "http://$addr/small" &&
		same "$TMPDIR/www/large" fetch "http://$addr/large" &&
		ab_at "http://$addr/small" && wrk_at "http://$addr/small"
}
# ab without keep-alive: a connection a request, which counts for nothing but being right
ab_at() {
	in_ns client timeout 60 ab -q -n 200 -c 4 "$1" >"$dir/ab" 2>&1 || { cat "$dir/ab"; return 1; }
	is 200 "$(awk '/^Complete requests/ { print $3 }' "$dir/ab")" requests &&
		is 0 "$(awk '/^Failed requests/ { print $3 }' "$dir/ab")" failed
}
test_apache_prefork() { row "apache2, prefork" prefork load 90; }
test_apache_event() { row "apache2, event" event load 90; }

graceful() {
	local i
	for ((i = 0; i < ${RELOADS:-2}; i++)); do
		wait_for began $((i + 1))
		sleep 1
		kill -USR1 "$(cat "$dir/pid")"
	done
	wait_for began $((i + 1))
	sleep 1
}
began() { [ "$(grep -c 'resuming normal operations' "$dir/log")" -ge "$1" ]; }
restarted() { steadily graceful; }
test_a_graceful_restart_fails_no_request() { row "apache2, graceful restarts" event restarted 80; }

lighttpd_conf() {
	cat >"$dir/conf" <<-CONF
	server.document-root = "$TMPDIR/www"
	server.bind = "$addr"
	server.port = 80
	server.username = "www-data"
	server.errorlog = "$dir/log"
	server.max-keep-alive-requests = 10000000
	server.max-keep-alive-idle = 100
	server.network-backend = "sendfile"
	CONF
	touch "$dir/log"
	chmod 666 "$dir/log"
	launch lighttpd -D -f "$dir/conf"
	serving 80
}
test_lighttpd() { row "lighttpd" lighttpd_conf load 90; }

run_tests
