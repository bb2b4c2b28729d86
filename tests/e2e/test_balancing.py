"""Which worker gets a request: strategies, concurrency, the queue, pins of live tunnels."""
import asyncio
import collections
import json
import os
import re
import threading
import time

import pytest
import websockets

from faucet import APPS, PYTHON, backend, upstream
from wire import until


def worker(response):
    assert response.status == 200, response
    return json.loads(response.body)["worker"]


def cookie_of(response, name="FAUCET_LB_COOKIE"):
    for value in response.headers.all("Set-Cookie"):
        if value.startswith(name + "="):
            return value
    return None


# -- round-robin and least-busy
def test_round_robin(faucet):
    f = faucet({"apps": {"a": backend(workers=4)}})
    counts = collections.Counter(worker(f.get("/a/x")) for _ in range(40))
    assert counts == {"1": 10, "2": 10, "3": 10, "4": 10}
    assert cookie_of(f.get("/a/x")) is None


def hold(f, name, path="/a"):
    c = f.client()
    c.send("GET %s/hold?name=%s/%s HTTP/1.1\r\nHost: x\r\n\r\n" % (path, f.dir, name))
    until(lambda: os.path.exists("%s/%s.began" % (f.dir, name)), 10, "%s reached a worker" % name)
    return c


def release(f, c, name):
    f.file(name + ".go")
    return json.loads(c.read_response().body)["worker"]


def test_round_robin_among_workers_with_room(faucet):
    f = faucet({"apps": {"a": backend(workers=3, concurrency=1)}})
    c = hold(f, "one")
    counts = collections.Counter(worker(f.get("/a/x")) for _ in range(20))
    busy = release(f, c, "one")
    assert busy not in counts and len(counts) == 2 and max(counts.values()) - min(counts.values()) <= 2


def test_least_busy(faucet):
    f = faucet({"apps": {"a": backend(workers=3, strategy="least-busy")}})
    held = [hold(f, "h%d" % i) for i in range(2)]
    counts = collections.Counter(worker(f.get("/a/x")) for _ in range(10))
    busy = {release(f, c, "h%d" % i) for i, c in enumerate(held)}
    assert len(busy) == 2 and len(counts) == 1 and not busy & set(counts)


# -- concurrency and the queue
def test_concurrency_is_kept(faucet):
    f = faucet({"apps": {"a": backend(workers=2, concurrency=2)}})
    threads = [threading.Thread(target=f.get, args=("/a/sleep?s=0.1",)) for _ in range(24)]
    began = time.monotonic()
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert time.monotonic() - began > 0.5
    assert {json.loads(f.get("/a/me").body)["most_busy"] for _ in range(6)} == {2}


def test_queue_is_first_in_first_out(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o, concurrency=1)}}, origins=[o])
    o.hold("/first")
    first = f.client()
    first.send("GET /a/first HTTP/1.1\r\nHost: x\r\n\r\n")
    t = o.take("/first")
    waiting = []
    for i in range(10):
        c = f.client()
        c.send("GET /a/n%d HTTP/1.1\r\nHost: x\r\n\r\n" % i)
        time.sleep(0.03)     # the order of arrival is the thing tested
        waiting.append(c)
    t.conn.reply("200 OK", "x")
    t.next()
    for c in waiting:
        assert c.read_response().status == 200
    assert [p for p, _, _ in o.requests if p.startswith("/n")] == ["/n%d" % i for i in range(10)]


def unavailable(r):
    return r.status == 503 and re.match(r"[1-9]\d*\Z", r["Retry-After"] or "")


def test_queue_full(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o, concurrency=1, queue={"size": 2, "timeout": "30s"})}}, origins=[o])
    o.hold("/held")
    clients = []
    for _ in range(3):
        c = f.client()
        c.send("GET /a/held HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(c)
    t = o.take("/held")
    assert all(c.quiet(0.2) for c in clients), "one is at the worker, two wait"
    began = time.monotonic()
    assert unavailable(f.get("/a/x")) and time.monotonic() - began < 1, "the fourth is refused at once"
    for i in range(3):
        t.conn.reply("200 OK", "x")
        t.next()
        if i < 2:
            t = o.take("/held")
    assert [c.read_response().status for c in clients] == [200] * 3
    assert f.get("/a/x").status == 200


def test_queue_timeout(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o, concurrency=1, queue={"size": 10, "timeout": "500ms"})}}, origins=[o])
    o.hold("/held")
    c = f.client()
    c.send("GET /a/held HTTP/1.1\r\nHost: x\r\n\r\n")
    t = o.take("/held")
    began = time.monotonic()
    r = f.get("/a/x")
    assert unavailable(r) and 0.4 < time.monotonic() - began < 3
    assert not o.seen("/x")
    t.conn.reply("200 OK", "x")
    t.next()
    assert c.read_response().status == 200
    assert f.get("/a/x").status == 200


def test_queue_of_nothing(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o, concurrency=1, queue={"size": 0})}}, origins=[o])
    assert f.get("/a/x").status == 200
    o.hold("/held")
    c = f.client()
    c.send("GET /a/held HTTP/1.1\r\nHost: x\r\n\r\n")
    t = o.take("/held")
    assert unavailable(f.get("/a/x"))
    t.conn.reply("200 OK", "x")
    t.next()
    c.read_response()


def test_queued_requests_survive_the_worker(faucet):
    """A worker that dies fails its own request; those that waited go to the next worker or are told to come again."""
    f = faucet({"apps": {"a": backend(concurrency=1)}})
    c = hold(f, "held")
    pid = [p for p in f.worker_pids("backend.py")][0]
    waiting = []
    for _ in range(5):
        w = f.client(timeout=30)
        w.send("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n")
        waiting.append(w)
    time.sleep(0.2)
    os.kill(pid, 9)
    assert c.read_response().status in (502, 503)
    answers = [w.read_response() for w in waiting]
    lost = [r for r in answers if not (r.status == 200 or unavailable(r))]
    # one may have been given to the dying process, whose socket still took connections
    assert [r.status for r in lost] in ([], [502]), answers


# -- hashes
def test_ip_hash(faucet):
    f = faucet({"trusted_proxies": ["127.0.0.1"], "ip_from": "x-forwarded-for", "apps": {"a": backend(workers=4, strategy="ip-hash")}})
    used = set()
    for i in range(40):
        address = {"X-Forwarded-For": "203.0.113.%d" % i}
        mine = {worker(f.get("/a/x", address)) for _ in range(3)}
        assert len(mine) == 1
        used |= mine
    assert len(used) == 4
    assert cookie_of(f.get("/a/x")) is None


def test_cookie_hash(faucet):
    f = faucet({"apps": {"a": backend(workers=4, strategy="cookie-hash")}})
    used = collections.Counter()
    for _ in range(40):
        r = f.get("/a/x")
        cookie = cookie_of(r)
        name, _, value = cookie.split(";")[0].partition("=")
        assert re.match(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", value), cookie
        attributes = {a.strip().lower() for a in cookie.split(";")[1:]}
        assert attributes == {"path=/", "httponly", "samesite=lax"}, cookie
        again = [f.get("/a/x", {"Cookie": "other=1; FAUCET_LB_COOKIE=%s; more=2" % value}) for _ in range(3)]
        assert {worker(a) for a in again} == {worker(r)}
        assert all(cookie_of(a) is None for a in again), "the cookie is set once"
        used[worker(r)] += 1
    assert len(used) == 4


def test_cookie_settings(faucet):
    f = faucet({"trusted_proxies": ["127.0.0.1"], "apps": {"a": backend(strategy="cookie-hash", cookie={"name": "mine", "same_site": "strict"}),
                                                           "b": backend(strategy="cookie-hash", cookie={"same_site": "none"})}})
    cookie = cookie_of(f.get("/a/x"), "mine")
    assert cookie and "samesite=strict" in cookie.lower() and "secure" not in cookie.lower()
    assert "secure" in cookie_of(f.get("/a/x", {"X-Forwarded-Proto": "https"}), "mine").lower()
    assert "samesite=none" in cookie_of(f.get("/b/x"), "FAUCET_LB_COOKIE").lower()


def test_cookie_does_not_disturb_the_apps_own(faucet):
    f = faucet({"apps": {"a": backend(strategy="cookie-hash")}})
    values = f.get("/a/cookie").headers.all("Set-Cookie")
    assert "mine=1; Path=/" in values and len(values) == 2


@pytest.mark.parametrize("value", ["", "nonsense", "x" * 5000, "\"quoted\"", "00000000-0000-0000-0000-000000000000", "../../etc", "a;b"])
def test_strange_cookies(faucet, value):
    f = faucet({"apps": {"a": backend(workers=2, strategy="cookie-hash")}})
    r = f.get("/a/x", {"Cookie": "FAUCET_LB_COOKIE=" + value})
    assert r.status == 200


def test_rendezvous_keeps_most_clients(faucet):
    """The hash is over (cookie, worker_id): with a worker more, only about 1/n of the clients move."""
    cookies = ["%08x-0000-4000-8000-000000000000" % (i * 2654435761 % 2 ** 32) for i in range(120)]
    homes = []
    for n in (3, 4):
        f = faucet({"apps": {"a": backend(workers=n, strategy="cookie-hash")}})
        homes.append([worker(f.get("/a/x", {"Cookie": "FAUCET_LB_COOKIE=" + c})) for c in cookies])
        f.stop()
    moved = sum(a != b for a, b in zip(*homes))
    assert 10 <= moved <= 55 and all(b == "4" for a, b in zip(*homes) if a != b), moved


def test_sticky_queue_is_per_worker(faucet):
    f = faucet({"apps": {"a": backend(workers=2, strategy="cookie-hash", concurrency=1)}})
    homes = {}
    while len(homes) < 2:
        r = f.get("/a/x")
        homes[worker(r)] = cookie_of(r).split(";")[0]
    c = f.client()
    c.send("GET /a/hold?name=%s/h HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n" % (f.dir, homes["1"]))
    until(lambda: os.path.exists(f.dir + "/h.began"))
    mine = f.client()
    mine.send("GET /a/x HTTP/1.1\r\nHost: x\r\nCookie: %s\r\n\r\n" % homes["1"])
    for _ in range(5):
        assert worker(f.get("/a/x", {"Cookie": homes["2"]})) == "2"
    assert mine.quiet(0.2), "it waits for its own worker"
    f.file("h.go")
    assert c.read_response().status == 200 and worker(mine.read_response()) == "1"


def test_default_strategies(faucet):
    f = faucet(start=False)
    f.write("apps:\n  s: { type: shiny, dir: '@APPS@/shiny' }\n  p: { type: plumber, dir: '@APPS@/plumber' }\n  f: { type: fast-api, dir: '@APPS@/fastapi' }\n"
            "  c: { command: [python3, x, \"{socket}\"] }\n")
    for app, expected in (("s", "cookie-hash"), ("p", "round-robin"), ("f", "round-robin"), ("c", "round-robin")):
        assert expected in f.tool("config", "apps.%s.strategy" % app).stdout.splitlines()[0]


# -- pins
def pinned(f, path="/a/echo", cookie=None):
    headers = {"Cookie": cookie} if cookie else {}
    return websockets.connect(f.url(path, "ws"), extra_headers=headers, ping_interval=None)


def test_tunnel_pins_its_client(faucet):
    """A tunnel's client stays with the worker of the tunnel, for HTTP and further tunnels, whatever the hash says."""
    f = faucet({"apps": {"a": {"command": [PYTHON, APPS + "/websocket.py", "{socket}"], "workers": 3, "strategy": "cookie-hash"}}})

    def who(cookie):
        return f.get("/a/x", {"Cookie": cookie}).text.strip()
    r = f.get("/a/x")
    cookie, home = cookie_of(r).split(";")[0], r.text.strip()

    async def conversation():
        async with pinned(f, cookie=cookie) as ws:
            for _ in range(6):
                assert await asyncio.to_thread(who, cookie) == home
            async with pinned(f, cookie=cookie) as second:
                await second.send("x")
                assert await second.recv() == "x"
            await ws.send("y")
            assert await ws.recv() == "y"
    asyncio.run(asyncio.wait_for(conversation(), 30))
    until(lambda: len(f.access_lines(r'" 101 ')) == 2, 5, "both tunnels are in the log")
    assert {re.search(r"Worker::a::(\d)", line)[1] for line in f.access_lines(r'" 101 ')} == {home.split()[-1]}


def test_websocket_gets_a_cookie(faucet):
    f = faucet({"apps": {"a": {"command": [PYTHON, APPS + "/websocket.py", "{socket}"], "workers": 2, "strategy": "cookie-hash"}}})

    async def conversation():
        async with websockets.connect(f.url("/a/echo", "ws")) as ws:
            return ws.response_headers.get_all("Set-Cookie")
    cookies = asyncio.run(asyncio.wait_for(conversation(), 20))
    assert [c for c in cookies if c.startswith("FAUCET_LB_COOKIE=")]


def test_rps_is_not_there_yet(faucet):
    f = faucet({"apps": {"a": backend(strategy="rps", max_rps=5)}}, start=False)
    done = f.tool("check")
    assert done.returncode == 78 and re.search(r"(?i)yet", done.stdout + done.stderr), done
