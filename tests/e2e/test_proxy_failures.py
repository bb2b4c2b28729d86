"""When a worker, a client or the time fails: retries, leases, timeouts, garbage."""
import json
import os
import signal
import time

import pytest

import processes
from faucet import APPS, backend, free_port, upstream
from origin import CLOSE
from wire import ProtocolError, until


def make(faucet, origin, **settings):
    o = origin(path="/tmp/o%d.sock" % free_port())
    return faucet({"apps": {"a": upstream(o, **settings)}}, origins=[o]), o


# -- retries
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_idempotent_request_on_a_closing_connection_is_sent_again(faucet, origin, method):
    f, o = make(faucet, origin)
    seen = []

    def handler(conn, request):
        seen.append(conn.number)
        if len(seen) == 1 and conn.number in before:
            return CLOSE
        conn.read_request_body(request)
        conn.reply("200 OK", b"" if method == "HEAD" else b"again")
    o.on("/x", handler)
    assert f.get("/a/prime").status == 200
    before = set(o.conns)
    r = f.request(method, "/a/x", body=b"body" if method == "PUT" else b"")
    assert r.status == 200, r
    if method == "PUT" and seen[0] not in before:
        return       # a body that streams cannot be replayed, so it went on a fresh connection: as good
    assert len(seen) == 2, "the idle connection was not used again, so nothing was tested: %s %s" % (seen, before)


def test_once_only(faucet, origin):
    f, o = make(faucet, origin)
    o.on("/x", lambda conn, request: CLOSE)
    assert f.get("/a/prime").status == 200
    assert f.get("/a/x").status == 502
    assert 1 <= len(o.seen("/x")) <= 2
    assert f.get("/a/fine").status == 200


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_others_go_on_a_fresh_connection_and_never_twice(faucet, origin, method):
    f, o = make(faucet, origin)
    assert f.get("/a/prime").status == 200
    before = o.accepted
    assert f.request(method, "/a/ok", body=b"b").status == 200
    assert o.connections("/ok")[0] > before, "on a used connection"
    o.on("/x", lambda conn, request: CLOSE)
    assert f.request(method, "/a/x", body=b"body").status == 502
    assert len(o.seen("/x")) == 1


def test_no_retry_after_the_first_byte(faucet, origin):
    f, o = make(faucet, origin)
    o.raw("/x", "HTTP/1.1 200 OK\r\nContent-Le", CLOSE)
    assert f.get("/a/prime").status == 200
    assert f.get("/a/x").status == 502
    assert len(o.seen("/x")) == 1


def test_retry_with_a_body_that_is_kept(faucet, origin):
    """PUT on a reused connection that closes: its body is replayed whole, or it is told that it failed; never half a body."""
    f, o = make(faucet, origin)
    body = b"0123456789" * 2000
    got = []

    def handler(conn, request):
        got.append(conn.number)
        if len(got) == 1:
            conn.read_exactly(100)
            return CLOSE
        conn.read_request_body(request)
        conn.reply("200 OK", str(len(request.body)))
    o.on("/x", handler)
    assert f.get("/a/prime").status == 200
    r = f.request("PUT", "/a/x", body=body)
    assert r.status == 502 or (r.status == 200 and r.body == b"20000"), r


# -- garbage from workers
@pytest.mark.parametrize("data", [
    b"garbage\r\n\r\n", b"\x00\x01\x02\x03", b"HTTP/1.1\r\n\r\n", b"HTTP/1.1 xyz OK\r\n\r\n", b"HTTP/2.0 200 OK\r\n\r\n", b"HTTP/0.9 200 OK\r\n\r\n", b"ICY 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 99 Low\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b=c\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
], ids=lambda d: repr(d[:60]))
def test_garbage_is_502(faucet, origin, data):
    f, o = make(faucet, origin)
    o.raw("/x", data, CLOSE)
    r = f.post("/a/x", b"b", timeout=10)
    if r.status != 502:     # put right is as good as refused, as long as what arrives is strict (read_response looks)
        assert r.status == 200 and b"Set-Cookie" not in r.raw and "folded" not in (r["X"] or "folded").replace("a folded", ""), r
        assert data.count(b"Content-Length") < 2 and b"Transfer-Encoding" not in data and b"\0" not in r.raw
    assert f.get("/a/fine").status == 200


def test_header_too_large_for_us_from_a_worker(faucet, origin):
    f, o = make(faucet, origin)
    o.raw("/x", b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 100000 + b"\r\nContent-Length: 0\r\n\r\n", CLOSE)
    assert f.get("/a/x").status == 502
    o.raw("/y", b"HTTP/1.1 200 OK\r\nX-Big: " + b"x" * 20000 + b"\r\nContent-Length: 2\r\n\r\nok")
    assert f.get("/a/y").body == b"ok"


@pytest.mark.parametrize("data", [b"zz\r\nabc\r\n", b"5\r\nabcdeXX0\r\n\r\n", b"3\r\nabc\n0\r\n\r\n", b"ffffffffffffffffff\r\nabc", b"-1\r\nabc\r\n", b"3 junk\r\nabc\r\n0\r\n\r\n"])
def test_bad_chunks_from_a_worker(faucet, origin, data):
    f, o = make(faucet, origin)
    o.raw("/x", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data, CLOSE)
    try:
        r = f.get("/a/x", timeout=10)
        assert r.status == 502, "a broken reply looks whole: %r" % r
    except (ProtocolError, ConnectionResetError):
        pass
    assert f.get("/a/fine").status == 200


# -- time
def test_request_timeout(faucet, origin):
    f, o = make(faucet, origin, request_timeout="400ms")
    o.hold("/x")
    began = time.monotonic()
    r = f.get("/a/x")
    assert r.status == 504 and 0.3 < time.monotonic() - began < 3
    o.take("/x")
    r = f.get("/a/fine")
    assert r.status == 200
    assert len(o.seen("/x")) == 1, "a timeout is no reason to ask twice"


def test_request_timeout_between_bytes(faucet, origin):
    f, o = make(faucet, origin, request_timeout="500ms")
    o.hold("/x")
    c = f.client()
    c.send("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n")
    t = o.take("/x")
    t.conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
    for _ in range(4):      # longer in all than the limit, never longer between two bytes
        time.sleep(0.25)
        t.conn.send("abc")
    began = time.monotonic()
    rest = c.read_all(5)
    assert rest.endswith(b"abcabcabcabc") and time.monotonic() - began < 3, rest


def test_request_timeout_of_a_worker(faucet):
    f = faucet({"apps": {"a": backend(request_timeout="300ms", concurrency=1)}})
    assert f.get("/a/sleep?s=1").status == 504
    until(lambda: f.get("/a/").status == 200, 5)


# -- clients that leave, one request at a time
def one_at_a_time(faucet, **settings):
    return faucet({"apps": {"a": backend(concurrency=1, **settings)}})


def began(f, name):
    until(lambda: os.path.exists("%s/%s.began" % (f.dir, name)), 10, "%s reached the worker" % name)


def ask(f, name):
    c = f.client()
    c.send("GET /a/hold?name=%s/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (f.dir, name))
    return c


def reached(f, name):
    return os.path.exists("%s/%s.began" % (f.dir, name))


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_client_that_leaves_the_queue_frees_its_place(faucet, leave):
    f = one_at_a_time(faucet)
    first = ask(f, "first")
    began(f, "first")
    gone = ask(f, "gone")
    last = ask(f, "last")
    time.sleep(0.2)                   # both are queued: nothing shows that from outside
    getattr(gone, leave)()
    time.sleep(0.2)
    f.file("gone.go"), f.file("last.go"), f.file("first.go")
    assert first.read_response().status == 200
    assert last.read_response().status == 200
    assert not reached(f, "gone"), "the request of a client that left was sent to a worker"


def test_client_that_leaves_keeps_its_lease_until_the_answer(faucet):
    f = one_at_a_time(faucet)
    gone = ask(f, "gone")
    began(f, "gone")
    gone.reset()
    last = ask(f, "last")
    time.sleep(0.5)
    assert not reached(f, "last"), "two requests at once for a worker that takes one"
    f.file("last.go"), f.file("gone.go")
    assert last.read_response().status == 200
    assert json.loads(f.get("/a/me").body)["most_busy"] <= 1


def test_half_closed_client_with_a_worker_is_answered(faucet):
    f = one_at_a_time(faucet)
    c = ask(f, "half")
    began(f, "half")
    c.shutdown()
    time.sleep(0.2)
    f.file("half.go")
    assert c.read_response().status == 200
    assert c.wait_eof(5)


def test_lease_of_a_client_that_left_ends_with_request_timeout(faucet):
    f = one_at_a_time(faucet, request_timeout="600ms")
    gone = ask(f, "gone")
    began(f, "gone")
    gone.reset()
    t = time.monotonic()
    r = f.get("/a/me", timeout=10)
    assert r.status in (200, 502, 503) and time.monotonic() - t < 5, r
    f.file("gone.go")


def test_parallel_app_frees_the_lease_at_once(faucet):
    f = faucet({"apps": {"api": {"dir": APPS + "/fastapi", "type": "fast-api", "concurrency": 1}}})
    c = f.client()
    c.send("GET /api/wait?s=4 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.3)
    c.reset()
    t = time.monotonic()
    assert f.get("/api/items/1").status == 200
    assert time.monotonic() - t < 2.5


def test_many_clients_that_leave(faucet, origin):
    f, o = make(faucet, origin)
    before = f.descriptors()
    for i in range(200):
        c = f.client()
        c.send("GET /a/x%d HTTP/1.1\r\nHost: x\r\n\r\n" % i)
        if i % 3 == 0:
            c.reset()
        elif i % 3 == 1:
            c.close()
        else:
            c.read_response()
            c.close()
    until(lambda: f.descriptors() <= before + 20, 10, "descriptors are given back")
    assert f.get("/a/fine").status == 200


# -- limits of a head and a body
def limited(faucet, origin, **settings):
    o = origin()
    f = faucet({"timeouts": {"header": "700ms", "body": "700ms", "keepalive": "700ms"}, "limits": {"header_size": "8KiB"},
                "apps": {"a": upstream(o, body_size="1KiB"), "one": upstream(o, concurrency=1)}, **settings}, origins=[o])
    return f, o


def test_big_headers_431(faucet, origin):
    f, o = limited(faucet, origin)
    assert f.get("/a/x", {"X-Big": "x" * 6000}).status == 200
    for headers in ([("X-Big", "x" * 9000)], [("X-%d" % i, "y" * 100) for i in range(100)]):
        c = f.client()
        c.send("GET /a/y HTTP/1.1\r\nHost: x\r\n" + "".join("%s: %s\r\n" % h for h in headers) + "\r\n")
        r = c.read_response()
        assert r.status == 431 and "close" in r["Connection"].lower()
        c.read_all(5)
    c = f.client()
    c.send("GET /a/%s HTTP/1.1\r\nHost: x\r\n\r\n" % ("z" * 9000))
    assert c.read_response().status in (414, 431)
    assert not o.seen("/y")


def test_body_size_413(faucet, origin):
    f, o = limited(faucet, origin)
    assert f.post("/a/ok", b"x" * 1024).status == 200
    c = f.client()
    c.send("POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\n\r\n")
    assert c.read_response(timeout=5).status == 413
    c = f.client()
    c.send("POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1025\r\nExpect: 100-continue\r\n\r\n")
    r = c.read_response(timeout=5)
    assert r.status == 413 and not r.interim
    c = f.client()
    c.send("POST /a/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    try:
        for _ in range(20):
            c.send("100\r\n" + "x" * 256 + "\r\n")
    except OSError:
        pass
    assert c.read_response(timeout=5).status == 413
    assert not [r for r in o.seen("/x") if r.framing != "chunked"]


def test_header_timeout_408(faucet, origin):
    f, o = limited(faucet, origin)
    c = f.client()
    t = time.monotonic()
    for b in "GET /a/x HTTP/1.1\r\n":     # in all: a byte now and then does not help
        c.send(b)
        time.sleep(0.05)
        if time.monotonic() - t > 0.6:
            break
    r = c.read_response(timeout=5)
    assert r.status == 408 and "close" in r["Connection"].lower() and time.monotonic() - t < 4
    assert c.wait_eof(5)


def test_silent_connection_is_closed(faucet, origin):
    f, o = limited(faucet, origin)
    c = f.client()
    data = c.read_all(6)
    assert data == b"" or data.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("at", ["/a", "/one"])
def test_body_timeout_408(faucet, origin, at):
    f, o = limited(faucet, origin)
    c = f.client()
    c.send("POST %s/x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc" % at)
    for _ in range(4):       # between two bytes: this is fine
        time.sleep(0.3)
        c.send("d")
    t = time.monotonic()
    r = c.read_response(timeout=6)
    assert r.status == 408 and 0.3 < time.monotonic() - t < 4
    assert c.wait_eof(5)
    if at == "/one":
        assert not o.seen("/x"), "the body is read before the lease is taken"


def test_keepalive_timeout(faucet, origin):
    f, o = limited(faucet, origin)
    c = f.client()
    c.send("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n")
    assert c.read_response().status == 200
    t = time.monotonic()
    assert c.wait_eof(6), "closed without a word"
    assert 0.5 < time.monotonic() - t < 4


def test_write_timeout(faucet, origin):
    o = origin()
    f = faucet({"timeouts": {"write": "700ms"}, "apps": {"a": upstream(o)}}, origins=[o])
    ended = []

    def endless(conn, request):
        try:
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            for _ in range(10000):
                conn.send(b"x" * 65536)
        except OSError:
            ended.append(time.monotonic())
        return CLOSE
    o.on("/x", endless)
    c = f.client(rcvbuf=4096)
    c.send("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n")
    c.read_exactly(100)
    t = time.monotonic()
    until(lambda: ended, 10, "the worker is freed of a client that takes nothing")
    assert ended[0] - t < 6


def test_connection_limit(faucet, origin):
    o = origin()
    o.hold("/held")
    f = faucet({"limits": {"connections": 10}, "apps": {"a": upstream(o)}}, origins=[o])
    clients = []
    for i in range(10):
        c = f.client()
        c.send("GET /a/x%d HTTP/1.1\r\nHost: x\r\n\r\n" % i)
        assert c.read_response().status == 200
        clients.append(c)
    for c in clients[1:]:                       # busy ones keep their place
        c.send("GET /a/held HTTP/1.1\r\nHost: x\r\n\r\n")
    o.wait_seen("/held", 9)
    extra = f.client()
    extra.send("GET /a/extra HTTP/1.1\r\nHost: x\r\n\r\n")
    try:
        extra_answer = extra.read_response(timeout=1).status
    except (TimeoutError, ProtocolError, ConnectionResetError):
        extra_answer = None                     # kept waiting or shown the door
    if extra_answer == 200:
        assert clients[0].wait_eof(5), "one idle connection makes room for a new one, or the new one waits"
    another = f.client()
    another.send("GET /a/another HTTP/1.1\r\nHost: x\r\n\r\n")
    for t in [o.take("/held") for _ in clients[1:]]:
        t.conn.reply("200 OK", "x")
        t.next()
    for c in clients[1:]:
        assert c.read_response().status == 200
        c.close()
    until(lambda: f.get("/a/after").status == 200, 10)


# -- what nobody asked for
@pytest.mark.parametrize("first", ["request", "poison"])
def test_unasked_bytes_are_nobodys_reply(faucet, origin, first):
    """They arrive in the same turn of the loop as the next client's request: whichever is looked at first."""
    f, o = make(faucet, origin)
    c = f.client()
    c.send("GET /a/prime HTTP/1.1\r\nHost: x\r\n\r\n")
    assert c.read_response().status == 200
    conn = next(iter(o.conns.values()))
    f.signal(signal.SIGSTOP)
    until(lambda: processes.status(f.pid)["State"][0] == "T", 5)
    steps = [lambda: c.send("GET /a/mine HTTP/1.1\r\nHost: x\r\n\r\n"),
             lambda: conn.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")]
    for step in steps if first == "request" else reversed(steps):
        step()
    f.signal(signal.SIGCONT)
    r = c.read_response()
    assert r.status == 200 and r.body != b"poison" and o.connections("/mine") != o.connections("/prime"), r


def test_idle_connections_are_freed_when_a_second_signal_ends_a_drain(faucet, origin):
    """The leak sanitizer looks at the exit; without it the descriptors do no harm."""
    f, o = make(faucet, origin)
    o.hold("/x")
    c = f.client()
    c.send("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n")
    t = o.take("/x")
    assert f.get("/a/prime").status == 200
    f.signal(signal.SIGTERM)
    f.log_contains(r"(?i)wait")
    f.signal(signal.SIGTERM)
    assert f.wait_exit() == 0
    t.finish()


def test_no_descriptor_left_for_a_worker_is_503(faucet, origin):
    """It is our own shortage: neither the app's failure nor a reason to think that the worker is down."""
    o = origin(path="/tmp/o%d.sock" % free_port())
    f = faucet({"limits": {"connections": 1000}, "apps": {"a": upstream(o)}}, origins=[o], wrap=["prlimit", "--nofile=64:64"])
    clients = [f.client() for _ in range(70)]
    f.log_contains("no file descriptor left")
    clients[0].send("POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    r = clients[0].read_response()
    assert r.status == 503 and r["Retry-After"], r
    for c in clients:
        c.close()
    until(lambda: f.get("/a/x").status == 200, 5, "the app is reached again")
