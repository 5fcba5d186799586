#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Programs that connect: curl, wget, ab, wrk, nc, openssl s_client.
. "$(dirname "$0")/lib.sh"
need nginx curl wget ab wrk nc openssl
tls_key

url() { echo "http://$peer:8080/$1"; }

curl_() {
	same "$TMPDIR/www/small" subject curl -sS --fail "$(url small)" &&
		megabytes same "$TMPDIR/www/large" subject curl -sS --fail "$(url large)"
}
test_curl() { row "curl" origin curl_; }

wget_() {
	subject wget -q -O "$dir/small" "$(url small)" && cmp "$TMPDIR/www/small" "$dir/small" &&
		megabytes subject wget -q -O "$dir/large" "$(url large)" && cmp "$TMPDIR/www/large" "$dir/large"
}
test_wget() { row "wget" origin wget_; }

ab_() {
	subject timeout 60 ab -q -k -n $((10000 * secs)) -c 16 "$(url small)" >"$dir/ab" || return 1
	is $((10000 * secs)) "$(awk '/^Complete requests/ { print $3 }' "$dir/ab")" requests &&
		is 0 "$(awk '/^Failed requests/ { print $3 }' "$dir/ab")" failed &&
		rate=$(awk '/^Requests per second/ { print $4 }' "$dir/ab")
}
test_ab() { row "ab -k" origin ab_; }

wrk_() {
	subject timeout 60 wrk -t 2 -c 32 -d "$secs" --timeout 30 "$(url small)" >"$dir/wrk" || return 1
	fails grep -E 'Socket errors|Non-2xx' "$dir/wrk" || return 1
	rate=$(awk '/^Requests\/sec/ { print $2 }' "$dir/wrk")
}
test_wrk() { row "wrk" origin wrk_; }

nothing() { :; }
nc_() {
	in_ns client nc -N -l "$peer" 7000 <"$TMPDIR/www/large" &
	wait_for listening client 7000
	megabytes same "$TMPDIR/www/large" subject nc -d "$peer" 7000
}
# send_all PID - until the listener has it all and is gone
send_all() { in_ns client nc -N "$addr" 7000 <"$TMPDIR/www/large" && wait "$1"; }
nc_listens() {
	subject nc -d -l "$addr" 7000 >"$dir/got" &
	local listens=$!
	serving 7000
	megabytes send_all "$listens" || return 1
	cmp "$TMPDIR/www/large" "$dir/got"
}
test_nc() { row "nc" nothing nc_ 80; }
test_nc_that_listens() { row "nc -l" nothing nc_listens 80; }

s_server() {
	cd "$TMPDIR/www"
	launch openssl s_server -accept "$addr:4433" -cert "$TMPDIR/cert.pem" -key "$TMPDIR/key.pem" -WWW -quiet
	serving 4433
}
s_server_load() {
	same "$TMPDIR/www/small" fetch --http0.9 "https://$addr:4433/small" &&
		megabytes same "$TMPDIR/www/large" fetch --http0.9 "https://$addr:4433/large"
}
test_openssl_s_server() { row "openssl s_server" s_server s_server_load; }

tls_origin() {
	cd "$TMPDIR/www"
	beside openssl s_server -accept "$peer:4433" -cert "$TMPDIR/cert.pem" -key "$TMPDIR/key.pem" -WWW -quiet
	wait_for listening client 4433
}
s_client() { printf 'GET /%s HTTP/1.0\r\n\r\n' "$1" | subject timeout 60 openssl s_client -quiet -connect "$peer:4433" 2>"$dir/err"; }
body() { sed '1,/^\r$/d'; }
large_by_s_client() { is "$(sha256sum <"$TMPDIR/www/large")" "$(s_client large | body | sha256sum)"; }
s_client_load() {
	is "$(sha256sum <"$TMPDIR/www/small")" "$(s_client small | body | sha256sum)" &&
		megabytes large_by_s_client
}
test_openssl_s_client() { row "openssl s_client" tls_origin s_client_load; }

run_tests
