"""`faucet restart APP`: a new generation from the settings it has, beside the old one, and only when it is ready."""
import json
import os
import re
import subprocess
import time

import processes
from faucet import APPS, BIN, PYTHON, upstream
from reloading import Socket, Traffic, backend, gen, me, settled
from test_balancing import hold
from wire import until

STICKY = {"strategy": "cookie-hash"}


def restart(f, app="a", *more, expect=0):
    done = f.tool("restart", app, *more, timeout=60)
    assert expect is None or done.returncode == expect, done
    return done


def test_new_processes(faucet):
    f = faucet({"apps": {"a": backend(gen=1, workers=2), "b": backend()}})
    a, b = f.worker_pids(app="a"), f.worker_pids(app="b")
    for _ in range(3):
        restart(f)
        now = until(lambda: len(f.worker_pids(app="a")) == 2 and f.worker_pids(app="a"), 5)
        assert not set(a) & set(now) and me(f).pid in now and f.worker_pids(app="b") == b
        a = now


def test_no_request_fails(faucet):
    f = faucet({"apps": {"a": backend(workers=2), "b": backend()}})
    with Traffic(f, ["/a/x", "/b/x"], keep=4, fresh=3) as traffic:
        for _ in range(5):
            restart(f)
        until(lambda: traffic.count > 100)


def test_waits_until_it_is_ready(faucet):
    f = faucet({"apps": {"a": backend("slow=1"), "b": backend()}})
    before = me(f).pid
    p = subprocess.Popen([BIN, "restart", "a", "-c", f.conf], env=f.env(), cwd=f.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while p.poll() is None:
        asked = time.monotonic()
        f.get("/a/x")
        assert time.monotonic() - asked < 0.8
    assert p.returncode == 0 and me(f).pid != before


def test_health_gated(faucet):
    """The code is broken now: the old workers serve on, and it says so."""
    f = faucet(start=False)
    broken = f.dir + "/broken"
    f.write({"apps": {"a": {"command": ["/bin/sh", "-c", "test -e %s && { echo cannot find the model >&2; exit 3; }; exec %s %s/backend.py $0" % (broken, PYTHON, APPS),
                                        "{socket}"]}, "b": backend()}})
    f.start()
    before = settled(f, "ab")
    open(broken, "w").close()
    done = restart(f, expect=1)
    assert "cannot find the model" in done.stdout + done.stderr
    assert settled(f, "ab") == before and f.get("/a/x").status == 200
    os.unlink(broken)
    restart(f)
    assert me(f).pid not in before["workers"]["a"]


def test_settings_are_those_in_force(faucet):
    """A file that was edited and not loaded does not count."""
    f = faucet({"apps": {"a": backend(gen=1)}})
    f.replace({"apps": {"a": backend(gen=2)}})
    before = me(f).pid
    restart(f)
    assert me(f).pid != before and gen(f) == "1"
    f.reload()
    assert gen(f) == "2"


def test_sessions_stay(faucet):
    f = faucet({"apps": {"a": backend(**STICKY)}})
    ws = Socket(f)
    pid = ws.pid()
    restart(f)
    assert ws.pid() == pid == me(f, cookie=ws.cookie).pid and me(f).pid != pid
    ws.close()
    until(lambda: not processes.alive(pid), 5)


def test_in_flight_ends(faucet):
    f = faucet({"apps": {"a": backend()}})
    c = hold(f, "one")
    restart(f)
    f.file("one.go")
    assert c.read_response().status == 200


def test_unknown_app(faucet):
    f = faucet({"apps": {"sales": backend()}})
    before = f.worker_pids(app="sales")
    done = restart(f, "sale", expect=None)
    assert done.returncode in (1, 64) and "sale" in done.stderr + done.stdout
    assert f.worker_pids(app="sales") == before


def test_without_an_app(faucet):
    f = faucet({"apps": {"sales": backend()}})
    done = f.tool("restart")
    assert done.returncode == 64 and re.search(r"(?i)app|usage", done.stderr)


def test_mends_an_app_that_backs_off(faucet):
    """It does not wait for the next try of the back-off."""
    f = faucet(start=False)
    flag = f.dir + "/mended"
    f.write({"apps": {"a": {"command": ["/bin/sh", "-c", "test -e %s && exec %s %s/backend.py $0; exit 1" % (flag, PYTHON, APPS), "{socket}"]}, "b": backend()}})
    f.start(wait=False)
    f.wait_ready("b")
    until(lambda: len(re.findall(r"exited|status 1", f.log())) >= 3, 10, "it backs off")
    open(flag, "w").close()
    restart(f)
    assert f.get("/a/x").status == 200
    until(lambda: len(f.worker_pids(app="a")) == 1, 5)


def test_during_a_reload(faucet):
    """One at a time: it is refused with a reason, or done when the reload is; nothing breaks."""
    f = faucet({"apps": {"a": backend(gen=1), "b": backend()}})
    f.replace({"apps": {"a": backend("slow=2", gen=2), "b": backend()}})
    f.hup()
    until(lambda: len(f.worker_pids(app="a")) == 2, 10)
    done = restart(f, "b", expect=None)
    assert done.returncode in (0, 1) and (done.returncode == 0 or re.search(r"(?i)reload", done.stdout + done.stderr))
    until(lambda: gen(f) == "2", 10)
    restart(f)
    assert gen(f) == "2"


def test_upstream_app_has_no_processes(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    done = restart(f, expect=None)
    assert done.returncode in (0, 1, 64)
    assert f.get("/a/x").status == 200


def test_json_and_curl(faucet):
    f = faucet({"apps": {"a": backend()}})
    json.loads(restart(f, "a", "--json").stdout)
    before = me(f).pid
    path = [p for p in f.leftovers() if p.endswith(".sock") and "/w/" not in p][0]
    done = subprocess.run(["curl", "-sS", "--fail", "-X", "POST", "--unix-socket", path, "http://localhost/apps/a/restart"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    json.loads(done.stdout)
    assert me(f).pid != before
