"""An app whose settings did not change keeps its processes, upstream connections, queue, pins and tunnels, whatever happens around it."""
import json

import pytest

import processes
from faucet import upstream
from reloading import Socket, backend, cookie_of, fresh_cookie, me, send_request
from test_balancing import hold
from wire import until


def others(n):
    """Apps around it: changed, added and removed by turns."""
    apps = {"rolled": backend(gen=n), "hot": backend(route="/hot%d/" % (n % 2)), "resized": backend(workers=1 + n % 2)}
    if n % 2:
        apps["extra"] = backend()
    return apps


def test_processes_connections_and_tunnels(faucet):
    same = backend(workers=2, strategy="cookie-hash")
    f = faucet({"apps": {"same": same, **others(0)}})
    ws = Socket(f, "same")
    pid, pids = ws.pid(), f.worker_pids(app="same")
    cookie = fresh_cookie(f, "same")
    sticky = me(f, "same", cookie).pid
    for n in range(1, 6):
        f.reload({"apps": {"same": same, **others(n)}})
        assert f.worker_pids(app="same") == pids
        assert ws.pid() == pid and me(f, "same", ws.cookie).pid == pid
        assert me(f, "same", cookie).pid == sticky


def test_upstream_connections(faucet, origin):
    """Kept-alive connections to the worker go on: the number that the origin gives them stays."""
    o = origin()
    same = upstream(o)
    f = faucet({"apps": {"same": same, "x": backend(gen=0)}}, origins=[o])

    def number():
        return json.loads(f.get("/same/x").body)["connection"]
    first = number()
    assert number() == first
    for n in range(1, 4):
        f.reload({"apps": {"same": same, "x": backend(gen=n)}})
        assert number() == first


def test_queue(faucet):
    """Who waits goes on waiting, in the same order."""
    same = backend(concurrency=1)
    f = faucet({"apps": {"same": same, "x": backend(gen=0)}})
    held = hold(f, "one", "/same")
    waiting = [send_request(f.client(), "/same/x%d" % i) for i in range(5)]
    for n in range(1, 4):
        f.reload({"apps": {"same": same, "x": backend(gen=n)}})
        assert all(c.quiet(0.02) for c in waiting)
    f.file("one.go")
    assert held.read_response().status == 200
    assert [json.loads(c.read_response().body)["path"] for c in waiting] == ["/x%d" % i for i in range(5)]


def test_app_that_backs_off_keeps_backing_off(faucet):
    """A broken app that nobody changed does not fail a reload of the others, and is not started any sooner."""
    broken = backend("exit=3")
    f = faucet({"apps": {"broken": broken, "x": backend(gen=0)}}, wait=False)
    f.wait_ready("x", "/x/me")
    f.log_contains(r"broken")
    for n in range(1, 3):
        f.reload({"apps": {"broken": broken, "x": backend(gen=n)}})
        assert me(f, "x").gen == str(n)
    assert f.get("/broken/").status == 503


def test_identical_file(faucet):
    f = faucet({"apps": {"a": backend(workers=2)}})
    before, inodes = f.worker_pids(app="a"), processes.listening(f.port)
    number = f.config_number()
    for _ in range(3):
        f.reload()
    assert f.worker_pids(app="a") == before and processes.listening(f.port) == inodes
    assert f.config_number() >= number


def test_written_differently(faucet):
    """Comments, order and notation are no change."""
    f = faucet("listen: 127.0.0.1:@PORT@\napps:\n  a: { command: ['@PYTHON@', '@APPS@/backend.py', '{socket}'] }\n  b:\n    command: '@PYTHON@ @APPS@/backend.py {socket}'\n")
    before = {a: f.worker_pids(app=a) for a in "ab"}
    f.replace("# a word\nx-anchors: { c: &c ['@PYTHON@', '@APPS@/backend.py', '{socket}'] }\napps:\n  b: { command: *c }\n  a: { command: *c, workers: 1 }\n"
              "listen: ['127.0.0.1:@PORT@']\n", listen=False)
    f.reload()
    assert {a: f.worker_pids(app=a) for a in "ab"} == before


@pytest.mark.parametrize("key", ["FAUCET_APPS_A_WORKERS", "--set"])
def test_environment_and_flags_are_those_of_the_start(faucet, key):
    """They beat the file at every reload."""
    more = {"env": {key: "2"}} if key != "--set" else {"args": ["--set", "apps.a.workers=2"]}
    f = faucet({"apps": {"a": backend(workers=1)}}, **more)
    pids = f.worker_pids(app="a")
    assert len(pids) == 2
    f.reload({"apps": {"a": backend(workers=3)}})
    until(lambda: f.get("/a/x").status == 200)
    assert f.worker_pids(app="a") == pids


def test_cookie_still_means_the_same_worker(faucet):
    same = backend(workers=3, strategy="cookie-hash")
    f = faucet({"apps": {"same": same, "x": backend(gen=0)}})
    cookies = [cookie_of(f.get("/same/x")) for _ in range(20)]
    before = [me(f, "same", c).worker for c in cookies]
    assert len(set(before)) == 3
    f.reload({"apps": {"same": same, "x": backend(gen=1)}})
    assert [me(f, "same", c).worker for c in cookies] == before
