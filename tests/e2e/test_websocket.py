"""Upgrades and tunnels: every byte of a WebSocket passes both ways, nothing else is let through."""
import asyncio
import base64
import json
import os
import re
import socket
import threading
import time

import pytest
import websockets

from faucet import APPS, MEMORY_ROOM, PYTHON, free_port, upstream
from origin import CLOSE
from wire import ProtocolError, until


@pytest.fixture(scope="module")
def f(module_faucet):
    command = [PYTHON, APPS + "/websocket.py", "{socket}"]
    return module_faucet({"apps": {"ws": {"command": command}, "plain": {"command": command + ["plain"]}, "one": {"command": command, "concurrency": 1},
                                   "port": {"command": [PYTHON, APPS + "/websocket.py", "{socket}"], "upgrade": []}}})


def talk(conversation, timeout=60):
    return asyncio.run(asyncio.wait_for(conversation(), timeout))


def connect(f, path, **kwargs):
    kwargs.setdefault("max_size", 64 << 20)
    kwargs.setdefault("ping_interval", None)
    return websockets.connect(f.url(path, "ws"), **kwargs)


def test_echo(f):
    async def conversation():
        async with connect(f, "/ws/echo") as ws:
            for message in ("text", "", b"binary", b"", "caf\u00e9", b"\x00\xff" * 100, "x" * 125, "x" * 126, "x" * 65535, "x" * 65536):
                await ws.send(message)
                assert await ws.recv() == message
    talk(conversation)


@pytest.mark.parametrize("compression", [None, "deflate"])
def test_large_messages(f, compression):
    async def conversation():
        async with connect(f, "/ws/echo", compression=compression) as ws:
            for size in (1 << 20, 5 << 20):
                message = os.urandom(size)
                await ws.send(message)
                assert await ws.recv() == message
    talk(conversation)


def test_fragmented(f):
    async def conversation():
        async with connect(f, "/ws/echo") as ws:
            async def parts():
                for i in range(10):
                    yield "part %d " % i
                    await asyncio.sleep(0.01)
            await ws.send(parts())
            assert await ws.recv() == "".join("part %d " % i for i in range(10))
    talk(conversation)


def test_ping_and_pong(f):
    async def conversation():
        async with connect(f, "/ws/echo") as ws:
            await asyncio.wait_for(await ws.ping(b"payload"), 5)
    talk(conversation)


def test_subprotocol(f):
    async def conversation():
        async with connect(f, "/ws/echo", subprotocols=["unknown", "chat.v1", "chat.v2"]) as ws:
            assert ws.subprotocol == "chat.v2" or ws.subprotocol == "chat.v1"
        async with connect(f, "/ws/echo") as ws:
            assert ws.subprotocol is None
    talk(conversation)


def test_extensions_are_between_the_two(f):
    async def conversation():
        async with connect(f, "/ws/headers") as ws:
            sent = dict((k.lower(), v) for k, v in json.loads(await ws.recv()))
            assert "permessage-deflate" in sent["sec-websocket-extensions"]
            assert any("permessage-deflate" in str(e).lower() or type(e).__name__ == "PerMessageDeflate" for e in ws.extensions), ws.extensions
            assert sent["upgrade"].lower() == "websocket" and sent["connection"].lower() == "upgrade"
            assert sent["x-forwarded-for"] == "127.0.0.1" and sent["x-forwarded-prefix"].rstrip("/") == "/ws"
        async with connect(f, "/plain/headers") as ws:
            assert ws.extensions == []
        async with connect(f, "/ws/headers", compression=None) as ws:
            assert "sec-websocket-extensions" not in dict((k.lower(), v) for k, v in json.loads(await ws.recv()))
    talk(conversation)


@pytest.mark.parametrize("code,reason", [(1000, ""), (1001, "going"), (4001, "own reason"), (3000, "x" * 100)])
def test_close_code_of_the_worker_passes(f, code, reason):
    async def conversation():
        async with connect(f, "/ws/close?code=%d&reason=%s" % (code, reason.replace(" ", "%20"))) as ws:
            await ws.send("go")
            with pytest.raises(websockets.ConnectionClosed):
                await ws.recv()
            assert (ws.close_code, ws.close_reason) == (code, reason)
    talk(conversation)


def test_close_of_the_client_passes(f):
    async def conversation():
        ws = await connect(f, "/ws/echo")
        await ws.close(4002, "bye")
        assert ws.close_code == 4002
    talk(conversation)


def test_worker_that_dies(f):
    async def conversation():
        async with connect(f, "/one/die") as ws:
            await ws.send("now")
            with pytest.raises(websockets.ConnectionClosed):
                await ws.recv()
    talk(conversation)
    f.wait_ready("one")


def test_many_at_once(f):
    async def conversation():
        sockets = await asyncio.gather(*(connect(f, "/ws/echo", open_timeout=30) for _ in range(100)))
        for i, ws in enumerate(sockets):
            await ws.send(str(i))
        assert [await ws.recv() for ws in sockets] == [str(i) for i in range(100)]
        await asyncio.gather(*(ws.close() for ws in sockets))
    talk(conversation)


def test_tunnel_gives_its_lease_back(f):
    """An app with concurrency 1 serves requests and further tunnels beside an open one."""
    async def conversation():
        async with connect(f, "/one/echo") as a, connect(f, "/one/echo") as b:
            assert await asyncio.to_thread(lambda: f.get("/one/x").status) == 200
            await a.send("a")
            await b.send("b")
            assert (await a.recv(), await b.recv()) == ("a", "b")
    talk(conversation)


def test_back_pressure_towards_the_client(f):
    """A worker that sends 64 MiB to a client that reads nothing: the daemon holds little of it."""
    c = f.client(rcvbuf=4096, timeout=60)
    before = f.rss_anon()
    c.send(handshake("/plain/blast?mb=64"))
    assert c.read_response().status == 101
    time.sleep(1.0)
    assert f.rss_anon() - before < (2 << 20) + MEMORY_ROOM
    total, messages = 0, 0
    c.keep = False
    while True:
        opcode, payload = read_frame(c)
        if opcode == 1:
            assert payload == b"end"
            break
        total += len(payload)
    assert total == 64 << 20
    assert f.rss_anon() - before < (2 << 20) + MEMORY_ROOM
    c.reset()


def test_back_pressure_towards_the_worker(f):
    go = f.dir + "/go-on"
    c = f.client(timeout=60)
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    c.send(handshake("/plain/stop-reading?go=" + go))
    assert c.read_response().status == 101
    before = f.rss_anon()
    c.sock.settimeout(0.5)
    piece = frame(2, b"m" * 65536)
    sent, rest, whole = 0, b"", 0
    try:
        while sent < 64 << 20:
            if not rest:
                rest, whole = piece, whole + 1
            n = c.sock.send(rest)
            rest = rest[n:]
            sent += n
    except socket.timeout:
        pass
    assert sent < 20 << 20 and f.rss_anon() - before < (2 << 20) + MEMORY_ROOM
    open(go, "w").close()
    c.send(rest, frame(1, b"sum"))
    while True:
        opcode, payload = read_frame(c)
        if opcode == 1:
            assert int(payload) == whole * 65536
            break
    c.close()


# -- raw frames
def handshake(path, more="", upgrade="websocket", host="x"):
    return ("GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: %s\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n"
            % (path, host, upgrade, base64.b64encode(os.urandom(16)).decode(), more))


def frame(opcode, payload, fin=True, mask=True):
    n = len(payload)
    head = bytes([(128 if fin else 0) | opcode])
    bit = 128 if mask else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + n.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + n.to_bytes(8, "big")
    return head + (b"\0\0\0\0" if mask else b"") + payload


def read_frame(c):
    first, second = c.read_exactly(2)
    n = second & 127
    if n == 126:
        n = int.from_bytes(c.read_exactly(2), "big")
    elif n == 127:
        n = int.from_bytes(c.read_exactly(8), "big")
    return first & 15, c.read_exactly(n)


@pytest.fixture
def site(faucet, origin):
    o = origin(path="/tmp/o%d.sock" % free_port())
    o.hold("/ws")
    return faucet({"apps": {"a": upstream(o), "other": upstream(o, upgrade=["chat", "websocket"])}}, origins=[o]), o


SWITCH = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"


def tunnel(f, o, early=b""):
    c = f.client()
    c.send(handshake("/a/ws"), early)
    t = o.take("/ws")
    t.conn.send(SWITCH)
    assert c.read_response().status == 101
    return c, t


def test_bytes_pass_untouched(site):
    f, o = site
    c, t = tunnel(f, o)
    for data in (frame(1, b"hi"), frame(0xA, b""), frame(2, b"q" * 70000, fin=False), frame(0, b"r"), bytes([0xC1, 0x82, 1, 2, 3, 4, 5, 6])):
        c.send(data)
        assert t.conn.read_exactly(len(data)) == data
    for data in (frame(1, b"hi", mask=False), frame(2, b"q" * 70000, mask=False), bytes([0xC1, 2, 5, 6])):
        t.conn.send(data)
        assert c.read_exactly(len(data)) == data
    t.finish()


def test_byte_by_byte(site):
    f, o = site
    c, t = tunnel(f, o)
    for byte in frame(2, b"abc" * 50):
        c.send(bytes([byte]))
        assert t.conn.read_exactly(1) == bytes([byte])
    for byte in frame(2, b"abc" * 50, mask=False):
        t.conn.send(bytes([byte]))
        assert c.read_exactly(1) == bytes([byte])
    t.finish()


def test_frames_sent_with_the_handshake(site):
    """Both ways from the first byte: nothing that came with a head is lost."""
    f, o = site
    early = frame(1, b"early")
    c = f.client()
    c.send(handshake("/a/ws").encode() + early)
    t = o.take("/ws")
    t.conn.send(SWITCH.encode() + frame(1, b"welcome", mask=False))
    assert c.read_response().status == 101
    assert read_frame(c) == (1, b"welcome")
    assert t.conn.read_exactly(len(early)) == early
    t.finish()


def test_half_close_of_the_client(site):
    f, o = site
    c, t = tunnel(f, o)
    c.send(frame(8, b"\x03\xe8"))
    c.shutdown()
    assert t.conn.read_exactly(8) == frame(8, b"\x03\xe8")
    assert t.conn.wait_eof(5)
    t.conn.send(frame(2, b"the rest" * 1000, mask=False), frame(8, b"\x03\xe8", mask=False))
    assert read_frame(c) == (2, b"the rest" * 1000)
    assert read_frame(c)[0] == 8
    t.finish()
    assert c.wait_eof(5)


def test_half_close_of_the_worker(site):
    f, o = site
    c, t = tunnel(f, o)
    t.conn.send(frame(8, b"\x03\xe8", mask=False))
    t.conn.shutdown()
    assert read_frame(c) == (8, b"\x03\xe8")
    c.send(frame(8, b"\x03\xe8"))
    assert t.conn.read_exactly(8) == frame(8, b"\x03\xe8")
    c.close()
    t.finish()


def test_reset_ends_both_sides(site):
    f, o = site
    c, t = tunnel(f, o)
    c.reset()
    until(lambda: t.conn.read_all(10) == b"" and t.conn.eof, 10)
    t.finish()
    c, t = tunnel(f, o)
    t.conn.reset()
    t.conn.done.set()
    c.read_all(10)
    assert c.eof


def test_tunnel_has_no_idle_limit_of_http(faucet, origin):
    o = origin()
    o.hold("/ws")
    f = faucet({"timeouts": {"header": "500ms", "body": "500ms", "write": "500ms", "keepalive": "500ms"}, "apps": {"a": upstream(o, request_timeout="500ms")}},
               origins=[o])
    c, t = tunnel(f, o)
    time.sleep(1.5)
    c.send(frame(1, b"still"))
    assert t.conn.read_exactly(11) == frame(1, b"still")
    t.conn.send(frame(1, b"there", mask=False))
    assert read_frame(c) == (1, b"there")
    t.finish()


# -- what is let through
@pytest.mark.parametrize("token", ["h2c", "H2C", "foo", "TLS/1.0", "websocket/9", "h2c, foo"])
def test_other_tokens_are_dropped(site, token):
    f, o = site
    o.reply("/x", "200 OK", "plain")
    c = f.client()
    c.send(handshake("/a/x", "Connection: HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n" if "h2c" in token.lower() else "", upgrade=token))
    r = c.read_response()
    assert r.status in (200, 400)
    for request in o.seen("/x"):
        assert "Upgrade" not in request.headers and "upgrade" not in (request["Connection"] or "").lower() and "HTTP2-Settings" not in request.headers, request.raw


def test_token_in_the_list_passes(site):
    f, o = site
    o.hold("/chat")
    c = f.client()
    c.send("GET /other/chat HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n")
    t = o.take("/chat")
    assert t.request["Upgrade"] == "chat" and "upgrade" in t.request["Connection"].lower()
    t.conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat\r\nConnection: Upgrade\r\n\r\nraw bytes, no frames")
    assert c.read_response().status == 101
    assert c.read_exactly(20) == b"raw bytes, no frames"
    c.send("\x00\x01 not a frame either")
    assert t.conn.read_exactly(21) == b"\x00\x01 not a frame either"
    t.finish()


def test_h2c_even_where_it_is_listed(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o, upgrade=["h2c", "websocket"])}}, start=False, origins=[o])
    f.spawn()
    until(lambda: not f.running or f.log(), 10)
    if f.process.poll() is None:
        f.wait_listening()
        f.wait_ready("a")
        c = f.client()
        c.send(handshake("/a/x", upgrade="h2c"))
        assert c.read_response().status in (200, 400)
        assert all("Upgrade" not in r.headers for r in o.seen("/x"))
    else:
        assert f.process.returncode == 78
        f.expected_exit = 78


def test_empty_list_lets_nothing_through(f):
    c = f.client()
    c.send(handshake("/port/echo"))
    r = c.read_response()
    assert r.status in (200, 400, 426), r


def test_upgrade_that_is_refused_by_the_worker(site):
    """No 101: the reply is a reply, and the connection goes on."""
    f, o = site
    c = f.client()
    c.send(handshake("/a/ws").encode() + b"GET /a/next HTTP/1.1\r\nHost: x\r\n\r\n")
    t = o.take("/ws")
    t.conn.reply("403 Forbidden", "no sockets")
    t.next()
    r = c.read_response()
    assert r.status == 403 and r.body == b"no sockets"
    c.send("GET /a/after HTTP/1.1\r\nHost: x\r\n\r\n")
    paths = []
    for _ in range(2):
        try:
            paths.append(json.loads(c.read_response(timeout=3).body)["path"])
        except (ProtocolError, ConnectionResetError, TimeoutError):
            break
    assert paths in (["/next", "/after"], []), paths


def test_101_unasked_is_502(site):
    f, o = site
    o.raw("/x", SWITCH, CLOSE)
    assert f.get("/a/x").status == 502


def test_101_to_something_else_is_502(site):
    f, o = site
    c = f.client()
    c.send(handshake("/a/ws"))
    t = o.take("/ws")
    t.conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n")
    assert c.read_response().status == 502
    t.finish()


def test_upgrade_without_an_app(f):
    c = f.client()
    c.send(handshake("/nowhere/echo"))
    assert c.read_response().status == 404


def test_access_line_at_the_101(f):
    async def conversation():
        async with connect(f, "/ws/echo?mark=1"):
            await asyncio.to_thread(f.log_contains, r"Worker::ws::1\] 127\.0\.0\.1 \"GET /ws/echo\S* HTTP/1\.1\" 101 ")
    talk(conversation)


def test_a_lot_of_tunnels_come_and_go(f):
    before = f.descriptors()
    stop = time.monotonic() + 3
    errors = []

    def worker():
        async def conversation():
            while time.monotonic() < stop:
                async with connect(f, "/ws/echo") as ws:
                    await ws.send("x" * 1000)
                    assert await ws.recv() == "x" * 1000
        try:
            talk(conversation)
        except Exception as e:
            errors.append(e)
    threads = [threading.Thread(target=worker) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not errors
    until(lambda: f.descriptors() <= before + 10, 10, "descriptors are given back")


def test_frame_helpers():
    """Ours agree with the library's wire format."""
    assert frame(1, b"a" * 126)[:4] == b"\x81\xfe\x00\x7e"
    assert re.match(rb"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00", frame(2, b"a" * 65536))
