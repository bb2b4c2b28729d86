"""Apps that run elsewhere: addresses, names, sockets, and what happens while one is dead."""
import re
import time

import pytest

from faucet import free_port, upstream
from wire import until


def test_unix_socket(faucet, origin):
    o = origin(path="/tmp/o%d.sock" % free_port())
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    assert f.get("/a/x?y=1").status == 200
    assert o.seen("/x")[0].target == "/x?y=1"


def test_tcp_and_name(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o), "b": upstream("localhost:%d" % o.port)}}, origins=[o])
    assert f.get("/a/x").status == 200 and f.get("/b/x").status == 200


def test_ipv6(faucet, origin):
    o = origin(host="::1")
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    assert f.get("/a/x").status == 200


def test_name_that_does_not_exist(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream("no-such-host.invalid:80"), "b": upstream(o)}}, wait=False, origins=[o])
    f.wait_ready("b")
    began = time.monotonic()
    assert f.get("/b/x").status == 200       # looking up a name does not block the loop
    assert time.monotonic() - began < 1
    assert f.get("/a/x", timeout=40).status in (502, 503, 504)


def test_down_and_up_again(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    assert f.get("/a/x").status == 200
    o.down()
    for _ in range(3):
        began = time.monotonic()
        r = f.get("/a/x")
        assert r.status in (502, 503) and time.monotonic() - began < 5, r
    f.log_contains(r"(?i)\ba\b.*\bdown\b")
    r = f.get("/a/x")      # no worker: section 5
    assert r.status == 503 and int(r["Retry-After"]) > 0, r
    o.up()
    until(lambda: f.get("/a/x").status == 200, 15, "it answers again")


def test_dead_at_start(faucet, origin):
    o = origin()
    o.down()
    f = faucet({"apps": {"a": upstream(o)}}, wait=False, origins=[o])
    assert f.get("/a/x").status in (502, 503)
    o.up()
    until(lambda: f.get("/a/x").status == 200, 15, "it answers")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_one_of_two_is_dead(faucet, origin, method):
    """Connecting failed: any method goes elsewhere, no client sees it."""
    a, b = origin(), origin()
    f = faucet({"apps": {"a": upstream(a, b)}}, origins=[a, b])
    until(lambda: f.get("/a/warm").status == 200 and a.seen("/warm") and b.seen("/warm"), 10, "both are used")
    b.down()
    for i in range(20):
        r = f.request(method, "/a/x%d" % i, body=b"body" if method == "POST" else b"")
        assert r.status == 200, r
        assert a.wait_seen("/x%d" % i)
    n = len(b.requests)
    b.up()
    until(lambda: f.get("/a/y").status == 200 and len(b.requests) > n and b.seen("/y"), 20, "the second one is used again")


def test_spread_over_both(faucet, origin):
    a, b = origin(), origin()
    f = faucet({"apps": {"a": upstream(a, b)}}, origins=[a, b])
    for _ in range(20):
        assert f.get("/a/x").status == 200
    assert len(a.seen("/x")) == len(b.seen("/x")) == 10


def test_upstream_that_accepts_and_is_silent(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o, request_timeout="500ms")}}, origins=[o])
    o.hold("/x")
    began = time.monotonic()
    assert f.get("/a/x").status == 504
    assert 0.4 < time.monotonic() - began < 5
    assert f.get("/a/y").status == 200
    o.take("/x").finish()


def test_connect_timeout(faucet):
    """192.0.2.0/24 is never there; here connecting fails at once or not at all, either way the client is told."""
    f = faucet({"timeouts": {"connect": "300ms"}, "apps": {"a": upstream("192.0.2.1:9")}}, wait=False)
    began = time.monotonic()
    assert f.get("/a/x", timeout=20).status in (502, 503, 504)
    assert time.monotonic() - began < 5


def test_access_line_names_an_endpoint(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    f.get("/a/x")
    assert re.search(r"Worker::a::1\] 127\.0\.0\.1 \"GET /a/x HTTP/1\.1\" 200 ", f.log_contains(r".*GET /a/x .*")[0])
