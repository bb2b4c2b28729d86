"""A worker that misbehaves as the last part of the request's path says; `?t=TOKEN` comes back in front of an echoed body.

    chaos.py SOCKET_OR_PORT SEED

test_chaos.py also imports it, to serve upstream addresses that come and go. A behaviour that returns False has its connection closed.
"""
import asyncio
import os
import random
import re
import signal
import socket
import struct
import sys

BEHAVIOURS = {}
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
POISON = OK + b"Content-Length: 6\r\n\r\npoison"
# Sent in place of a reply, then the connection is closed; a * is followed by a random wait.
CANNED = {
    "nothing": [b""], "cut_head": [OK + b"Content-Le"], "short": [OK + b"Content-Length: 5000\r\n\r\nonly"],
    "short_hangs": [OK + b"Content-Length: 5000\r\n\r\nonly*"], "unasked_101": [SWITCH + b"*"],
    "longer": [OK + b"Content-Length: 4\r\n\r\nfour" + POISON],
    "ambiguous": [OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                  OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 999 Hm\r\n\r\n", b"HTTP/2 200 OK\r\n\r\n"],
    "bad_chunk": [CHUNKED + bad for bad in (b"zz\r\n", b"5\r\nabcdeXX0\r\n\r\n", b"f" * 17 + b"\r\n", b"-1\r\n", b"5;" + b"e" * 70000)],
    "no_body": [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n",
                b"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc"],
}


def behaviour(f):
    BEHAVIOURS[f.__name__] = f
    return f


class Request:
    def __init__(self, reader, writer, head, r):
        self.reader, self.writer, self.head, self.r = reader, writer, head, r
        method, target = head.split(b" ")[:2]
        self.bodiless = method == b"HEAD"
        path, _, query = target.partition(b"?")
        self.name, self.token = path.rsplit(b"/", 1)[-1].decode("latin-1"), query.partition(b"t=")[2]

    async def body(self):
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", self.head)
        if length:
            return await self.reader.readexactly(int(length[1]))
        parts = []
        while re.search(rb"(?i)\r\ntransfer-encoding: *chunked", self.head):
            n = int((await self.reader.readline()).strip(), 16)
            if n == 0:
                while (await self.reader.readline()).strip():
                    pass
                break
            parts.append(await self.reader.readexactly(n))
            await self.reader.readexactly(2)
        return b"".join(parts)

    async def echo(self):
        return self.token + b":" + await self.body()

    async def send(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def reply(self, body, more=b""):
        await self.send(OK + b"Content-Length: %d\r\n%s\r\n%s" % (len(body), more, b"" if self.bodiless else body))

    def reset(self):
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        return False


@behaviour
async def echo(q):
    await q.reply(await q.echo())


@behaviour
async def echo_chunked(q):
    body = await q.echo()
    await q.send(CHUNKED if not q.bodiless else OK + b"Content-Length: %d\r\n\r\n" % len(body))
    while body and not q.bodiless:
        n = q.r.choice([1, 7, 100, 5000, 60000])
        await q.send(b"%x\r\n%s\r\n" % (len(body[:n]), body[:n]))
        body = body[n:]
    await q.send(b"" if q.bodiless else b"0\r\nX-Trailer: 1\r\n\r\n")


@behaviour
async def until_close(q):
    await q.send(OK + b"Connection: close\r\n\r\n" + (b"" if q.bodiless else await q.echo()))
    return False


@behaviour
async def storm(q):
    """Many 1xx before the reply."""
    for _ in range(q.r.randrange(60)):
        await q.send(q.r.choice([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"]) * 50)
    await q.reply(await q.echo())


@behaviour
async def early(q):
    await q.reply(b"early")
    await asyncio.sleep(q.r.choice([0, 0.5]))
    return False


@behaviour
async def early_kept(q):
    await q.reply(b"early")
    await q.body()


@behaviour
async def hang(q):
    await asyncio.sleep(q.r.random() * 4)
    return False


@behaviour
async def reset(q):
    return q.reset()


@behaviour
async def reset_after(q):
    """Says keep-alive and does not mean it."""
    await q.reply(await q.echo(), b"Connection: keep-alive\r\n")
    return q.reset()


@behaviour
async def trickle(q):
    await q.body()
    await q.send(CHUNKED)
    for _ in range(q.r.randrange(60)):
        await q.send(b"1\r\nx\r\n")
        await asyncio.sleep(0.02)
    await q.send(q.r.choice([b"0\r\n\r\n", b""]))
    return False


@behaviour
async def large(q):
    for i in range(q.r.choice([2, 10, 60])):
        await q.send((CHUNKED if i == 0 else b"") + b"8000\r\n" + b"L" * 0x8000 + b"\r\n")
    await q.send(b"0\r\n\r\n")
    return False


@behaviour
async def large_head(q):
    for i in range(q.r.choice([1, 20, 100, 10000])):
        await q.send((OK if i == 0 else b"") + b"X-%d: %s\r\n" % (i, b"y" * 1000))
    await q.send(b"Content-Length: 0\r\n\r\n")


@behaviour
async def noise(q):
    await q.send(bytes(q.r.randrange(256) for _ in range(q.r.randrange(300))))
    return False


@behaviour
async def talkative(q):
    """Output without line ends, with NUL and bytes that are no UTF-8."""
    for _ in range(q.r.randrange(300)):
        os.write(2, b"o" * q.r.randrange(2000) + q.r.choice([b"\n", b"", b"\x00\xff\n"]))
    await q.reply(await q.echo())


@behaviour
async def crash(q):
    await q.send(q.r.choice([b"", OK + b"Content-Length: 1000\r\n\r\nhalf"]))
    if __name__ == "__main__" and q.r.random() < 0.1:
        os.kill(os.getpid(), signal.SIGKILL)
    return False


@behaviour
async def websocket(q):
    await q.send(SWITCH + q.r.choice([b"", b"\x81\x05hello"]))
    manner = q.r.randrange(5)
    if manner == 0:
        return q.reset()
    if manner == 1:
        await asyncio.sleep(q.r.random() * 2)
        return False
    if manner == 2:
        for _ in range(q.r.randrange(200)):
            await q.send(b"\x82\x7e\x20\x00" + b"z" * 8192)
        return False
    while await q.reader.read(65536):
        await q.send(b"\x82\x04echo")
    return False


async def canned(q):
    if q.r.random() < 0.5:
        await q.body()
    data = q.r.choice(CANNED[q.name])
    await q.send(data.rstrip(b"*"))
    await asyncio.sleep(q.r.random() * 3 if data.endswith(b"*") else 0)
    return False


def server(seed):
    """A callback for asyncio.start_server."""
    r = random.Random(seed)

    async def serve(reader, writer):
        try:
            while True:
                q = Request(reader, writer, await reader.readuntil(b"\r\n\r\n"), r)
                if await (canned if q.name in CANNED else BEHAVIOURS.get(q.name, echo))(q) is False:
                    break
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError):
            pass
        writer.close()
    return serve


async def main(where, seed):
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    serve = server(seed * 1000 + os.getpid())
    if "/" in where:
        listening = await asyncio.start_unix_server(serve, where, limit=1 << 20)
    else:
        listening = await asyncio.start_server(serve, "127.0.0.1", int(where), limit=1 << 20)
    await listening.serve_forever()

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
