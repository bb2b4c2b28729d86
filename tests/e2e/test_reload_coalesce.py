"""HUPs coalesce; one during prepare abandons it and starts over with the newest file."""
import os
import re
import signal
import subprocess
import threading
import time

import processes
from faucet import BIN, free_port
from reloading import Traffic, backend, gen, me, settled
from wire import until


def asker(f, *more):
    """`faucet reload` that is left waiting."""
    return subprocess.Popen([BIN, "reload", "-c", f.conf, *more], env=f.env(), cwd=f.dir, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def preparing(f, app="a"):
    """Waits until a second generation starts; its processes."""
    before = set(f.before)
    return until(lambda: [p for p in f.worker_pids(app=app) if p not in before], 10, "a new worker starts")


def start(faucet, **more):
    f = faucet({"apps": {"a": backend(gen=1), "b": backend()}, **more})
    f.before = f.worker_pids(app="a")
    return f


def alone(f, app="a", seconds=8):
    """One worker of the app is left, of whatever was begun."""
    try:
        until(lambda: len(f.worker_pids(app=app)) == 1, seconds)
    except AssertionError:
        left = ["%d: GEN=%s %s" % (p, re.findall(r"GEN=(\w*)", open("/proc/%d/environ" % p).read()), open("/proc/%d/cmdline" % p).read()) for p in f.worker_pids(app=app)]
        raise AssertionError("workers that nobody owns: %s" % left) from None


def put(f, *options, **settings):
    f.replace({"apps": {"a": backend(*options, **settings), "b": backend()}})


def test_many_hups_at_once(faucet):
    f = start(faucet)
    with Traffic(f, ["/a/x", "/b/x"], keep=2, fresh=1):
        for n in range(2, 42):
            put(f, gen=n)
            f.hup()
        until(lambda: gen(f) == "41", 20, "the newest file is served")
    until(lambda: len(f.worker_pids(app="a")) == 1, 10)
    assert f.config_number() <= 42
    assert settled(f, "ab")["workers"]["b"]


def test_hups_without_a_change(faucet):
    f = start(faucet)
    for _ in range(200):
        f.hup()
    time.sleep(0.2)
    assert f.get("/a/x").status == 200 and f.worker_pids(app="a") == f.before


def test_one_during_prepare_starts_over(faucet):
    """The first would take 30 s; the second is served in no time, and the first one's processes are gone."""
    f = start(faucet)
    put(f, "slow=30", gen=2)
    f.hup()
    doomed = preparing(f)
    put(f, gen=3)
    began = time.monotonic()
    f.hup()
    until(lambda: gen(f) == "3", 10)
    assert time.monotonic() - began < 10
    until(lambda: not [p for p in doomed if processes.alive(p)], 8, "what was begun is taken back")
    until(lambda: len(f.worker_pids(app="a")) == 1, 8)
    number = f.config_number()
    time.sleep(0.3)
    assert gen(f) == "3" and f.config_number() == number


def test_who_waited_is_told_of_the_newer_one(faucet):
    f = start(faucet)
    put(f, "slow=30", gen=2)
    p = asker(f)
    preparing(f)
    put(f, gen=3)
    f.reload()
    out, _ = p.communicate(timeout=20)
    assert p.returncode == 0, out
    assert gen(f) == "3"


def test_broken_file_during_prepare(faucet):
    """The newest file counts, and it is broken: nothing changed."""
    f = start(faucet)
    before = settled(f, "ab")
    put(f, "slow=30", gen=2)
    p = asker(f)
    preparing(f)
    f.replace("apps: [")
    done = f.reload(expect=78)
    assert "faucet.yaml:" in done.stdout + done.stderr
    out, _ = p.communicate(timeout=20)
    assert p.returncode in (1, 78), out
    assert settled(f, "ab", 20) == before and gen(f) == "1"


def test_file_as_it_was_during_prepare(faucet):
    """The operator thinks better of it: the old file is back, one HUP, and the old workers serve on."""
    f = start(faucet)
    before = settled(f, "ab")
    put(f, "slow=30", gen=2)
    f.hup()
    preparing(f)
    put(f, gen=1)
    f.reload()
    assert settled(f, "ab", 20) == before and gen(f) == "1"


def test_listener_of_an_abandoned_prepare_is_let_go(faucet):
    f = start(faucet)
    other = free_port()
    f.replace({"listen": ["127.0.0.1:%d" % f.port, "127.0.0.1:%d" % other], "apps": {"a": backend("slow=30", gen=2), "b": backend()}})
    f.hup()
    preparing(f)
    put(f, gen=3)
    f.reload()
    assert not processes.listening(other) and gen(f) == "3"


def test_new_app_of_an_abandoned_prepare(faucet):
    f = start(faucet)
    f.replace({"apps": {"a": backend(gen=1), "b": backend(), "new": backend("slow=30")}})
    f.hup()
    doomed = until(lambda: f.worker_pids(app="new"), 10)
    put(f, gen=1)
    f.reload()
    until(lambda: not [p for p in doomed if processes.alive(p)], 8)
    assert f.get("/new/x").status == 404
    f.reload({"apps": {"a": backend(gen=1), "b": backend(), "new": backend(gen=4)}})
    assert gen(f, "new") == "4" and f.worker_pids(app="a") == f.before


def test_stop_during_prepare(faucet):
    f = start(faucet)
    put(f, "slow=30", gen=2)
    p = asker(f)
    preparing(f)
    assert f.stop(15) == 0
    p.communicate(timeout=10)
    assert p.returncode != 0


def test_hup_before_anything_is_ready(faucet):
    """The handler is there before anything else: a HUP in the first instant does not kill."""
    for delay in (0, 0.002, 0.005, 0.01, 0.02, 0.05):
        f = faucet({"apps": {"a": backend(gen=1)}}, start=False)
        f.spawn()
        time.sleep(delay)   # the moment is what is tried
        until(lambda: _blocks_hup(f.pid) or not f.running, 5, "the program has begun")
        f.hup()
        f.hup()
        f.wait_listening()
        f.wait_ready("a")
        assert gen(f) == "1"
        assert f.stop() == 0


def _blocks_hup(pid):
    """Blocked, caught or ignored; before main() it is at its default, and then nobody can help."""
    said = processes.status(pid)
    bit = 1 << (signal.SIGHUP - 1)
    return any(int(said.get(k, "0"), 16) & bit for k in ("SigBlk", "SigCgt", "SigIgn"))


def test_hup_while_apps_start(faucet):
    """Boot has committed, the app is not ready yet: the reload replaces it."""
    f = faucet({"apps": {"a": backend("slow=30", gen=1), "b": backend()}}, wait=False)
    f.wait_ready("b")
    put(f, gen=2)
    f.hup()
    until(lambda: f.get("/a/me").status == 200, 10)
    assert gen(f) == "2"
    until(lambda: len(f.worker_pids(app="a")) == 1, 8)


def test_hups_and_commands_together(faucet):
    """Many askers at once: each gets an answer, and one configuration is served in the end."""
    f = start(faucet)
    results = []

    def ask():
        results.append(f.reload(expect=None, timeout=60).returncode)
    threads = []
    for n in range(2, 8):
        put(f, gen=n)
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
        f.hup()
    [t.join() for t in threads]
    assert results == [0] * 6
    until(lambda: gen(f) == "7", 10)
    alone(f)     # well before timeouts.stop: they end by SIGTERM


def test_prepare_that_outlives_its_app_settings(faucet):
    """Three different prepares, each abandoned by the next, then a plan: nothing of them is left."""
    f = start(faucet)
    before = settled(f, "ab")
    for n in range(2, 5):
        put(f, "slow=30", gen=n)
        f.hup()
        until(lambda: any("GEN=%d" % n in open("/proc/%d/environ" % p).read() for p in f.worker_pids(app="a") if os.path.exists("/proc/%d/environ" % p)), 10)
    put(f, gen=1)
    f.reload()
    after = settled(f, "ab", 20)
    assert after == before and me(f).pid == f.before[0]
    assert not re.search(r"(?m)ERROR", f.log())
