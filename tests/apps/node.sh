#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Node.js, its http server.
. "$(dirname "$0")/lib.sh"
need node wrk curl

serve() { launch node "$here/server.js" "$addr" "$TMPDIR/www"; serving 8000; }
load() {
	same "$TMPDIR/www/small" fetch "http://$addr:8000/small" &&
		same "$TMPDIR/www/large" fetch "http://$addr:8000/large" &&
		same "$TMPDIR/www/large" fetch -T "$TMPDIR/www/large" "http://$addr:8000/echo" &&
		wrk_at "http://$addr:8000/small"
}
test_http() { row "Node.js, http" serve load; }

run_tests
