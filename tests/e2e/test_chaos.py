"""Random clients against random workers (apps/chaos.py), a few seconds, by seed: nothing hangs, nobody gets another's reply, nothing is
left behind. E2E_SEED=N tries another seed; a failure names its own. What the daemon says at its end is checked by the fixture.
"""
import asyncio
import os
import random
import re
import signal
import socket
import struct
import sys
import time

import pytest

from faucet import APPS, PYTHON, SLOW, free_port
from wire import until

sys.path.insert(0, APPS)
import chaos  # noqa: E402

SEED = int(os.environ.get("E2E_SEED", "1"))
SECONDS = 5
LANES = [10, 30]  # clients at a time
ANSWERED_WITHIN = 15 * SLOW  # every timeout in settings() is at most 2 s
HONEST = ["echo", "echo", "echo_chunked", "until_close", "storm", "talkative"]
ANY = sorted(chaos.BEHAVIOURS) + sorted(chaos.CANNED)
REFUSALS = {408, 413, 502, 503, 504}
COOKIE = "Cookie: FAUCET_LB_COOKIE=0188c3a5-8d2e-4b0a-9e3c-%012x\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
WORKERS = ["one", "two", "many", "cookie", "address"]


def settings(r, seed, upstreams):
    command = [PYTHON, os.path.join(APPS, "chaos.py"), "{socket}", str(seed)]
    common = {"request_timeout": r.choice(["500ms", "2s"]), "drain_timeout": "1s",
              "queue": {"size": r.choice([1, 5, 100]), "timeout": r.choice(["100ms", "1s"])}}
    return {
        "timeouts": {"header": "1s", "body": "1s", "write": "1s", "keepalive": "1s", "connect": "1s", "stop": "2s"},
        "limits": {"connections": r.choice(["auto", 15]), "header_size": r.choice(["32KiB", "8KiB"])},
        "shutdown": {"timeout": "2s"}, "log": {"format": r.choice(["text", "json"])},
        "apps": {
            "one": {"command": command, "workers": 1, "concurrency": 1, "buffer": "on", **common},
            "two": {"command": command, "workers": 2, "concurrency": 1, "buffer": "off", "strategy": "least-busy", **common},
            "many": {"command": command, "workers": 1, "concurrency": "unlimited", "body_size": "100KiB", **common},
            "cookie": {"command": command, "workers": 2, "concurrency": 2, "strategy": "cookie-hash", **common},
            "address": {"command": [c.replace("socket", "port") for c in command], "workers": 1, "strategy": "ip-hash", **common},
            "up": {"upstream": ["unix:" + u for u in upstreams], "concurrency": r.choice(["unlimited", 1]), **common},
            "files": {"type": "static", "dir": "files"},
        }}


class Client:
    def __init__(self, attack, reader, writer):
        self.attack, self.r, self.reader, self.writer = attack, attack.r, reader, writer

    def request(self, names, body=None, more=""):
        """Method, token and bytes of a request to any app."""
        token, method = "%08x" % self.r.getrandbits(32), "POST"
        if body is None:
            method = self.r.choice(["GET", "GET", "HEAD", "OPTIONS", "DELETE"])
        head = "%s /%s/%s?t=%s HTTP/1.1\r\nHost: x\r\n%s" % (method, self.r.choice(WORKERS + ["up"]), self.r.choice(names), token, more)
        data = b""
        if body is not None and self.r.random() < 0.5:
            head += "Transfer-Encoding: chunked\r\n"
            for at in range(0, len(body), 30000):
                data += b"%x\r\n%s\r\n" % (len(body[at:at + 30000]), body[at:at + 30000])
            data += b"0\r\n\r\n"
        elif body is not None:
            head, data = head + "Content-Length: %d\r\n" % len(body), body
        return method, token.encode(), head.encode() + b"\r\n" + data

    def body(self):
        return None if self.r.random() < 0.5 else bytes([self.r.randrange(65, 91)]) * self.r.choice([0, 1, 100, 5000, 70000, 300000])

    async def reply(self, method):
        """Status, whether the connection goes on, body. Final replies only."""
        status, reader = 100, self.reader
        while status < 200 and status != 101:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWERED_WITHIN)
            assert re.match(rb"HTTP/1\.1 [1-5]\d\d ", head), head
            status = int(head[9:12])
        goes_on, length, body = b"connection: close" not in head.lower(), re.search(rb"(?i)\ncontent-length: (\d+)", head), b""
        if method == "HEAD" or status in (101, 204, 304):
            return status, goes_on, body
        if length:
            return status, goes_on, await asyncio.wait_for(reader.readexactly(int(length[1])), ANSWERED_WITHIN)
        while True:
            n = int(await asyncio.wait_for(reader.readline(), ANSWERED_WITHIN), 16)
            if n == 0:
                while (await reader.readline()).strip():
                    pass
                return status, goes_on, body
            body += await asyncio.wait_for(reader.readexactly(n), ANSWERED_WITHIN)
            assert await reader.readexactly(2) == b"\r\n"

    async def rest(self):
        while await asyncio.wait_for(self.reader.read(65536), ANSWERED_WITHIN):
            pass

    def reset(self):
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    # -- what clients do
    async def honest(self):
        """Pipelines requests that are answered honestly: every 200 must be the request's own."""
        sent = [(body, *self.request(HONEST, body)) for body in (self.body() for _ in range(self.r.randrange(1, 6)))]
        self.writer.write(b"".join(s[3] for s in sent))
        for body, method, token, _ in sent:
            status, goes_on, got = await self.reply(method)
            assert status == 200 or status in REFUSALS, status
            if status == 200 and method != "HEAD":
                # a worker that said more than its Content-Length, later than we looked: no proxy can tell
                assert got in (token + b":" + (body or b""), b"poison"), "%r.. (%d) for %r" % (got[:60], len(got), token)
            if not goes_on:
                break

    async def rude(self):
        more = ["", "", "Expect: 100-continue\r\n", "Connection: close\r\n", COOKIE % self.r.randrange(5)]
        data = b"".join(self.request(ANY, self.body(), self.r.choice(more))[2] for _ in range(self.r.randrange(1, 5)))
        if self.r.random() < 0.2:
            data = data[:self.r.randrange(len(data))]
        if self.r.random() < 0.2:
            data = data.replace(*self.r.choice([(b" HTTP/1.1", b" HTTP/1.0"), (b"\r\n", b"\n"), (b":", b"\x00"), (b"Host", b"Hos t")]))
        manner = self.r.randrange(6)
        if manner == 0:
            for i in range(0, 100):
                self.writer.write(data[i:i + 1])
                await asyncio.sleep(0.005)
            data = data[100:]
        if manner == 1:
            data = data[:self.r.randrange(len(data) + 1)]
        self.writer.write(data)
        await asyncio.sleep(0)
        if manner == 2:
            self.writer.write_eof()
        if manner == 3:
            for _ in range(self.r.randrange(20)):
                await asyncio.wait_for(self.reader.read(100), ANSWERED_WITHIN)
                await asyncio.sleep(0.03)
        if manner in (1, 3, 4):
            await asyncio.sleep(self.r.random() * 0.3)
            self.reset()
        else:
            await self.rest()

    async def tunnel(self):
        self.writer.write(self.request(["websocket", "websocket", "echo", "unasked_101"], more=UPGRADE + COOKIE % self.r.randrange(5))[2])
        status = (await self.reply("HEAD"))[0]
        for _ in range(self.r.randrange(20) if status == 101 else 0):
            noise = bytes(self.r.randrange(256) for _ in range(300))
            self.writer.write(self.r.choice([b"\x82\xfe\x10\x00\1\2\3\4" + b"q" * 4096, b"\x81\x85\0\0\0\0hello", b"\x88\x80\0\0\0\0", noise]))
            await asyncio.sleep(self.r.random() * 0.05)
        if self.r.random() < 0.5:
            self.reset()

    async def files(self):
        methods = [self.r.choice(["GET", "GET", "HEAD"]) for _ in range(self.r.randrange(1, 5))]
        for method in methods:
            more = self.r.choice(["", "Range: bytes=%d-\r\n" % self.r.randrange(2000000), "Range: bytes=-5\r\n", "If-None-Match: *\r\n"])
            self.writer.write(("%s /files/%s HTTP/1.1\r\nHost: x\r\n%s\r\n" % (method, self.r.choice(["small", "large", "no"]), more)).encode())
        for method in methods:
            await asyncio.sleep(self.r.random() * 0.2)
            await self.reply(method)

    async def noise(self):
        self.writer.write(self.r.choice([b"", b"G", b"\r\n" * 5000, b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20000,
                                         b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes(self.r.randrange(256) for _ in range(300))]))
        await self.rest()


def client_connections(port):
    """Connections that the daemon holds open (established, or the client has sent FIN): lines of proc(5) net/tcp."""
    with open("/proc/net/tcp") as f:
        rows = [line.split() for line in f.readlines()[1:]]
    return [row for row in rows if int(row[1].rpartition(":")[2], 16) == port and row[3] in ("01", "08")]


class Attack:
    def __init__(self, r, f, upstreams):
        self.r, self.f, self.upstreams, self.wrong, self.over = r, f, upstreams, [], False

    async def client(self):
        kind = self.r.choices([Client.honest, Client.rude, Client.tunnel, Client.files, Client.noise], [4, 6, 2, 2, 1])[0]
        writer = None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.f.port, limit=1 << 20)
            await kind(Client(self, reader, writer))
        except asyncio.TimeoutError:
            self.wrong.append("%s: neither answer nor close in %.0f s" % (kind.__name__, ANSWERED_WITHIN))
        except (OSError, asyncio.IncompleteReadError):
            await asyncio.sleep(0.01)  # cut off, or refused at the end
        except (AssertionError, ValueError, asyncio.LimitOverrunError) as e:
            self.wrong.append("%s: %r" % (kind.__name__, e))
        if writer:
            writer.transport.abort()

    async def lane(self):
        while not self.over:
            await self.client()

    async def come_and_go(self):
        while not self.over:
            up = []
            for path in self.upstreams:
                if self.r.random() < 0.7:
                    if os.path.exists(path):
                        os.unlink(path)
                    up.append(await asyncio.start_unix_server(chaos.server(self.r.random()), path, limit=1 << 20))
            await asyncio.sleep(self.r.random())
            for server in up:
                server.close()

    async def run(self, signals):
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        tasks = [asyncio.ensure_future(self.lane()) for _ in range(self.r.choice(LANES))]
        tasks.append(asyncio.ensure_future(self.come_and_go()))
        await asyncio.sleep(SECONDS)
        for number in signals:
            self.f.signal(number)
            await asyncio.sleep(self.r.random() * 0.3)
        self.over = True
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("signals", [(), (signal.SIGTERM,), (signal.SIGTERM, signal.SIGTERM)], ids=["calm", "stopped", "stopped-twice"])
def test_chaos(faucet, signals):
    seed = SEED * 3 + len(signals)
    print("seed %d (E2E_SEED=%d)" % (seed, SEED))
    r = random.Random(seed)
    upstreams = ["/tmp/c%d.sock" % free_port() for _ in range(2)]
    f = faucet(settings(r, seed, upstreams), start=False)
    f.file("files/small", "s")
    f.file("files/large", b"L" * 3000000)
    f.start(wait=False)
    for app in WORKERS:
        f.wait_ready(app)
    before = f.descriptors()
    attack = Attack(r, f, upstreams)
    asyncio.run(attack.run(signals))
    for path in upstreams:
        if os.path.exists(path):
            os.unlink(path)
    assert not attack.wrong, (seed, attack.wrong)
    if signals:
        assert f.wait_exit() == 0
        return
    for app in WORKERS:  # back-off may be up to some seconds by now; a lease or a queue place that was lost would be for good
        f.wait_ready(app, timeout=40)
        began = time.monotonic()
        assert [f.get("/%s/echo?t=x" % app).body for _ in range(4)] == [b"x:"] * 4
        assert time.monotonic() - began < SLOW
    until(lambda: not client_connections(f.port), 10, "all connections of clients are closed")
    # what idles towards workers stays for a minute: of each app as many as clients came at once
    assert f.descriptors() <= before + 6 * max(LANES), (before, f.descriptors())
