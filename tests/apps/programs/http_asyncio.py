#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# http_asyncio.py ADDR FILE [CERT-AND-KEY] - answers every request with FILE, by asyncio streams.
import asyncio
import signal
import ssl
import sys

body = open(sys.argv[2], "rb").read()
answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main():
    tls = None
    if len(sys.argv) > 3:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(sys.argv[3])
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    server = await asyncio.start_server(serve, sys.argv[1], 8000, ssl=tls, backlog=128)
    await over.wait()
    server.close()


asyncio.run(main())
