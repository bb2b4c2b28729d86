"""Large bodies in little memory, both ways, streamed and buffered; back-pressure; a client at its own pace."""
import glob
import os
import socket
import threading
import time

import pytest

from faucet import MEMORY_ROOM, backend, free_port, upstream
from origin import CLOSE
from wire import until

GIB = 1 << 30
BLOCK = os.urandom(1 << 20)


class Watch:
    """The most anonymous memory a daemon has while the block runs."""

    def __init__(self, f):
        self.f, self.most, self.stop = f, 0, threading.Event()

    def __enter__(self):
        self.before = self.f.rss_anon()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def run(self):
        while not self.stop.wait(0.02):
            self.most = max(self.most, self.f.rss_anon())

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()

    @property
    def growth(self):
        return self.most - self.before


def spooled(f):
    """Bytes in unlinked files that the daemon holds open."""
    total = 0
    for fd in glob.glob("/proc/%d/fd/*" % f.pid):
        try:
            if "(deleted)" in os.readlink(fd):
                total += os.stat(fd).st_blocks * 512
        except OSError:
            pass
    return total


def upload(c, target, size, chunked=False):
    if chunked:
        c.send("POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" % target)
        for _ in range(size // len(BLOCK)):
            c.send(b"%x\r\n" % len(BLOCK), BLOCK, b"\r\n")
        c.send("0\r\n\r\n")
    else:
        c.send("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (target, size))
        for _ in range(size // len(BLOCK)):
            c.send(BLOCK)


def skip_body(c, n):
    c.keep = False
    while n:
        if not c.buffer and not c.fill(c._deadline(None)):
            raise AssertionError("%d bytes are missing" % n)
        n -= len(c.take(min(n, len(c.buffer))))


@pytest.mark.parametrize("settings", [{}, {"concurrency": 1}], ids=["streamed", "buffered"])
def test_upload_of_a_gibibyte(faucet, settings):
    f = faucet({"apps": {"a": backend(**settings)}})
    f.post("/a/count", b"warm")
    c = f.client(timeout=120)
    with Watch(f) as watch:
        upload(c, "/a/count", GIB)
        r = c.read_response()
    assert r.status == 200 and b'"bytes": %d,' % GIB in r.body, r
    assert watch.growth < (1 << 20) + MEMORY_ROOM, "grew by %d KiB" % (watch.growth >> 10)


@pytest.mark.parametrize("settings", [{}, {"concurrency": 1}], ids=["streamed", "buffered"])
def test_download_of_a_gibibyte(faucet, settings):
    f = faucet({"apps": {"a": backend(**settings)}})
    f.get("/a/me")
    c = f.client(timeout=120)
    with Watch(f) as watch:
        c.send("GET /a/download?mb=1024 HTTP/1.1\r\nHost: x\r\n\r\n")
        r = c.read_response(body=False)
        assert r.framing == GIB
        skip_body(c, GIB)
    assert watch.growth < (1 << 20) + MEMORY_ROOM, "grew by %d KiB" % (watch.growth >> 10)


def test_chunked_upload(faucet):
    f = faucet({"apps": {"a": backend(), "b": backend(concurrency=1)}})
    for app in ("a", "b"):
        f.post("/%s/count" % app, b"warm")
        c = f.client(timeout=60)
        with Watch(f) as watch:
            upload(c, "/%s/count" % app, 100 << 20, chunked=True)
            r = c.read_response()
        assert b'"bytes": %d,' % (100 << 20) in r.body, r
        assert watch.growth < (1 << 20) + MEMORY_ROOM, "%s grew by %d KiB" % (app, watch.growth >> 10)


def test_many_at_once_in_bounded_memory(faucet):
    """A mebibyte an exchange at most, 30 of them."""
    f = faucet({"apps": {"a": backend(), "b": backend(concurrency=1, workers=2)}})
    f.get("/a/me"), f.get("/b/me")
    with Watch(f) as watch:
        clients = []
        for i in range(15):
            for app in "ab":
                c = f.client(timeout=90, rcvbuf=4096)
                c.send("GET /%s/download?mb=8 HTTP/1.1\r\nHost: x\r\n\r\n" % app)
                clients.append(c)
        for c in clients:
            r = c.read_response(body=False)
            assert r.status == 200
            skip_body(c, 8 << 20)
    assert watch.growth < (30 << 20) + MEMORY_ROOM, "grew by %d KiB" % (watch.growth >> 10)


def test_buffered_request_goes_to_a_temporary_file(faucet, origin):
    o = origin(path="/tmp/o%d.sock" % free_port())
    f = faucet({"apps": {"a": upstream(o, concurrency=1)}}, origins=[o])
    c = f.client(timeout=60)
    c.send("POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (20 << 20))
    for _ in range(19):
        c.send(BLOCK)
    until(lambda: spooled(f) >= 15 << 20, 10, "it is in an unlinked file")
    assert not o.seen("/x"), "the body is read before the lease is taken"
    assert f.get("/a/other").status == 200, "the worker is free meanwhile"
    c.send(BLOCK)
    assert c.read_response().status == 200
    assert o.seen("/x")[0].body == BLOCK * 20
    until(lambda: spooled(f) == 0, 10, "the file is closed")


def test_buffered_reply_is_taken_at_the_pace_of_the_worker(faucet, origin):
    o = origin(path="/tmp/o%d.sock" % free_port())
    f = faucet({"apps": {"a": upstream(o, concurrency=1)}}, origins=[o])
    body = BLOCK * 20
    o.reply("/big", "200 OK", body)
    c = f.client(timeout=60, rcvbuf=4096)
    c.send("GET /a/big HTTP/1.1\r\nHost: x\r\n\r\n")
    r = c.read_response(body=False)
    began = time.monotonic()
    assert f.get("/a/other").status == 200, "the worker is free meanwhile"
    assert time.monotonic() - began < 5
    assert c.read_exactly(r.framing) == body
    until(lambda: spooled(f) == 0, 10)


def test_buffer_is_given_back_when_the_client_leaves(faucet, origin):
    o = origin(path="/tmp/o%d.sock" % free_port())
    f = faucet({"apps": {"a": upstream(o, concurrency=1)}}, origins=[o])
    o.reply("/big", "200 OK", BLOCK * 20)
    before = f.descriptors()
    up = f.client()
    up.send("POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (20 << 20), BLOCK * 5)
    down = f.client(rcvbuf=4096)
    down.send("GET /a/big HTTP/1.1\r\nHost: x\r\n\r\n")
    down.read_exactly(1000)
    until(lambda: spooled(f) > 4 << 20)
    up.reset()
    down.reset()
    until(lambda: spooled(f) == 0, 10, "the files are closed")
    until(lambda: f.descriptors() <= before + 2, 10, "all descriptors are closed")
    assert not o.seen("/x")


@pytest.mark.parametrize("buffer,concurrency,whole", [("on", None, True), ("off", 1, False), ("auto", None, False), ("auto", 1, True)])
def test_buffer_setting(faucet, origin, buffer, concurrency, whole):
    o = origin(path="/tmp/o%d.sock" % free_port())
    settings = {"buffer": buffer, **({"concurrency": concurrency} if concurrency else {})}
    f = faucet({"apps": {"a": upstream(o, **settings)}}, origins=[o])
    o.hold("/x")
    c = f.client()
    c.send("POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabcde")
    if whole:
        time.sleep(0.3)
        assert not o.seen("/x")
        c.send("fghij")
        t = o.take("/x")
    else:
        t = o.take("/x")
        assert t.conn.read_exactly(5) == b"abcde"
        c.send("fghij")
    t.conn.read_exactly(10 if whole else 5)
    t.conn.reply("200 OK", "done")
    t.next()
    assert c.read_response().body == b"done"


def test_back_pressure_towards_the_client(faucet, origin):
    """A worker that reads nothing stops the client, not the daemon's memory."""
    o = origin(path="/tmp/o%d.sock" % free_port())
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    o.hold("/x")
    f.get("/a/warm")
    c = f.client()
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    with Watch(f) as watch:
        c.send("POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (200 << 20))
        t = o.take("/x")
        c.sock.settimeout(0.5)
        sent = 0
        try:
            while sent < 200 << 20:
                sent += c.sock.send(BLOCK)
        except socket.timeout:
            pass
    assert sent < 30 << 20, "%d MiB went somewhere" % (sent >> 20)
    assert watch.growth < (1 << 20) + MEMORY_ROOM
    t.finish()
    c.reset()


def test_back_pressure_towards_the_worker(faucet, origin):
    """A client that reads nothing stops the worker."""
    o = origin(path="/tmp/o%d.sock" % free_port())
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    sent = [0]

    def endless(conn, request):
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
        conn.sock.settimeout(1)
        try:
            while sent[0] < GIB:
                sent[0] += conn.sock.send(BLOCK)
        except OSError:
            pass
        return CLOSE
    o.on("/x", endless)
    f.get("/a/warm")
    c = f.client(rcvbuf=4096)
    with Watch(f) as watch:
        c.send("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n")
        c.read_exactly(1000)
        last = -1
        while last != sent[0]:
            last = sent[0]
            time.sleep(0.3)
    assert sent[0] < 30 << 20, "%d MiB went somewhere" % (sent[0] >> 20)
    assert watch.growth < (1 << 20) + MEMORY_ROOM
    c.reset()


def test_both_ways_at_once(faucet, origin):
    """An app that answers while it reads: an echo of 30 MiB, neither side waits for the other."""
    o = origin(path="/tmp/o%d.sock" % free_port())
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    size = 30 << 20

    def echo(conn, request):
        conn.keep = False
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        left = size
        while left:
            if not conn.buffer and not conn.fill(conn._deadline(None)):
                return CLOSE
            data = conn.take(min(left, len(conn.buffer), 65536))
            conn.send(data)
            left -= len(data)
        return None
    o.on("/echo", echo)
    c = f.client(timeout=60)
    sender = threading.Thread(target=upload, args=(c, "/a/echo", size), daemon=True)
    sender.start()
    r = c.read_response(body=False)
    assert r.status == 200
    assert c.read_exactly(size) == BLOCK * 30
    sender.join(10)
