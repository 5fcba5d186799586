#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# memcached.py ADDR - values of all sizes come back as they were set, over several connections.
import socket
import sys


def command(f, line, value=b""):
    f.write(line + b"\r\n" + (value + b"\r\n" if value else b""))
    f.flush()
    return f.readline().rstrip()


def value(i):
    return (b"%d:" % i) * (1 + i * i % 100000)


conns = [socket.create_connection((sys.argv[1], 11211)).makefile("rwb") for _ in range(8)]
for i in range(200):
    v = value(i)
    assert command(conns[i % 8], b"set k%d 0 0 %d" % (i, len(v)), v) == b"STORED", i
for i in range(200):
    f, v = conns[(i + 3) % 8], value(i)
    head = command(f, b"get k%d" % i)
    assert head == b"VALUE k%d 0 %d" % (i, len(v)), head
    assert f.read(len(v)) == v and f.read(7) == b"\r\nEND\r\n", i
