"""Supervision: crash, back-off, timeouts at start, kill -9 of anything, floods of output, and a thousand workers that die at once."""
import json
import os
import re
import signal
import time

import pytest

import processes
from faucet import APPS, MEMORY_ROOM, PYTHON, backend
from wire import ProtocolError, until


def starts(path):
    try:
        return [line.split() for line in open(path)]
    except OSError:
        return []


def is_unavailable(response):
    assert response.status == 503, response
    assert re.match(r"[1-9]\d*\Z", response["Retry-After"] or ""), response
    return True


def test_crash_is_503_and_backs_off(faucet):
    f = faucet(start=False)
    record = f.dir + "/record"
    f.write({"apps": {"a": backend("record=" + record, "exit=3"), "ok": backend()}})
    f.start(wait=False)
    f.wait_ready("ok")
    until(lambda: len(starts(record)) >= 1)
    began = time.monotonic()
    while time.monotonic() - began < 3:
        asked = time.monotonic()
        is_unavailable(f.get("/a/x", timeout=10))
        assert time.monotonic() - asked < 2, "it let the client wait"
        time.sleep(0.1)
    assert f.get("/ok/").status == 200
    times = [float(s[1]) for s in starts(record)]
    assert 2 <= len(times) <= 8, "started %d times in 3 s" % len(times)
    gaps = [b - a for a, b in zip(times, times[1:])]
    if len(gaps) >= 3:
        assert gaps[-1] > gaps[0] * 1.4, gaps
    f.log_contains(r"(?i)\ba\b.*\b(status|code|exit\w*)\D+3\b")


def test_command_that_does_not_exist(faucet):
    f = faucet({"apps": {"a": {"command": ["/nonexistent/program", "{socket}"]}}}, start=False)
    # either the check finds it, or the app backs off; it never hangs and never takes the daemon down silently
    if f.tool("check").returncode == 78:
        assert f.run_to_end() == 78 and "/nonexistent/program" in f.log()
        f.write({"apps": {"a": {"command": [f.file("vanishes", "#!/nonexistent/interpreter\n", 0o755), "{socket}"]}}})
    f.start(wait=False)
    f.expected_exit = 0
    is_unavailable(f.get("/a/"))
    f.log_contains(r"\ba\b.*(?i:no such file|127|could not|cannot|failed)")


def test_crash_that_ends(faucet):
    """Once the app is mended, back-off ends and it serves."""
    f = faucet(start=False)
    flag = f.dir + "/mended"
    f.write({"apps": {"a": {"command": ["/bin/sh", "-c", "test -e %s && exec %s %s/backend.py $0; exit 1" % (flag, PYTHON, APPS), "{socket}"]}}})
    f.start(wait=False)
    is_unavailable(f.get("/a/"))
    open(flag, "w").close()
    assert f.wait_ready("a", timeout=20).status == 200


@pytest.mark.parametrize("how", ["deaf", "mute"])
def test_start_timeout(faucet, how):
    f = faucet(start=False)
    record = f.dir + "/record"
    f.write({"apps": {"a": backend("record=" + record, how, start_timeout="500ms")}, "timeouts": {"stop": "1s"}})
    f.start(wait=False)
    first = int(until(lambda: starts(record))[0][0])
    is_unavailable(f.get("/a/"))
    until(lambda: not processes.alive(first), 10, "the first worker is stopped")
    until(lambda: len(starts(record)) >= 2, 10, "it is tried again")
    f.log_contains(r"\ba\b.*(start_timeout|500 ?ms|0\.5 ?s|in time|not ready)")


def test_slow_start_answers_503_then_serves(faucet):
    f = faucet({"apps": {"a": backend("slow=1.5")}}, wait=False)
    is_unavailable(f.get("/a/"))
    assert f.wait_ready("a").status == 200


def test_killed_worker_is_replaced(faucet):
    f = faucet({"apps": {"a": backend(workers=2)}})
    before = {json.loads(f.get("/a/me").body)["pid"] for _ in range(6)}
    assert len(before) == 2
    victim = sorted(before)[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: not processes.alive(victim))
    f.log_contains(r"killed by signal 9")  # before that a request may still reach the dying process: 502
    for _ in range(10):      # the other one serves meanwhile
        assert f.get("/a/me").status == 200
    def both():
        now = {json.loads(f.get("/a/me").body)["pid"] for _ in range(6)}
        return victim not in now and len(now) == 2
    until(both, 15, "a new worker serves")
    f.log_contains(r"\ba\b.*(SIGKILL|signal 9|killed)")
    assert {json.loads(f.get("/a/env").body)["FAUCET_WORKER_ID"] for _ in range(6)} == {"1", "2"}


def test_worker_that_dies_of_a_request(faucet):
    f = faucet({"apps": {"a": backend()}})
    response = f.post("/a/die")
    assert response.status == 502, response
    f.wait_ready("a", "/a/me")
    with pytest.raises((ProtocolError, ConnectionResetError)):
        f.get("/a/die-midway")
    f.wait_ready("a", "/a/me")


def grandchildren(f):
    return [int(n) for n in re.findall(r"grandchild (\d+)", f.log())]


def test_kill_9_of_the_daemon_leaves_nobody(faucet):
    f = faucet({"apps": {"a": backend("fork", "noterm", workers=2),
                         "b": {"command": ["/bin/sh", "-c", "%s %s/backend.py \"$0\" & wait" % (PYTHON, APPS), "{socket}"]}}})
    late = json.loads(f.get("/a/fork").body)["pid"]
    mine = grandchildren(f) + [late]
    assert len(mine) == 3 and all(processes.alive(p) for p in mine)
    everybody = set(f.tree()) | set(mine)
    assert len(everybody) >= 8
    f.kill9()
    until(lambda: not [p for p in everybody if processes.alive(p)], 10,
          "nobody is left: %s" % [processes.command_line(p) for p in everybody if processes.alive(p)])


def test_kill_9_of_the_keeper(faucet):
    """The daemon says so and ends with 1, or starts another; either way no worker is orphaned, and nothing aborts."""
    f = faucet({"apps": {"a": backend(workers=2)}})
    keeper = processes.children(f.pid)
    assert len(keeper) == 1, "the daemon's only child is the keeper"
    workers = f.worker_pids("backend.py")
    os.kill(keeper[0], signal.SIGKILL)
    f.expected_exit = None
    until(lambda: "keeper" in f.log(), 10, "the loss is in the log")
    until(lambda: not [p for p in workers if processes.alive(p)], 10, "its workers end with it")
    until(lambda: not f.running or processes.children(f.pid), 15, "the daemon ends, or has another keeper")
    if f.running:
        f.expected_exit = 0
        assert f.wait_ready("a", "/a/me").status == 200
    else:
        assert f.process.returncode == 1, f.process.returncode
        assert not f.leftovers()


def test_stop_ends_grandchildren(faucet):
    f = faucet({"timeouts": {"stop": "1s"}, "apps": {"a": backend("fork")}})
    mine = grandchildren(f) + [json.loads(f.get("/a/fork").body)["pid"]]
    assert f.stop() == 0
    until(lambda: not [p for p in mine if processes.alive(p)], 5, "grandchildren end too")


def test_worker_that_ignores_sigterm(faucet):
    f = faucet({"timeouts": {"stop": "1s"}, "apps": {"a": backend("noterm")}})
    pid = json.loads(f.get("/a/me").body)["pid"]
    began = time.monotonic()
    assert f.stop() == 0
    assert 0.9 < time.monotonic() - began < 6
    assert not processes.alive(pid)


def test_worker_gets_sigterm_first(faucet):
    f = faucet({"apps": {"a": {"command": ["/bin/sh", "-c", "trap 'echo bye; exit 0' TERM; %s %s/backend.py \"$0\" & wait" % (PYTHON, APPS),
                                           "{socket}"]}}})
    assert f.stop() == 0
    assert re.search(r"INFO  Worker::a::1\] bye$", f.log(), re.M), f.log()


# -- output
def test_output_reaches_the_log(faucet):
    f = faucet({"apps": {"a": backend("say=hello from start")}})
    f.log_contains(r"^\[\S+Z INFO  Worker::a::1\] hello from start$")
    f.get("/a/print?text=to-stdout")
    f.log_contains(r"^\[\S+Z INFO  Worker::a::1\] to-stdout$")
    f.get("/a/print?text=to-stderr&stderr=1")
    f.log_contains(r"^\[\S+Z WARN  Worker::a::1\] to-stderr$")
    f.get("/a/print?text=%1b%5b31mred%00nul%ff")
    f.log_contains(r"Worker::a::1\] .*red")
    assert "\x1b" not in f.log() and "\0" not in f.log()


@pytest.mark.parametrize("line", [80, 0])
def test_flood_of_output(faucet, line):
    f = faucet({"apps": {"a": backend(), "ok": backend()}})
    f.get("/ok/"), f.get("/a/")
    before = f.rss_anon()
    c = f.client(timeout=60)
    c.send("GET /a/flood?mb=24&line=%d HTTP/1.1\r\nHost: x\r\n\r\n" % line)
    most, slowest = 0, 0
    while not c.buffer:
        asked = time.monotonic()
        assert f.get("/ok/").status == 200
        slowest = max(slowest, time.monotonic() - asked)
        most = max(most, f.rss_anon())
        try:
            c.fill(time.monotonic() + 0.02)
        except TimeoutError:
            pass
    assert c.read_response().status == 200
    assert most - before < (12 << 20) + MEMORY_ROOM, "grew by %d KiB" % ((most - before) >> 10)
    assert slowest < 1.0, "another app waited %.2f s" % slowest


def test_a_thousand_workers_that_die_at_once(faucet):
    f = faucet(start=False)
    f.write({"max_parallel_starts": 4, "apps": {
        "a": {"command": ["/bin/sh", "-c", "echo x >> %s/record; exit 1" % f.dir, "{socket}"], "workers": 1000}, "ok": backend()}})
    f.start(wait=False)
    f.wait_ready("ok", timeout=30)
    most, slowest, began = 0, 0, time.monotonic()
    while time.monotonic() - began < 5:
        asked = time.monotonic()
        assert f.get("/ok/").status == 200
        slowest = max(slowest, time.monotonic() - asked)
        most = max(most, len(f.tree()))
        time.sleep(0.05)
    assert most <= 4 + 3 + 8, "%d processes at once" % most       # 4 starts, daemon, keeper, ok; zombies and exits in flight
    assert slowest < 1.0, "another app waited %.2f s" % slowest
    is_unavailable(f.get("/a/"))
    assert os.path.getsize(f.dir + "/record") > 2 * 4, "it gave up"


def urls(f):
    """The names below "All apps are ready", once that is there."""
    f.wait_stdout(r"Ctrl-C stops", 20)
    return re.findall(r"(?m)^  (\S+) +http://127\.0\.0\.1:%d/" % f.port, f.stdout().partition("All apps are ready:")[2])


def test_wait_ready_does_not_wait_for_an_app_that_a_reload_removed(faucet):
    apps = {"ok": backend(), "never": backend("exit=1"), "slow": backend("slow=60")}
    f = faucet({"apps": apps}, start=False)
    f.spawn("--wait-ready")
    f.wait_stdout(r"never +backoff")
    f.wait_ready("ok")
    f.reload({"apps": {name: apps[name] for name in ("ok", "never")}})
    assert "All apps are ready" not in f.stdout()
    f.reload({"apps": {"ok": apps["ok"], "new": backend()}})
    assert urls(f) == ["ok", "new"], f.stdout()
    assert f.stdout().count("All apps are ready") == 1
    f.reload({"apps": {"ok": apps["ok"]}})
    f.reload({"apps": apps}, expect=1)
    assert f.stdout().count("All apps are ready") == 1


def test_wait_ready_waits_for_what_is_left_after_a_reload(faucet):
    """One that is removed, and one that becomes files; the last to get ready is one of the start."""
    f = faucet(start=False)
    late = {"command": ["/bin/sh", "-c", "until [ -e '%s/go' ]; do sleep 0.02; done; exec '%s' '%s' \"$0\"" % (f.dir, *backend()["command"][:2]), "{socket}"]}
    f.write({"apps": {"gate": late, "never": backend("exit=1"), "files": backend("exit=1")}})
    f.spawn("--wait-ready")
    f.wait_stdout(r"never +backoff")
    f.reload({"apps": {"gate": late, "files": {"type": "static", "dir": f.dir}}})
    assert "All apps are ready" not in f.stdout()
    f.file("go")
    assert urls(f) == ["gate", "files"], f.stdout()
    assert not re.search(r"(?m)^  \w+ +draining", f.stdout()), "only apps of the configuration are told of"


def test_wait_ready_shows_lines_and_urls(faucet):
    f = faucet({"apps": {"one": backend("slow=0.5"), "two": backend()}})
    out = f.stdout()
    url = out.index("http://127.0.0.1:%d" % f.port)
    assert re.search(r"\bone\b", out[:url]) and re.search(r"\btwo\b", out[:url]), out
    assert re.search(r"http://127\.0\.0\.1:%d/one/" % f.port, out) and re.search(r"http://127\.0\.0\.1:%d/two/" % f.port, out), out
