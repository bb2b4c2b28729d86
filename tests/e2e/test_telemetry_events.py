"""faucet_worker_events and faucet_config_events: a row for each thing that can become of a worker, and for each way a reload can end."""
import os
import re
import signal
import subprocess
import uuid

import pytest

from faucet import BIN
from postgres import Postgres
from reloading import backend
from telemetry import Rows, full_database, settings
from wire import until


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture
def rows(pg):
    return Rows(pg, full_database(pg, "e" + uuid.uuid4().hex[:12]))


@pytest.fixture
def config(pg, rows):
    def make(*options, **app):
        return {"timeouts": {"stop": "400ms"}, "telemetry": settings(pg, rows.name), "apps": {"a": backend(*options, **app)}}
    return make


# -- workers

def worker_events(rows, pid, last):
    """What became of a process until `last` did: [(event, signal, exit_code)], oldest first, and the rows."""
    rows.wait(1, "faucet_worker_events", "pid = %s AND event = %s", (pid, last))
    found = rows.all("faucet_worker_events", "pid = %s", (pid,))
    return [(r["event"], r["signal"], r["exit_code"]) for r in found], found


def test_a_crash_by_a_signal(faucet, config, rows):
    f = faucet(config("cry=before it all went wrong"))
    pid, = f.worker_pids(app="a")
    os.kill(pid, signal.SIGSEGV)
    events, found = worker_events(rows, pid, "crashed")
    assert events == [("started", None, None), ("ready", None, None), ("crashed", signal.SIGSEGV, None)]
    crash = found[2]
    assert "killed by signal 11" in crash["detail"] and "before it all went wrong" in crash["stderr_tail"] and crash["uptime_us"] > 0
    pause, = rows.wait(1, "faucet_worker_events", "event = 'backoff'")  # of a place without a process
    assert pause["pid"] is None and 0 < pause["delay_us"] <= 250_000 and "killed by signal 11" in pause["detail"]
    until(lambda: f.worker_pids(app="a") not in ([], [pid]), 10, "another process")
    again, = rows.wait(1, "faucet_worker_events", "event = 'ready' AND pid <> %s", (pid,))
    assert (again["worker_id"], again["generation"]) == (1, 1)


def test_recycled(faucet, config, rows):
    """A newer generation took its place."""
    f = faucet(config(gen=1))
    pid, = f.worker_pids(app="a")
    f.reload(config(gen=2))
    events, found = worker_events(rows, pid, "recycled")
    assert events == [("started", None, None), ("ready", None, None), ("recycled", None, 0)]
    assert {r["generation"] for r in found} == {1} and {r["config"] for r in found} == {1}
    new, = rows.wait(1, "faucet_worker_events", "event = 'ready' AND generation = 2")
    assert new["pid"] != pid and new["config"] == 2


def test_killed(faucet, config, rows):
    """It did not end when it was asked to: that is told, and then how it ended."""
    f = faucet(config("noterm", gen=1))
    pid, = f.worker_pids(app="a")
    f.reload(config("noterm", gen=2))
    events, found = worker_events(rows, pid, "recycled")
    assert events == [("started", None, None), ("ready", None, None), ("killed", None, None), ("recycled", signal.SIGKILL, None)]
    assert found[2]["detail"] == "did not end when asked to" and "killed by signal 9" in found[3]["detail"]


def test_stopped_because_fewer_are_wanted(faucet, config, rows):
    f = faucet(config(workers=2))
    f.reload(config(workers=1))
    gone, = rows.wait(1, "faucet_worker_events", "event = 'stopped'")
    assert gone["worker_id"] == 2 and gone["exit_code"] == 0 and not rows.all("faucet_worker_events", "event = 'recycled'")


# -- configurations

def config_event(rows, where, values=None):
    """The one that is so."""
    found = rows.wait(1, "faucet_config_events", where, values)
    assert len(found) == 1, found
    return found[0]


def actions(row):
    return {a["app"]: a["action"] for a in row["actions"]} if row["actions"] is not None else None


def test_a_reload_by_sighup(faucet, config, rows):
    f = faucet(config())
    f.replace(config(workers=2))
    f.hup()
    row = config_event(rows, "event = 'reload'")
    assert (row["who"], row["result"], row["config"], row["detail"], row["app"]) == ("SIGHUP", "done", 2, None, None)
    assert actions(row) == {"a": "resize"} and row["took_us"] > 0 and row["pid"] == f.pid and row["file"] == f.conf


def test_a_restart(faucet, config, rows):
    f = faucet(config())
    assert f.tool("restart", "a").returncode == 0
    row = config_event(rows, "event = 'restart'")
    assert (row["result"], row["app"], row["config"]) == ("done", "a", 1) and re.search(r"uid %d\b" % os.geteuid(), row["who"])
    assert actions(row) == {"a": "roll"}


def test_a_reload_that_fails_names_the_app(faucet, config, rows):
    f = faucet(config(gen=1))
    bad = config(gen=1)
    bad["apps"]["b"] = backend("exit=3", "cry=no licence")
    f.reload(bad, expect=1)
    row = config_event(rows, "event = 'reload'")
    assert (row["result"], row["app"], row["config"]) == ("failed", "b", 1)
    assert "status 3" in row["detail"] and "no licence" in row["detail"]


def test_a_reload_that_is_refused(faucet, config, rows):
    """No app would be left, and nobody said that this is meant."""
    f = faucet(config())
    f.replace({**config(), "apps": {}})
    f.hup()
    row = config_event(rows, "event = 'reload'")
    assert (row["who"], row["result"], row["config"]) == ("SIGHUP", "refused", 1)
    assert "--force" in row["detail"] and re.search(r"remove a\b", row["detail"]) and actions(row) == {"a": "drop"}


def test_a_reload_that_is_superseded(faucet, config, rows):
    f = faucet(config(gen=1))
    before = f.worker_pids(app="a")
    f.replace(config("slow=30", gen=2))
    f.hup()
    until(lambda: set(f.worker_pids(app="a")) - set(before), 10, "the first one prepares")
    f.reload(config(gen=3))
    row = config_event(rows, "event = 'reload' AND who = 'SIGHUP'")
    assert (row["result"], row["config"], row["app"]) == ("superseded", 1, None)
    assert re.fullmatch(r"a reload asked by .*uid %d\b.* came in between" % os.geteuid(), row["detail"]) and actions(row) == {"a": "roll"}
    done = config_event(rows, "event = 'reload' AND who <> 'SIGHUP'")
    assert (done["result"], done["config"]) == ("done", 2) and row["time"] <= done["time"]


def test_a_restart_that_is_superseded(faucet, config, rows):
    """Its app may keep its workers: it was not done."""
    f = faucet(start=False)
    flag = os.path.join(f.dir, "slow")
    slow = config()
    slow["apps"]["a"]["command"] = ["sh", "-c", 'test -e %s && sleep 30; exec "$@"' % flag, "sh", *slow["apps"]["a"]["command"]]
    f.write(slow)
    f.start()
    open(flag, "w").close()
    before = f.worker_pids(app="a")
    restart = subprocess.Popen([BIN, "restart", "a", "-c", f.conf], env=f.env(), cwd=f.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: set(f.worker_pids(app="a")) - set(before), 10, "the restart prepares")
    f.hup()
    assert restart.wait(20) == 1
    row = config_event(rows, "event = 'restart'")
    assert (row["result"], row["app"]) == ("failed", "a") and "SIGHUP" in row["detail"]
