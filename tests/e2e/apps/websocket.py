"""A WebSocket worker on a Unix socket or port with the websockets library: echoes; behaviour by path.

/echo        sends each message back
/count       reads and counts, answers "sum" with the bytes so far
/blast       ?mb=N: sends N MiB of binary messages at once
/stop-reading  reads nothing until a file named in the query exists
/close       ?code=4001: closes with that code when spoken to
/hang-up     ends the connection without a Close when spoken to, and lives on
/die         ends the process when spoken to
/headers     sends the request's headers as JSON
"""
import asyncio
import http
import json
import os
import signal
import sys
import urllib.parse

import websockets


async def serve(socket, path):
    url = urllib.parse.urlsplit(path)
    q = dict(urllib.parse.parse_qsl(url.query))
    if url.path == "/echo":
        async for message in socket:
            await socket.send(message)
    elif url.path == "/count":
        total = 0
        async for message in socket:
            if message == "sum":
                await socket.send(str(total))
            else:
                total += len(message)
    elif url.path == "/blast":
        block = os.urandom(65536)
        for _ in range(int(q["mb"]) * 16):
            await socket.send(block)
        await socket.send("end")
        await socket.wait_closed()
    elif url.path == "/stop-reading":
        while not os.path.exists(q["go"]):
            await asyncio.sleep(0.02)
        total = 0
        async for message in socket:
            if message == "sum":
                await socket.send(str(total))
            else:
                total += len(message)
    elif url.path == "/close":
        await socket.recv()
        await socket.close(int(q.get("code", "1000")), q.get("reason", ""))
    elif url.path == "/headers":
        await socket.send(json.dumps([[k, v] for k, v in socket.request_headers.raw_items()]))
        await socket.wait_closed()
    elif url.path == "/hang-up":
        await socket.recv()
        socket.transport.close()
    elif url.path == "/die":
        await socket.recv()
        os._exit(1)
    else:
        await socket.close(4404, "no such path")


async def plain(path, headers):
    if headers.get("Upgrade", "").lower() != "websocket":
        return http.HTTPStatus.OK, [("Content-Type", "text/plain")], b"worker %s\n" % os.environ.get("FAUCET_WORKER_ID", "").encode()
    return None


async def main():
    loop = asyncio.get_running_loop()
    stop = loop.create_future()
    loop.add_signal_handler(signal.SIGTERM, lambda: os._exit(0))
    compression = None if "plain" in sys.argv[2:] else "deflate"
    where = {"path": sys.argv[1]} if "/" in sys.argv[1] else {"host": "127.0.0.1", "port": int(sys.argv[1])}
    listen = websockets.unix_serve if "path" in where else websockets.serve
    async with listen(serve, **where, process_request=plain, max_size=64 << 20, compression=compression,
                      subprotocols=["chat.v2", "chat.v1"], ping_interval=None, max_queue=4, read_limit=2 ** 14, write_limit=2 ** 14):
        await stop


asyncio.run(main())
