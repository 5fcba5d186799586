#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# steady.py URL FILE THREADS - GET until SIGTERM, and count the requests that failed.
#
# What a user of a server sees who reloads it: half of the threads keep their connection, half
# make one for each request. A kept connection may be closed between two requests, and a
# client then makes a new one; so a request fails if it fails on a connection of its own. Each
# answer must be FILE's bytes. Prints "requests N failed N", and what failed.
import http.client
import signal
import sys
import threading
from urllib.parse import urlsplit

url = urlsplit(sys.argv[1])
want = open(sys.argv[2], "rb").read()
over = threading.Event()
lock = threading.Lock()
requests = 0
failures = []


def dial():
    return http.client.HTTPConnection(url.hostname, url.port, timeout=60)


def get(c, keep):
    c.request("GET", url.path, headers={} if keep else {"Connection": "close"})
    r = c.getresponse()
    body = r.read()
    if r.status != 200 or body != want:
        raise ValueError(f"status {r.status}, {len(body)} bytes")
    return not r.will_close


def once(c, keep):
    """The connection for the next request, or None."""
    if c is not None:
        try:
            return c if get(c, keep) else c.close()
        except (ConnectionError, http.client.RemoteDisconnected):
            c.close()
    c = dial()
    ok = get(c, keep)
    return c if ok and keep else c.close()


def work(keep):
    global requests
    c = None
    while not over.is_set():
        try:
            c = once(c, keep)
        except Exception as e:
            c = None
            with lock:
                failures.append(repr(e))
        with lock:
            requests += 1


signal.signal(signal.SIGTERM, lambda *_: over.set())
threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(int(sys.argv[3]))]
for t in threads:
    t.start()
for t in threads:
    while t.is_alive():
        t.join(0.1)
print("requests", requests, "failed", len(failures), *failures[:5], flush=True)
sys.exit(1 if failures or not requests else 0)
