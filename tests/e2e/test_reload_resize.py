"""`workers:` grows or drains: those that stay are the processes they were, those that go finish first."""
import json
import time

import processes
from reloading import Socket, Traffic, backend, cookie_of, me
from test_balancing import hold
from wire import until


def ids(f, n=12, app="a"):
    return {me(f, app).worker for _ in range(n)}


def size(f, n, **settings):
    f.reload({"apps": {"a": backend(workers=n, **settings), "b": backend()}})


def start(faucet, n, **settings):
    return faucet({"apps": {"a": backend(workers=n, **settings), "b": backend()}})


def count(f, n, seconds=10):
    until(lambda: len(f.worker_pids(app="a")) == n, seconds, "%d workers" % n)


def test_grows(faucet):
    f = start(faucet, 1)
    one, b = f.worker_pids(app="a"), f.worker_pids(app="b")
    size(f, 3)
    until(lambda: ids(f) == {"1", "2", "3"}, 10, "three serve")
    pids = f.worker_pids(app="a")
    assert len(pids) == 3 and set(one) < set(pids) and f.worker_pids(app="b") == b


def test_shrinks(faucet):
    f = start(faucet, 3)
    first = [me(f) for _ in range(9)]
    stays = {r.pid for r in first if r.worker == "1"}
    size(f, 1)
    assert ids(f) == {"1"} and {me(f).pid} == stays
    count(f, 1)
    assert set(f.worker_pids(app="a")) == stays


def test_one_that_works_finishes(faucet):
    f = start(faucet, 2, strategy="least-busy", concurrency=1)
    held = [hold(f, "h%d" % i) for i in range(2)]
    before = set(f.worker_pids(app="a"))
    size(f, 1, strategy="least-busy", concurrency=1)
    time.sleep(0.3)
    assert set(f.worker_pids(app="a")) == before, "both are busy"
    for i, c in enumerate(held):
        f.file("h%d.go" % i)
        assert c.read_response().status == 200
    count(f, 1)


def test_request_is_not_cut_at_drain_timeout(faucet):
    """drain_timeout ends sessions; a request that runs longer is bounded by request_timeout alone, or a reload would have failed it."""
    f = start(faucet, 2, strategy="least-busy", concurrency=1, drain_timeout="300ms")
    held = [hold(f, "h%d" % i) for i in range(2)]
    size(f, 1, strategy="least-busy", concurrency=1, drain_timeout="300ms")
    assert all(c.quiet(0.8) for c in held)
    for i, c in enumerate(held):
        f.file("h%d.go" % i)
        assert c.read_response().status == 200
    count(f, 1)


def test_back_and_forth(faucet):
    f = start(faucet, 1)
    with Traffic(f, ["/a/x", "/b/x"]):
        for n in (4, 1, 3, 2, 4, 1):
            size(f, n)
    count(f, 1)
    assert ids(f) == {"1"}


def test_grows_while_it_drains(faucet):
    """Worker 2 is still busy when it is wanted again: two serve, and what was held ends well."""
    f = start(faucet, 2, strategy="least-busy", concurrency=1)
    held = [hold(f, "h%d" % i) for i in range(2)]
    size(f, 1, strategy="least-busy", concurrency=1)
    size(f, 2, strategy="least-busy", concurrency=1)
    until(lambda: f.get("/a/x", timeout=5).status == 200, 10, "the second place serves again while both old ones are busy")
    for i, c in enumerate(held):
        f.file("h%d.go" % i)
        assert c.read_response().status == 200
    count(f, 2)
    until(lambda: ids(f) == {"1", "2"})


def test_few_clients_move(faucet):
    """Rendezvous: a third worker takes clients from the others; nobody moves between the two."""
    f = start(faucet, 2, strategy="cookie-hash")
    cookies = [cookie_of(f.get("/a/x")) for _ in range(30)]
    before = {c: me(f, cookie=c).worker for c in cookies}
    size(f, 3, strategy="cookie-hash")
    until(lambda: "3" in {me(f, cookie=cookie_of(f.get("/a/x"))).worker for _ in range(10)}, 10)
    after = {c: me(f, cookie=c).worker for c in cookies}
    moved = [c for c in cookies if after[c] != before[c]]
    assert moved and all(after[c] == "3" for c in moved) and len(moved) < 22
    size(f, 2, strategy="cookie-hash")
    until(lambda: {c: me(f, cookie=c).worker for c in cookies} == before, 5, "back where they were")


def test_pinned_client_stays_at_a_worker_that_goes(faucet):
    f = start(faucet, 3, strategy="cookie-hash")
    while True:
        ws = Socket(f)
        if me(f, cookie=ws.cookie).worker == "3":
            break
        ws.close()
    pid = ws.pid()
    size(f, 1, strategy="cookie-hash")
    assert ws.pid() == pid and me(f, cookie=ws.cookie).pid == pid, "HTTP of the same client, too"
    again = Socket(f, cookie=ws.cookie)
    assert again.pid() == pid, "and further tunnels"
    assert {me(f, cookie=cookie_of(f.get("/a/x"))).worker for _ in range(10)} == {"1"}
    ws.close()
    assert again.alive() and processes.alive(pid), "until the last tunnel"
    again.close()
    until(lambda: not processes.alive(pid), 5)
    assert me(f, cookie=ws.cookie).worker == "1"


def test_with_a_process_key(faucet):
    f = start(faucet, 1, gen=1)
    size(f, 3, gen=2)
    until(lambda: ids(f) == {"1", "2", "3"})
    assert {me(f).gen for _ in range(6)} == {"2"}
    size(f, 1, gen=3)
    assert (me(f).gen, ids(f)) == ("3", {"1"})
    count(f, 1)


def test_defaults(faucet):
    f = faucet({"defaults": {"workers": 1}, "apps": {"a": backend(), "b": backend()}})
    one = {app: f.worker_pids(app=app) for app in "ab"}
    f.reload({"defaults": {"workers": 2}, "apps": {"a": backend(), "b": backend()}})
    for app in "ab":
        until(lambda: ids(f, app=app) == {"1", "2"}, 10)
        assert set(one[app]) < set(f.worker_pids(app=app))


def test_waiting_requests_get_the_new_worker(faucet):
    f = start(faucet, 1, concurrency=1)
    hold(f, "one")
    c = f.client()
    c.send("GET /a/me HTTP/1.1\r\nHost: x\r\n\r\n")
    assert c.quiet(0.2)
    size(f, 2, concurrency=1)
    assert json.loads(c.read_response(timeout=10).body)["worker"] == "2"
    f.file("one.go")
