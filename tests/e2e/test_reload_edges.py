"""What falls between two steps of a reload: what ends while others prepare, what began under the settings of before, who asks again at once."""
import json
import os
import signal
import time

import pytest

import processes
from faucet import APPS, MEMORY_ROOM, PYTHON, free_port
from reloading import Socket, backend, cookie_of, fresh_cookie, gen, me, send_request
from wire import until

STICKY = {"strategy": "cookie-hash"}


def mortal(flag, gen, **settings):
    """A backend whose processes do not start while the file FLAG.WORKER exists."""
    script = 'test -e "%s.$FAUCET_WORKER_ID" && exit 1; exec %s %s "$0"' % (flag, PYTHON, os.path.join(APPS, "backend.py"))
    return {"command": ["/bin/sh", "-c", script, "{socket}"], "env": {"GEN": str(gen)}, **settings}


def newcomers(f, app, before):
    return until(lambda: [p for p in f.worker_pids(app=app) if p not in before], 10, "a new worker of %s starts" % app)


# -- prepare
def test_ready_and_gone_again_before_the_others_are(faucet):
    """a was ready first and is dead when b is: there is nothing to move traffic to."""
    f = faucet({"apps": {"a": backend(gen=1), "b": backend(gen=1)}})
    flag, before = os.path.join(f.dir, "flag"), f.worker_pids(app="a")
    f.replace({"apps": {"a": mortal(flag, 2), "b": backend("slow=4", gen=2)}})
    f.hup()
    f.log_contains(r"worker 1 of a \(pid \d+\) is ready(.|\n)*worker 1 of a \(pid \d+\) is ready")
    f.file("flag.1")
    for pid in newcomers(f, "a", before):
        os.kill(pid, signal.SIGKILL)
    f.log_contains(r"reload asked by SIGHUP: (failed|done)", 20)
    assert me(f, "a").gen == "1" and me(f, "b").gen == "1"
    f.log_contains(r"failed after .*nothing changed.*: a: ")


def test_log_file_of_a_reload_that_failed(faucet):
    """Prepare finds out whether it can be written, and takes back what it made for that."""
    f = faucet({"apps": {"a": backend(gen=1)}})
    path = os.path.join(f.dir, "new.log")
    f.reload({"log": {"file": path}, "apps": {"a": backend("exit=3", gen=2)}}, expect=1)
    assert not os.path.exists(path)
    with open(path, "w") as out:
        out.write("mine\n")
    f.reload(expect=1)
    assert open(path).read() == "mine\n", "a file that was there is nobody's to remove"
    os.unlink(path)
    f.replace({"log": {"file": path}, "apps": {"a": backend("slow=30", gen=2)}})
    f.hup()
    newcomers(f, "a", f.worker_pids(app="a")[:1])
    f.reload({"log": {"file": path}, "apps": {"a": backend(gen=3)}})
    assert os.path.exists(path) and gen(f) == "3", "the abandoned one takes nothing from its successor"


def test_keeper_lost_during_prepare(faucet):
    """The daemon ends with its workers; what was bound for later goes with it."""
    f = faucet({"apps": {"a": backend(gen=1)}})
    f.expected_exit = None
    path, before = os.path.join(f.dir, "new.sock"), f.worker_pids(app="a")
    f.replace({"listen": ["127.0.0.1:%d" % f.port, "unix:" + path], "apps": {"a": backend("slow=30", gen=2)}})
    f.hup()
    newcomers(f, "a", before)
    assert os.path.exists(path)
    keeper = [p for p in processes.descendants(f.pid) if processes.status(p)["PPid"].strip() == str(f.pid)]
    assert len(keeper) == 1
    os.kill(keeper[0], signal.SIGKILL)
    assert f.wait_exit() == 1
    assert not os.path.exists(path)


def test_restart_cut_short_and_a_reload_behind_it(faucet):
    """Who waits for a restart has already sent a reload; a HUP comes in between. Each is answered, and once."""
    f = faucet({"apps": {"a": backend("slow=1.5", gen=1)}})
    before = f.worker_pids(app="a")
    path, = [p for p in f.leftovers() if p.endswith(".sock") and "/w/" not in p]
    c = f.client(address=path)
    c.send("POST /apps/a/restart HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    newcomers(f, "a", before)
    c.send("POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    time.sleep(0.2)   # until it was read; nothing shows that
    f.hup()
    first, second = c.read_response(), c.read_response()
    assert first.status == 500 and "ask again" in json.loads(first.body)["why"]
    assert second.status == 200, second
    until(lambda: f.worker_pids(app="a") == before, 10)
    reloads = f.status()["daemon"]["reloads"]
    assert reloads["failed"] == 1 and reloads["done"] + reloads["superseded"] == 2, reloads


# -- sessions
def test_upgrade_under_way_when_its_app_is_removed(faucet):
    """Asked before the reload, opened after it: a tunnel like any other, and its client is pinned."""
    f = faucet({"apps": {"a": backend(gen=1, **STICKY), "b": backend()}})
    hold, cookie = os.path.join(f.dir, "hold"), fresh_cookie(f)
    c = f.client()
    send_request(c, "/a/ws?hold=" + hold, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: %s\r\n" % cookie)
    until(lambda: os.path.exists(hold + ".began"))
    f.reload({"apps": {"b": backend()}})
    f.file("hold.go")
    assert c.read_response().status == 101
    assert gen(f, cookie=cookie) == "1"
    assert f.get("/a/me").status == 404
    f.reload({"apps": {"b": backend(gen=2)}})
    assert gen(f, cookie=cookie) == "1", "through further reloads"


@pytest.mark.parametrize("then", [{"strategy": "ip-hash"}, {**STICKY, "cookie": {"name": "OTHER"}}])
def test_clients_known_by_something_else(faucet, then):
    """How a client is known changed: those with a tunnel stay where their sessions are."""
    f = faucet({"apps": {"a": backend(gen=1, workers=4, **STICKY)}})
    sockets = [Socket(f) for _ in range(8)]
    assert len({ws.pid() for ws in sockets}) > 1
    before = f.worker_pids(app="a")
    f.reload({"apps": {"a": backend(gen=1, workers=4, **then)}})
    assert f.worker_pids(app="a") == before
    assert [me(f, cookie=ws.cookie).pid for ws in sockets] == [ws.pid() for ws in sockets]
    if "cookie" in then:
        assert cookie_of(f.get("/a/x"), "OTHER"), "new clients are known by the new one"


def test_settings_of_before_do_not_pile_up(faucet):
    """One client stays while the route goes to and fro: as many former routes as there are different ones."""
    def config(n):
        return {"apps": {"a": backend(gen=1, route="/%s/" % "ab"[n % 2], **STICKY), **{"s%d" % i: {"type": "static", "dir": "."} for i in range(100)}}}
    f = faucet(config(0))
    ws = Socket(f)

    def reloads(n):
        for i in range(1, n + 1):
            f.replace(config(i))
            f.control("POST", "/reload")
        return f.rss_anon()
    before = reloads(10)
    assert reloads(60) - before < (8 << 20) + MEMORY_ROOM
    assert [gen(f, cookie=ws.cookie, path=p) for p in ("/a/", "/b/")] == ["1", "1"]
    assert f.get("/b/me").status == 404
    ws.close()


# -- the rest
def test_connection_limit_holds_on_a_new_listener(faucet):
    """Accepting pauses at limits.connections; a listener that is added meanwhile waits as well."""
    f = faucet({"limits": {"connections": 8}, "apps": {"a": backend(gen=1, concurrency="unlimited")}})
    other, hold = free_port(), os.path.join(f.dir, "hold")
    busy = [send_request(f.client(), "/a/hold?name=" + hold) for _ in range(8)]
    f.log_contains("limits.connections: 8")
    f.reload({"limits": {"connections": 8}, "listen": ["127.0.0.1:%d" % f.port, "127.0.0.1:%d" % other],
              "apps": {"a": backend(gen=1, concurrency="unlimited")}})
    more = [send_request(f.client(address=("127.0.0.1", other)), "/a/me") for _ in range(3)]
    assert more[0].quiet(0.5) and f.status()["daemon"]["connections"] == 8
    f.file("hold.go")
    assert [c.read_response().status for c in busy + more] == [200] * 11


def test_shrinking_to_a_worker_that_is_away(faucet):
    """Of two workers the second shall go; the first is just dead: the second serves until there is another."""
    f = faucet({"apps": {"a": backend(gen=1)}})
    flag = os.path.join(f.dir, "flag")
    f.reload({"apps": {"a": mortal(flag, 2, workers=2)}})
    f.file("flag.1")
    first = next(p for p in f.worker_pids(app="a") if b"FAUCET_WORKER_ID=1\0" in open("/proc/%d/environ" % p, "rb").read())
    os.kill(first, signal.SIGKILL)
    until(lambda: first not in f.worker_pids(app="a"))
    f.reload({"apps": {"a": mortal(flag, 2, workers=1)}})
    for _ in range(30):
        assert me(f).worker == "2"
        time.sleep(0.05)
    os.unlink(flag + ".1")
    until(lambda: me(f).worker == "1", 40)
    until(lambda: len(f.worker_pids(app="a")) == 1)


def test_empty_file_again(faucet):
    """Nobody is removed by it any more: no force is needed."""
    f = faucet({"apps": {"a": backend(gen=1)}})
    f.reload({"apps": {}}, expect=78)
    f.reload({"apps": {}}, "--force")
    f.reload({"log": {"level": "debug"}, "apps": {}})
