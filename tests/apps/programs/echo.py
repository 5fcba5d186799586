#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# echo.py threading|forking|select|poll ADDR - an echo server, as Python's library has it.
import select
import signal
import socket
import socketserver
import sys

model, addr = sys.argv[1], (sys.argv[2], 7000)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


class Echo(socketserver.BaseRequestHandler):
    def setup(self):
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 64


class Forks(socketserver.ForkingTCPServer):
    allow_reuse_address = True
    request_queue_size = 64
    block_on_close = False


def listener():
    s = socket.create_server(addr, backlog=64)
    s.setblocking(False)
    return s


def by_select():
    door, conns = listener(), {}
    while True:
        waiting = [s for s, out in conns.items() if out]
        readers = [door] + [s for s, out in conns.items() if not out]
        for s in sum(select.select(readers, waiting, [], 5), []):
            serve(door, conns, s)


def by_poll():
    door, conns, known = listener(), {}, {}
    while True:
        p = select.poll()
        for s in [door, *conns]:
            p.register(s, select.POLLOUT if conns.get(s) else select.POLLIN)
            known[s.fileno()] = s
        for fd, _ in p.poll(5000):
            serve(door, conns, known[fd])


def serve(door, conns, s):
    if s is door:
        conns[s.accept()[0]] = b""
    elif conns[s]:
        conns[s] = conns[s][s.send(conns[s]):]
    elif data := s.recv(65536):
        conns[s] = data[s.send(data):]
    else:
        del conns[s]
        s.close()


if model == "threading":
    Threads(addr, Echo).serve_forever()
elif model == "forking":
    Forks(addr, Echo).serve_forever()
elif model == "select":
    by_select()
else:
    by_poll()
