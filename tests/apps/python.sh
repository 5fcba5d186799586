#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Python's servers: a thread, a process a connection, select, poll, asyncio (epoll) with and
# without TLS, http.server.
. "$(dirname "$0")/lib.sh"
need python3 wrk curl openssl socat
tls_key

echo_server() { launch python3 "$here/echo.py" "$1" "$addr"; serving 7000; }
threading() { echo_server threading; }
forking() { echo_server forking; }
select_() { echo_server select; }
poll_() { echo_server poll; }
echo_load() { echoes_large 7000; }
test_a_thread_a_connection() { row "Python, socketserver threading" threading echo_load; }
test_a_process_a_connection() { row "Python, socketserver forking" forking echo_load; }
test_select() { row "Python, select" select_ echo_load; }
test_poll() { row "Python, poll" poll_ echo_load; }

asyncio() { launch python3 "$here/http_asyncio.py" "$addr" "$TMPDIR/www/small"; serving 8000; }
asyncio_tls() {
	launch python3 "$here/http_asyncio.py" "$addr" "$TMPDIR/www/small" "$TMPDIR/both.pem"
	serving 8000
}
http() { same "$TMPDIR/www/small" fetch "http://$addr:8000/small" && wrk_at "http://$addr:8000/small"; }
https() { same "$TMPDIR/www/small" fetch "https://$addr:8000/small" && wrk_at "https://$addr:8000/small"; }
test_asyncio() { row "Python, asyncio" asyncio http; }
test_asyncio_by_tls() { row "Python, asyncio with TLS" asyncio_tls https; }

http_server() {
	launch python3 -m http.server --bind "$addr" --directory "$TMPDIR/www" --protocol HTTP/1.1 8000
	serving 8000
}
files() { http && same "$TMPDIR/www/large" fetch "http://$addr:8000/large"; }
test_http_server() { row "Python, http.server" http_server files; }

run_tests
