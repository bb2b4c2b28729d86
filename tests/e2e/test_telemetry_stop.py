"""What a stop itself makes happen — sessions cut, workers stopped, the stop — reaches the database too, within a time of its own."""
import os
import re
import signal
import time
import uuid

import pytest

from faucet import ROOT, SLOW, backend
from postgres import Postgres
from telemetry import Rows, full_database, settings
from test_websocket import handshake, read_frame

NO_DISK = {"XDG_STATE_HOME": "/proc/nowhere"}


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture
def rows(pg):
    return Rows(pg, full_database(pg, "t" + uuid.uuid4().hex[:12]))


def with_a_session(faucet, pg, rows, shutdown, on_disk):
    """A faucet with a WebSocket that nobody will close, and its client."""
    f = faucet({"shutdown": shutdown, "telemetry": settings(pg, rows.name), "apps": {"a": backend()}}, env={} if on_disk else NO_DISK)
    c = f.client()
    c.send(handshake("/a/ws"))
    assert c.read_response().status == 101
    rows.wait(1, "faucet_worker_events", "event = 'ready'")
    return f, c


@pytest.mark.parametrize("on_disk", [True, False], ids=["disk", "memory"])
@pytest.mark.parametrize("shutdown", [{"timeout": "200ms"}, {"mode": "immediate"}], ids=["timeout", "immediate"])
def test_the_stops_own_events_are_sent(faucet, pg, rows, shutdown, on_disk):
    f, c = with_a_session(faucet, pg, rows, shutdown, on_disk)
    assert f.stop() == 0
    assert read_frame(c)[0] == 8
    assert [r["ended"] for r in rows.all("faucet_session_events")] == ["shutdown"]
    assert rows.all("faucet_worker_events", "event = 'stopped'") and rows.all("faucet_config_events", "event = 'stop'")
    account = f.log_contains(r"received (\d+) = stored (\d+) \+ queued 0$")
    assert account[1] == account[2]


@pytest.mark.parametrize("on_disk", [True, False], ids=["disk", "memory"])
@pytest.mark.parametrize("shutdown,least,most", [({"timeout": "200ms"}, 1.5, 4), ({"mode": "immediate"}, 0.8, 3)], ids=["timeout", "immediate"])
def test_a_database_that_hangs_holds_the_stop_up_for_a_moment_only(faucet, pg, rows, shutdown, least, most, on_disk):
    f, _ = with_a_session(faucet, pg, rows, shutdown, on_disk)
    pg.pause()
    try:
        began = time.monotonic()
        assert f.stop() == 0
        assert least < time.monotonic() - began < most * SLOW
    finally:
        pg.resume()
    assert f.log_contains(r"queued \d+ \((kept on disk|lost: the queue is in memory)\)")


def test_the_second_signal_does_not_wait_for_events(faucet, pg, rows):
    f, c = with_a_session(faucet, pg, rows, {"timeout": "60s"}, False)
    pg.pause()
    try:
        c.close()
        f.signal(signal.SIGTERM)
        f.log_contains(r"stopping: sending \d+ events to .*, \d+\.\d s at most")
        began = time.monotonic()
        f.signal(signal.SIGTERM)
        assert f.wait_exit() == 0
        assert time.monotonic() - began < 2 * SLOW
    finally:
        pg.resume()


def test_systemd_gives_it_the_time(faucet):
    """shutdown.timeout, then timeouts.stop for workers, then the events: all of it before systemd kills."""
    f = faucet({"apps": {"a": backend()}}, start=False)
    unit = open(os.path.join(ROOT, "contrib", "systemd", "faucet.service")).read()
    source = open(os.path.join(ROOT, "src", "control", "shutdown.c")).read()
    document = open(os.path.join(ROOT, "docs", "operations.md")).read()

    def seconds(key):
        return int(re.match(r"%s: (\d+)s" % key, f.tool("config", key).stdout)[1])
    events = int(re.search(r"#define EVENTS_TIME +\((\d+) \* DUR_S\)", source)[1])
    allowed = int(re.search(r"^TimeoutStopSec=(\d+)s$", unit, re.M)[1])
    assert seconds("shutdown.timeout") + seconds("timeouts.stop") + events + 1 < allowed
    assert "%d s more for telemetry" % events in document and "`TimeoutStopSec=%d`" % allowed in document
