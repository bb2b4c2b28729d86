"""Who began the end of a WebSocket is what its session event says: the client, the worker, or the worker's death."""
import asyncio
import os
import signal
import uuid

import pytest
import websockets

from faucet import APPS, PYTHON, backend, upstream
from origin import CLOSE
from postgres import Postgres
from telemetry import Rows, full_database, settings
from test_websocket import SWITCH, frame, handshake
from wire import until


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture
def rows(pg):
    return Rows(pg, full_database(pg, "s" + uuid.uuid4().hex[:12]))


@pytest.fixture
def site(faucet, pg, rows):
    serve = [PYTHON, APPS + "/websocket.py"]
    return faucet({"telemetry": settings(pg, rows.name), "apps": {
        "ws": {"command": [*serve, "{socket}"]},
        "port": {"command": [*serve, "{port}"]},
        "wrapped": {"command": ["sh", "-c", '%s "$0"; exit 7' % " ".join(serve), "{socket}"]},
        "b": backend()}})


def ended(rows, uuid, timeout=20.0):
    """(the fixed word, whether the view calls it cut) of one session."""
    rows.wait(1, "faucet_session_events", "request_uuid = %s", (uuid,), timeout)
    return rows.pg.query("SELECT ended, cut FROM faucet_sessions WHERE request_uuid = %s", (uuid,), rows.name)[0]


def opened(f, path):
    """A raw client with a tunnel, and the request's uuid."""
    c = f.client()
    c.send(handshake(path))
    response = c.read_response()
    assert response.status == 101
    return c, response["Faucet-Request-Uuid"]


def converse(f, path, conversation):
    """With the library a browser's WebSocket is like; the request's uuid."""
    async def talk():
        async with websockets.connect(f.url(path, "ws"), ping_interval=None) as ws:
            await conversation(ws)
        return ws.response_headers["Faucet-Request-Uuid"]
    return asyncio.run(asyncio.wait_for(talk(), 60))


async def until_cut(ws):
    with pytest.raises(websockets.ConnectionClosed):
        await ws.recv()


def test_a_client_that_closes(site, rows):
    async def leave(ws):
        await ws.send("hello")
        assert await ws.recv() == "hello"
        await ws.close(1000)
    assert ended(rows, converse(site, "/ws/echo", leave)) == ("client_closed", False)


def test_a_client_that_only_ends_the_connection(site, rows):
    c, uuid = opened(site, "/b/ws")
    c.close()
    assert ended(rows, uuid) == ("client_closed", False)


def test_a_client_that_resets(site, rows):
    c, uuid = opened(site, "/b/ws")
    c.reset()
    assert ended(rows, uuid) == ("client_reset", False)


def test_a_worker_that_closes(site, rows):
    async def ask(ws):
        await ws.send("close")
        await until_cut(ws)
    for path in ("/ws/close?code=4001", "/port/close"):
        assert ended(rows, converse(site, path, ask)) == ("worker_closed", False)


@pytest.mark.parametrize("app", ["ws", "port"])
def test_a_worker_that_hangs_up_and_lives(site, rows, app):
    async def ask(ws):
        await ws.send("hang up")
        await until_cut(ws)
    assert ended(rows, converse(site, "/%s/hang-up" % app, ask)) == ("worker_closed", False)
    assert not rows.all("faucet_worker_events", "event = 'crashed'")


@pytest.mark.parametrize("app", ["ws", "port", "wrapped"])
def test_a_worker_that_is_killed(site, rows, app):
    """Behind a shell the process that is killed is no child of faucet's: its parent's end is what is reported."""
    serving, = [p for p in site.worker_pids(APPS + "/websocket.py") if open("/proc/%d/comm" % p).read().startswith("python")
                and b"FAUCET_APP=%s\0" % app.encode() in open("/proc/%d/environ" % p, "rb").read()]
    told = []

    async def watch(ws):
        await ws.send("hello")
        assert await ws.recv() == "hello"
        os.kill(serving, signal.SIGKILL)
        began = asyncio.get_running_loop().time()
        await until_cut(ws)
        told.append(asyncio.get_running_loop().time() - began)
    assert ended(rows, converse(site, "/%s/echo" % app, watch)) == ("worker_gone", True)
    assert told[0] < 0.9, "the client is told at once, whatever is waited for"
    crash = rows.wait(1, "faucet_worker_events", "event = 'crashed'")[0]
    assert crash["app"] == app and (crash["signal"] == 9 if app != "wrapped" else crash["exit_code"] == 7)
    session = rows.all("faucet_session_events")[0]
    assert abs((session["time"] - session["began"]).total_seconds() - session["seconds"]) < 0.2


def test_a_worker_that_ends_by_itself(site, rows):
    async def ask(ws):
        await ws.send("now")
        await until_cut(ws)
    assert ended(rows, converse(site, "/ws/die", ask)) == ("worker_gone", True)


def test_a_worker_that_is_killed_with_bytes_unread(site, rows):
    """The kernel resets such a connection instead of ending it."""
    pid, = site.worker_pids(app="b")
    c, uuid = opened(site, "/b/ws")
    os.kill(pid, signal.SIGSTOP)
    c.send(frame(1, b"nobody reads this"))
    until(lambda: any(w["tunnels"] for a in site.status()["apps"] for w in a["workers"]), 10, "the tunnel is open")
    os.kill(pid, signal.SIGKILL)
    c.read_all()
    c.close()
    assert ended(rows, uuid) == ("worker_gone", True)


def test_a_worker_that_is_killed_after_the_clients_close(site, rows):
    pid, = site.worker_pids(app="b")
    note = os.path.join(site.dir, "note")
    c, uuid = opened(site, "/b/ws?sulk=1&note=" + note)
    c.send(frame(8, b"\x03\xe8"))
    until(lambda: os.path.exists(note) and open(note).read().startswith("8 "), 10, "the worker has the Close")
    os.kill(pid, signal.SIGKILL)
    c.read_all()
    c.close()
    assert ended(rows, uuid) == ("client_closed", False)


def test_a_stop_after_the_clients_close(faucet, pg, rows):
    f = faucet({"shutdown": {"timeout": "1s"}, "telemetry": settings(pg, rows.name), "apps": {"b": backend()}})
    note = os.path.join(f.dir, "note")
    c, uuid = opened(f, "/b/ws?sulk=1&note=" + note)
    c.send(frame(8, b"\x03\xe8"))
    until(lambda: os.path.exists(note) and open(note).read().startswith("8 "), 10, "the worker has the Close")
    f.stop()
    assert ended(rows, uuid) == ("client_closed", False)


def test_an_upstream_that_ends(faucet, pg, rows, origin):
    """Nobody knows of its process: it closed."""
    o = origin()
    o.raw("/ws", SWITCH, CLOSE)
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"u": upstream(o)}})
    c, uuid = opened(f, "/u/ws")
    assert c.wait_eof()
    c.close()
    assert ended(rows, uuid) == ("worker_closed", False)


def test_a_death_long_after_the_end_is_another_matter(site, rows):
    """The worker hung up on a client that does not notice; it died later."""
    pid, = site.worker_pids(app="ws")
    c, uuid = opened(site, "/ws/hang-up")
    c.send(frame(1, b"hang up"))
    assert c.wait_eof()
    other, uuid_of_other = opened(site, "/ws/hang-up")  # whose row says that the wait of the first is over, too
    other.send(frame(1, b"hang up"))
    assert other.wait_eof()
    other.close()
    assert ended(rows, uuid_of_other) == ("worker_closed", False)
    os.kill(pid, signal.SIGKILL)
    rows.wait(1, "faucet_worker_events", "event = 'crashed'")
    c.close()
    assert ended(rows, uuid) == ("worker_closed", False)
