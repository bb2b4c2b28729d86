"""A thousand reloads leave nothing behind: no memory, descriptor, process, socket file or temporary file. The sanitizers look on in their build."""
import glob
import http.client
import json
import os
import socket

import faucet as fixture
import processes
from faucet import BIN
from reloading import Socket, backend, me, send_request, tiny
from wire import until

RELOADS = int(os.environ.get("E2E_RELOADS_LEAKS", "1000"))
SANITIZED = "/address/" in BIN or "/thread/" in BIN


def control(f):
    """One kept connection to the control socket: post(path) → (status, JSON)."""
    path = [p for p in f.leftovers() if p.endswith(".sock") and "/w/" not in p][0]

    class Connection(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(60 * fixture.SLOW)
            self.sock.connect(path)
    connection = Connection("localhost")

    def post(target):
        connection.request("POST", target)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    return post


def count(f, n, app):
    until(lambda: len(f.worker_pids(app=app)) == n, 15)


def warm(f):
    """Requests until memory is still: the log's ring goes round once, buffers and pools reach their size."""
    c, before = f.client(), 0
    c.keep = False
    for _ in range(30):
        for _ in range(2000):
            assert send_request(c, "/rolled/x?%s" % ("x" * 500)) and c.read_response().status == 200
        now = processes.rss(f.pid)
        if now < before + 16384:
            return
        before = now
    raise AssertionError("memory grows with each request: %d kB" % (now >> 10))


def test_a_thousand_reloads(faucet, record_property, tmp_path):
    """By turns: a process key, a new app, a removed one, a hot key, a listener, a resize, a broken file, one that never gets ready."""
    f = faucet(start=False, env={"TMPDIR": str(tmp_path)})
    other = fixture.free_port()
    same = {"same": backend(strategy="cookie-hash")}

    def config(n):
        apps = {**same, "rolled": tiny(n), "sized": tiny(workers=1 + n % 2)}
        if n % 3 == 0:
            apps["extra"] = tiny()
        if n % 7 == 0:
            apps["never"] = {"command": ["/bin/false", "{socket}"]}
        if n % 11 == 0:
            apps["never"] = {"comand": "x"}
        return {"listen": ["127.0.0.1:%d" % f.port] + (["127.0.0.1:%d" % other] if n % 4 == 0 else []), "apps": apps,
                "limits": {"header_size": "%dKiB" % (16 + n % 5)}, "telemetry": {"version": str(n)}}
    f.write(config(1))
    f.start()
    warm(f)
    post, pids = control(f), f.worker_pids(app="same")
    ws = Socket(f, "same")
    rss, looks, done = {}, {}, {"good": 0, "bad": 0}

    def reload(n):
        f.replace(config(n))
        _, said = post("/reload")
        good = n % 7 != 0 and n % 11 != 0
        if good:
            assert f.get("/rolled/x").body.split()[1] == b"%d" % n, said
            assert (f.get("/extra/x").status == 200) == (n % 3 == 0), said
        done["good" if good else "bad"] += 1

    def rest():
        """Everything that was replaced has gone."""
        count(f, 1, "rolled"), count(f, 2, "sized")
        until(lambda: len(f.tree()) == 6 and processes.descriptors(f.pid) <= looks.get("descriptors", 10 ** 6) + 1, 15)
        return {"descriptors": processes.descriptors(f.pid), "tree": len(f.tree()), "files": len(f.leftovers())}
    for n in range(1, RELOADS + 1):
        reload(n if n not in (10, RELOADS) else 13)     # the same file at both points of comparison
        if n in (10, RELOADS):
            looks[n] = rest()
            looks["descriptors"] = looks[10]["descriptors"]
            rss[n] = processes.rss(f.pid)
    record_property("reload leaks", "%d reloads, %d of them failed on purpose: RSS %d kB after 10, %d kB after all; %s" % (
        RELOADS, done["bad"], rss[10] >> 10, rss[RELOADS] >> 10, looks[RELOADS]))
    assert looks[RELOADS]["tree"] == looks[10]["tree"] and looks[RELOADS]["files"] == looks[10]["files"]
    assert abs(looks[RELOADS]["descriptors"] - looks[10]["descriptors"]) <= 1
    if not SANITIZED:
        assert rss[RELOADS] <= rss[10] * 1.1, rss
    assert f.worker_pids(app="same") == pids and ws.alive() and me(f, "same").pid in pids
    assert not [n for n in os.listdir(f.dir) if n not in ("faucet.yaml", "stdout", "stderr", "r", "s")], "files in its directory"
    assert not os.listdir(tmp_path), "no temporary file is left"
    keeper = processes.children(f.pid)
    assert len(keeper) == 1 and processes.descriptors(keeper[0]) < 40


def test_deleted_files_are_not_held(faucet):
    """No descriptor leads to a file that is gone, except those that are meant to (buffers of running exchanges)."""
    f = faucet({"apps": {"a": tiny(0), "b": tiny()}})
    for n in range(1, 6):
        f.reload({"log": {"file": "%d.log" % n}, "apps": {"a": tiny(n), "b": tiny()}})
        os.unlink(f.dir + "/%d.log" % n) if n < 5 else None
    def held():
        links = [os.readlink(p) for p in glob.glob("/proc/%d/fd/*" % f.pid) if os.path.islink(p)]
        return not [x for x in links if "deleted" in x or "faucet.yaml" in x]
    until(held, 5, "no descriptor of a deleted file")
