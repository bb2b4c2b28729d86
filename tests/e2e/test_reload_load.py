"""The proof of the promise: heavy mixed traffic, a hundred reloads, every fifth of a broken file. Errors: 0.

What it counted is shown in the summary of the run.
"""
import json
import os
import socket
import subprocess
import sys

import pytest

import faucet as fixture
import processes
from faucet import APPS, HERE, PYTHON, free_port
from reloading import Socket, backend, send_request
from test_websocket import handshake
from wire import until

RELOADS = int(os.environ.get("E2E_RELOADS", "100"))


class Load:
    """tests/e2e/load.py in a process of its own."""

    def __init__(self, f, **settings):
        self.process = subprocess.Popen([PYTHON, os.path.join(HERE, "load.py"), json.dumps({"port": f.port, **settings})], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def end(self):
        try:
            out, _ = self.process.communicate("", timeout=60 * fixture.SLOW)
            return json.loads(out)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()


@pytest.fixture
def busy_port():
    with socket.socket() as s:
        port = free_port()
        s.bind(("127.0.0.1", port))
        s.listen(1)
        yield port


def half_head(f, i):
    c = f.client()
    c.send("GET /%s/me HTTP/1.1\r\nHo" % ("changed", "untouched")[i % 2])
    return c, "st: x\r\n\r\n"


def half_body(f, i):
    c = f.client()
    c.send("POST /%s/count HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" % ("changed", "untouched")[i % 2], b"x" * 9000)
    return c, b"x" * 11000


def test_a_hundred_reloads(faucet, busy_port, record_property):
    def config(second, **more):
        apps = {"untouched": backend(workers=2, strategy="cookie-hash"), "changed": backend(gen="B" if second else "A", workers=2, strategy="cookie-hash")}
        if second:
            apps["extra"] = backend()
        return {"apps": {**apps, **more}}

    def broken(n, f):
        """(file, exit status): four ways to be wrong, by turns."""
        return (("apps: { untouched: [", 78), (config(0, oops={"command": ["x", "{socket}"], "workrs": 2}), 78), (config(1, never=backend("exit=3")), 1),
                ({"listen": ["127.0.0.1:%d" % f.port, "127.0.0.1:%d" % busy_port], **config(1)}, 1))[n % 4]
    f = faucet(config(0))
    pids, inodes = f.worker_pids(app="untouched"), {p: os.stat(p).st_ino for p in f.leftovers() if "/w/" in p}
    own = {p: min(processes.sockets(p).items()) for p in pids}      # descriptor and inode of the socket that each listens on
    listening = processes.listening(f.port)
    assert len(pids) == 2 and len(listening) == 1
    load = Load(f, keep=64, fresh=6, pace=0.02, paths=["/untouched/x", "/changed/x", "/changed/me", "/untouched/count"],
                sockets=["/untouched/ws", "/changed/ws"] * 10, upload="/changed/count",
                downloads=[["/changed/download?mb=4", 4 << 20], ["/untouched/download?mb=4", 4 << 20]])
    tunnel = Socket(f, "untouched")
    tunnel_pid, bad = tunnel.pid(), 0
    try:
        for n in range(1, RELOADS + 1):
            halves = [half_head(f, n), half_body(f, n)]
            if n % 5 == 0:
                text, status = broken(bad, f)
                f.reload(text, expect=status)
                bad += 1
            else:
                f.reload(config(n % 2))
            for c, rest in halves:
                c.send(rest)
                r = c.read_response()
                assert r.status == 200, r
                assert send_request(c, "/untouched/x") and c.read_response().status == 200
                c.close()
                f.clients.remove(c)
        assert f.worker_pids(app="untouched") == pids
        assert processes.listening(f.port) == listening
        assert {p: min(processes.sockets(p).items()) for p in pids} == own, "their own sockets, too"
        assert sum(os.path.exists(p) and os.stat(p).st_ino == i for p, i in inodes.items()) >= 2
        assert tunnel.pid() == tunnel_pid
        assert (f.get("/extra/x").status == 200) == ((RELOADS - (RELOADS % 5 == 0)) % 2 == 1)
    finally:
        report = load.end()
    tunnel.close()
    report["reloads"], report["broken"] = RELOADS, bad
    record_property("reload load", "%d requests on kept-alive and %d on new connections, %d echoes, %d slow downloads, %d slow upload; %d reloads, %d of them of a broken "
                    "file; errors %d; slowest %.0f ms, p99 %.1f ms" % (report["requests"], report["fresh"], report["echoes"], report["downloads"], report["uploads"],
                                                                       RELOADS, bad, report["errors"], report["slowest_ms"], report["p99_ms"]))
    print(json.dumps(report, indent=1), file=sys.stderr)
    assert report["errors"] == 0 and report["sockets_lost"] == 0 and report["reopened"] == 0, report
    assert report["uploads"] == 1 and report["downloads"] >= 2 and report["echoes"] > 20 * 20 and report["requests"] > 64 * 20
    # sessions ended with their sockets: what is left is the newest generation
    until(lambda: len(f.worker_pids(app="changed")) == 2, 20)


def said(wire, text):
    while text.encode() not in wire.read_frame()[1]:
        pass


def test_five_reloads_of_real_r_apps(faucet, record_property):
    def config(n):
        return {"apps": {"shiny": {"dir": APPS + "/shiny", "workers": 1, "env": {"GEN": str(n)}}, "api": {"dir": APPS + "/plumber", "workers": 2},
                         "page": backend(body_size="%dKiB" % (n + 1))}}
    f = faucet(start=False)
    f.write(config(0))
    f.start(timeout=120)
    api, page = f.worker_pids(app="api"), f.worker_pids(app="page")
    session = f.client()
    session.send(handshake("/shiny/websocket/"))
    opened = session.read_response()
    assert opened.status == 101
    session.send_frame(1, json.dumps({"method": "init", "data": {"n": 10, ".clientdata_output_text_hidden": False}}), b"\1\2\3\4")
    said(session, "n is 10")
    load = Load(f, keep=8, fresh=2, pace=0.05, paths=["/shiny/", "/api/echo?msg=x", "/page/x"])
    try:
        for n in range(1, 6):
            shiny = f.worker_pids(app="shiny")
            f.reload(config(n), timeout=120)
            now = f.worker_pids(app="shiny")
            assert set(now) - set(shiny), "Shiny rolled"
            assert f.worker_pids(app="api") == api and f.worker_pids(app="page") == page
            session.send_frame(1, json.dumps({"method": "update", "data": {"n": 10 + n}}), b"\1\2\3\4")
            said(session, "n is %d" % (10 + n))     # the session goes on in the R process where it began
    finally:
        report = load.end()
    record_property("reload load, R", "%d requests, 5 reloads, errors %d; slowest %.0f ms" % (report["requests"] + report["fresh"], report["errors"], report["slowest_ms"]))
    assert report["errors"] == 0 and report["reopened"] == 0, report
    session.close()
    until(lambda: len(f.worker_pids(app="shiny")) == 1, 20)
