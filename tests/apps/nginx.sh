#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# nginx: small files, large ones both ways, TLS, as a proxy; and being reloaded and replaced
# while it serves.
#
#   SIZE_MB=32     of the large file (1024 to be thorough)
#   RELOADS=3      one every 2 s (30 to be thorough)
. "$(dirname "$0")/lib.sh"
need nginx wrk curl python3 openssl pgrep
tls_key

# conf NAME LISTEN [HTTP] - $dir/NAME.conf: 4 workers on $addr
conf() {
	cat >"$dir/$1.conf" <<-CONF
	worker_processes 4;
	pid $dir/$1.pid;
	error_log $dir/log warn;
	events { worker_connections 1024; }
	http {
		access_log off;
		sendfile on;
		keepalive_requests 1000000;
		client_body_temp_path $dir/body;
		client_max_body_size 0;
		proxy_temp_path $dir/proxy;
		ssl_certificate $TMPDIR/cert.pem;
		ssl_certificate_key $TMPDIR/key.pem;
		${3:-}
		server {
			listen $addr:$2;
			root $TMPDIR/www;
			${4:-}
		}
	}
	CONF
}
run_nginx() { launch nginx -g 'daemon off;' -c "$dir/nginx.conf"; wait_for listening server "$1"; }

http() { conf nginx 80; run_nginx 80; }
reuseport() { conf nginx "80 reuseport"; run_nginx 80; }
https() { conf nginx "443 ssl"; run_nginx 443; }
small() { same "$TMPDIR/www/small" fetch "http://$addr/small" && wrk_at "http://$addr/small"; }
small_tls() { same "$TMPDIR/www/small" fetch "https://$addr/small" && wrk_at "https://$addr/small"; }

test_small_files() { quit=QUIT row "nginx, 4 workers" http small; }
test_small_files_with_reuseport() { quit=QUIT row "nginx, reuseport" reuseport small; }
test_small_files_by_tls() { quit=QUIT row "nginx, TLS" https small_tls; }

down() { megabytes same "$TMPDIR/www/large" fetch "http://$addr/large"; }
test_a_large_file_by_sendfile() { quit=QUIT row "nginx, sendfile" http down; }

writable() {
	mkdir -m 777 "$dir/put"
	conf nginx 80 "" "location /put { root $dir; dav_methods PUT; }"
	run_nginx 80
}
up() {
	megabytes fetch -T "$TMPDIR/www/large" "http://$addr/put/large" &&
		same "$TMPDIR/www/large" cat "$dir/put/large"
}
test_a_large_file_goes_up() { quit=QUIT row "nginx, upload" writable up; }

# Both sides of a proxy are accelerated; behind it stands another nginx, on another wire.
proxy() {
	origin
	conf nginx 80 "upstream o { server $peer:8080; keepalive 64; }" \
		"location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ''; }"
	run_nginx 80
}
proxied() { small && same "$TMPDIR/www/large" fetch "http://$addr/large"; }
test_as_a_proxy() { quit=QUIT row "nginx, proxy" proxy proxied 95 "both sides"; }

link server p0 10.0.2.1/24  behind b0 10.0.2.2/24
test_as_a_proxy_of_an_accelerated_nginx() {
	plain && return
	attach server p0
	attach behind b0
	on taspilot
	addr=10.0.2.2 conf behind 8080
	start pid behind taspilot run nginx -g 'daemon off;' -c "$dir/behind.conf"; procs+=("$pid")
	wait_for listening behind 8080
	conf nginx 80 "upstream o { server 10.0.2.2:8080; keepalive 64; }" \
		"location / { proxy_pass http://o; proxy_http_version 1.1; proxy_set_header Connection ''; }"
	run_nginx 80
	count_from behind b0
	proxied
	mostly_fast behind b0
	at_least 1000 "$(tp_status server p0 segments_fast_rx)" "fast segments of the proxy's other side"
	finish QUIT
	for i in "server s0" "server p0" "behind b0"; do
		# shellcheck disable=SC2086
		nothing_left $i
	done
	detach server p0
	detach behind b0
}

reload() {
	local i old
	for ((i = 0; i < ${RELOADS:-3}; i++)); do
		sleep 2
		old=$(pgrep -P "$pid" | sort)
		kill -HUP "$pid"
		wait_for replaced "$pid" "$old"
	done
}
# all the workers of PID are others than OLD
replaced() {
	local now
	now=$(pgrep -P "$1" | sort)
	[ -n "$now" ] && [ -z "$(comm -12 <(echo "$2") <(echo "$now"))" ]
}
reloaded() { steadily reload; }
test_a_reload_every_2_seconds_fails_no_request() {
	quit=QUIT row "nginx, reload every 2 s" http reloaded 80
}
test_a_reload_of_reuseport_fails_no_request() {
	quit=QUIT row "nginx, reuseport, reload every 2 s" reuseport reloaded 80
}

# The new binary takes over the listening sockets by exec, the old one goes when told.
daemon() {
	conf nginx 80
	launch "$(command -v nginx)" -c "$dir/nginx.conf"
	wait_for [ -s "$dir/nginx.pid" ]
	serving 80
	wait "$pid"
	procs=()
}
upgrade() {
	local old new
	old=$(cat "$dir/nginx.pid")
	sleep 0.5
	kill -USR2 "$old"
	wait_for [ -s "$dir/nginx.pid.oldbin" ]
	wait_for [ -s "$dir/nginx.pid" ]
	new=$(cat "$dir/nginx.pid")
	wait_for replaced "$new" ""
	kill -QUIT "$old"
	wait_for gone "$old"
	sleep 0.5
}
upgraded() {
	local last
	steadily upgrade && small || return 1
	last=$(cat "$dir/nginx.pid")
	kill -QUIT "$last"
	wait_for gone "$last"
}
test_a_binary_upgrade_fails_no_request() { row "nginx, binary upgrade" daemon upgraded "${upgraded_share:-0}" "the new one is Linux's: nginx hands on no LD_PRELOAD"; }

run_tests
