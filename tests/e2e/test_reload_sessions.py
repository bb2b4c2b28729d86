"""A live tunnel pins its client: it is served where it is, HTTP too, until its last tunnel ends or drain_timeout says Close 1012."""
import os
import re
import threading
import time

import pytest

import processes
from faucet import free_port, upstream
from reloading import Socket, backend, cookie_of, fresh_cookie, gen, me, send_request
from test_balancing import hold
from test_websocket import SWITCH, handshake
from wire import ProtocolError, frame_bytes, until

STICKY = {"strategy": "cookie-hash"}


def start(faucet, **settings):
    f = faucet({"apps": {"a": backend(gen=1, **STICKY, **settings), "b": backend()}})
    return f, Socket(f)


def fresh(f, app="a", path=None):
    return me(f, app, path=path).gen


# -- pinned
def test_stays_on_its_generation(faucet):
    f, ws = start(faucet)
    pid = ws.pid()
    f.reload({"apps": {"a": backend(gen=2, **STICKY), "b": backend()}})
    assert ws.pid() == pid
    assert me(f, cookie=ws.cookie).pid == pid, "HTTP of the same client goes where its session is"
    assert f.post("/a/count", b"x" * 100000, {"Cookie": ws.cookie}).status == 200
    assert [fresh(f) for _ in range(3)] == ["2"] * 3, "new clients get the new one"
    assert gen(f, cookie=fresh_cookie(f)) == "2"
    second = Socket(f, cookie=ws.cookie)
    assert second.pid() == pid, "further tunnels of the client, too"
    ws.close()
    assert second.alive() and gen(f, cookie=ws.cookie) == "1", "until the last one"
    second.close()
    until(lambda: not processes.alive(pid), 5, "then the old generation goes")
    assert gen(f, cookie=ws.cookie) == "2"


def test_client_without_tunnel_moves(faucet):
    f, ws = start(faucet)
    cookie = fresh_cookie(f)
    assert gen(f, cookie=cookie) == "1"
    f.reload({"apps": {"a": backend(gen=2, **STICKY), "b": backend()}})
    assert gen(f, cookie=cookie) == "2"
    assert ws.alive()


def test_three_generations(faucet):
    f, one = start(faucet)
    f.reload({"apps": {"a": backend(gen=2, **STICKY), "b": backend()}})
    two = Socket(f)
    f.reload({"apps": {"a": backend(gen=3, **STICKY), "b": backend()}})
    three = Socket(f)
    assert [gen(f, cookie=w.cookie) for w in (one, two, three)] == ["1", "2", "3"]
    assert len({w.pid() for w in (one, two, three)}) == 3
    two.close()
    until(lambda: len(f.worker_pids(app="a")) == 2, 5)
    assert one.alive() and three.alive()


def test_renamed_route(faucet):
    """The client's own URLs go on working for it; for others they are gone."""
    f, ws = start(faucet)
    pid = ws.pid()
    f.reload({"apps": {"a": backend(gen=1, route="/moved/", **STICKY), "b": backend()}})
    assert ws.pid() == pid
    assert f.get("/a/me").status == 404
    assert me(f, cookie=ws.cookie, path="/moved/").pid == pid
    assert me(f, cookie=ws.cookie, path="/a/").pid == pid, "its page still asks under the old route"
    assert Socket(f, cookie=ws.cookie).pid() == pid


def test_renamed_route_and_roll(faucet):
    f, ws = start(faucet)
    pid = ws.pid()
    f.reload({"apps": {"a": backend(gen=2, route="/moved/", **STICKY), "b": backend()}})
    assert ws.pid() == pid and me(f, cookie=ws.cookie, path="/moved/").pid == pid
    assert fresh(f, path="/moved/") == "2"
    ws.close()
    until(lambda: not processes.alive(pid), 5)
    assert gen(f, cookie=ws.cookie, path="/moved/") == "2"


def test_route_given_to_another_app(faucet):
    """/a/ belongs to b now: new clients get b there, the pinned client its own worker."""
    f, ws = start(faucet)
    pid = ws.pid()
    f.reload({"apps": {"a": backend(gen=1, route="/old/", **STICKY), "b": backend(gen="b", route="/a/")}})
    assert fresh(f) == "b" and ws.pid() == pid
    assert me(f, cookie=ws.cookie).pid == pid
    assert me(f, cookie=ws.cookie, path="/old/").pid == pid
    ws.close()
    until(lambda: gen(f, cookie=ws.cookie) == "b", 5)


def test_removed_app(faucet):
    f, ws = start(faucet)
    pid = ws.pid()
    f.reload({"apps": {"b": backend()}})
    assert ws.pid() == pid
    assert f.get("/a/me").status == 404, "answers no new request"
    assert f.get("/a/me", {"Cookie": "FAUCET_LB_COOKIE=01a2062e-090a-710a-901c-2e68cbf70178"}).status == 404
    assert me(f, cookie=ws.cookie).pid == pid, "except from pinned clients"
    again = Socket(f, cookie=ws.cookie)
    assert again.pid() == pid
    ws.close(), again.close()
    until(lambda: not processes.alive(pid), 5)
    assert f.get("/a/me", {"Cookie": ws.cookie}).status == 404


def rows(f, app):
    """What `faucet status --json` has of that name."""
    return [a for a in f.status()["apps"] if a["name"] == app]


def test_removed_app_is_shown_until_it_is_gone(faucet):
    f, ws = start(faucet)
    c = hold(f, "one")
    assert rows(f, "a")[0]["exchanges"] == 1 and rows(f, "a")[0]["tunnels"] == 1
    f.reload({"apps": {"b": backend()}})
    said = f.status()
    assert [a["name"] for a in said["apps"]] == ["b", "a"] and said["state"] == "ready"
    a = said["apps"][1]
    assert (a["state"], a["exchanges"], a["tunnels"], a["wanted"]) == ("draining", 1, 1, 0), a
    assert a["workers"][0]["pid"] == ws.pid()
    table = f.tool("status")
    assert table.returncode == 0, "what drains is no reason to worry"
    assert re.search(r"(?m)^APP +TYPE +STATE +READY +GEN +QUEUE +OPEN +REQUESTS +TUNNELS ", table.stdout), table.stdout
    assert re.search(r"(?m)^a +command +draining +\d+/1 +1 +0/100 +1 +\d+ +1 ", table.stdout), table.stdout
    f.file("one.go")
    assert c.read_response().status == 200
    until(lambda: rows(f, "a")[0]["exchanges"] == 0, 5)
    assert rows(f, "a")[0]["tunnels"] == 1
    f.reload({"apps": {"a": backend(gen=2, **STICKY), "b": backend()}})
    assert [(a["state"], a["tunnels"]) for a in rows(f, "a")] == [("ready", 0), ("draining", 1)], "the new one comes first"
    ws.close()
    until(lambda: [a["state"] for a in rows(f, "a")] == ["ready"], 5)


def test_removed_app_without_clients_goes_at_once(faucet):
    f = faucet({"apps": {"a": backend(**STICKY), "b": backend()}})
    pids = f.worker_pids(app="a")
    f.reload({"apps": {"b": backend()}})
    assert f.get("/a/me").status == 404
    until(lambda: not [p for p in pids if processes.alive(p)], 4)


def test_removed_app_in_flight_ends(faucet):
    f = faucet({"apps": {"a": backend(), "b": backend()}})
    c = hold(f, "one")
    f.reload({"apps": {"b": backend()}})
    f.file("one.go")
    assert c.read_response().status == 200
    until(lambda: not f.worker_pids(app="a"), 5)


def test_removed_and_back_again(faucet):
    """An app of the same name is a new one; the pinned client stays with the old."""
    f, ws = start(faucet)
    pid = ws.pid()
    f.reload({"apps": {"b": backend()}})
    f.reload({"apps": {"a": backend(gen=3, **STICKY), "b": backend()}})
    assert fresh(f) == "3" and ws.pid() == pid
    assert me(f, cookie=ws.cookie).pid == pid
    ws.close()
    until(lambda: gen(f, cookie=ws.cookie) == "3", 5)
    until(lambda: not processes.alive(pid), 5)


def test_strategy_changes_under_a_tunnel(faucet):
    f, ws = start(faucet, workers=3)
    pid = ws.pid()
    f.reload({"apps": {"a": backend(gen=1, workers=3, strategy="round-robin"), "b": backend()}})
    assert ws.pid() == pid
    f.reload({"apps": {"a": backend(gen=1, workers=3, **STICKY), "b": backend()}})
    assert ws.pid() == pid and me(f, cookie=ws.cookie).pid == pid


def test_ip_hash_pins_by_address(faucet):
    f = faucet({"apps": {"a": backend(gen=1, strategy="ip-hash")}})
    ws = Socket(f)
    f.reload({"apps": {"a": backend(gen=2, strategy="ip-hash")}})
    assert ws.alive() and gen(f) == "1", "the same address is the same client"
    ws.close()
    until(lambda: gen(f) == "2", 5)


def test_nobody_is_not_pinned(faucet):
    """Round-robin has no clients: the tunnel lives on where it is, requests go to the new generation."""
    f = faucet({"apps": {"a": backend(gen=1)}})
    ws = Socket(f)
    pid = ws.pid()
    f.reload({"apps": {"a": backend(gen=2)}})
    assert ws.pid() == pid and gen(f) == "2"
    ws.close()
    until(lambda: not processes.alive(pid), 5)


def test_unchanged_app_has_no_deadline(faucet):
    f = faucet({"apps": {"a": backend(gen=1, drain_timeout="300ms", **STICKY), "b": backend()}})
    ws = Socket(f)
    f.reload({"apps": {"a": backend(gen=1, drain_timeout="300ms", **STICKY), "b": backend(gen=2)}})
    f.reload({"apps": {"a": backend(gen=1, drain_timeout="301ms", **STICKY), "b": backend(gen=2)}})
    time.sleep(1)
    assert ws.alive()


def test_failed_reload_touches_no_tunnel(faucet):
    f = faucet({"apps": {"a": backend(gen=1, drain_timeout="300ms", **STICKY)}})
    ws = Socket(f)
    pid = ws.pid()
    f.reload({"apps": {"a": backend("exit=1", gen=2, drain_timeout="300ms", **STICKY)}}, expect=1)
    time.sleep(1)
    assert ws.pid() == pid and gen(f) == "1"


def test_pinned_worker_that_dies(faucet):
    """Its tunnel is gone with it, so the client is free, and nobody starts the old generation anew."""
    f, ws = start(faucet)
    pid = ws.pid()
    f.reload({"apps": {"a": backend(gen=2, **STICKY), "b": backend()}})
    os.kill(pid, 9)
    with pytest.raises((ProtocolError, ConnectionResetError)):
        ws.ask("x", 5)
        ws.ask("x", 5)
    until(lambda: gen(f, cookie=ws.cookie) == "2", 5)
    time.sleep(0.5)
    assert len(f.worker_pids(app="a")) == 1


# -- the deadline
def test_close_1012(faucet):
    f, ws = start(faucet, drain_timeout="700ms")
    note = f.dir + "/note"
    noted = Socket(f, path="/a/", cookie=ws.cookie)
    noted.close()
    wire = f.client()
    wire.send(handshake("/a/ws?note=" + note, "Cookie: %s\r\n" % ws.cookie))
    assert wire.read_response().status == 101
    pid, began = ws.pid(), time.monotonic()
    f.reload({"apps": {"a": backend(gen=2, drain_timeout="700ms", **STICKY), "b": backend()}})
    assert ws.alive()
    assert ws.close_code(5) == 1012
    assert 0.6 < time.monotonic() - began < 4
    opcode, payload, masked = wire.read_frame(5)
    assert (opcode, payload[:2], masked) == (8, (1012).to_bytes(2, "big"), False)
    until(lambda: os.path.exists(note) and open(note).read().split()[:3] == ["8", "masked", "03f4"], 5, "the worker gets a masked Close 1012")
    until(lambda: not processes.alive(pid), 5)
    assert gen(f, cookie=ws.cookie) == "2"


def test_close_1012_of_a_removed_app(faucet):
    f, ws = start(faucet, drain_timeout="500ms")
    pid = ws.pid()
    f.reload({"apps": {"b": backend()}})
    assert ws.close_code(5) == 1012
    until(lambda: not processes.alive(pid), 5)
    assert f.get("/a/me", {"Cookie": ws.cookie}).status == 404


def test_close_1012_after_a_resize(faucet):
    f = faucet({"apps": {"a": backend(workers=2, drain_timeout="500ms", **STICKY)}})
    sockets = [Socket(f) for _ in range(12)]
    workers = [me(f, cookie=s.cookie).worker for s in sockets]
    assert set(workers) == {"1", "2"}
    f.reload({"apps": {"a": backend(workers=1, drain_timeout="500ms", **STICKY)}})
    for s, w in zip(sockets, workers):
        if w == "2":
            assert s.close_code(5) == 1012
    assert all(s.alive() for s, w in zip(sockets, workers) if w == "1"), "those of the worker that stays are not touched"


def test_those_who_leave_in_time_are_not_closed_twice(faucet):
    f, ws = start(faucet, drain_timeout="800ms")
    f.reload({"apps": {"a": backend(gen=2, drain_timeout="800ms", **STICKY), "b": backend()}})
    ws.wire.send_frame(8, b"\x03\xe8", b"\1\2\3\4")
    assert ws.close_code(5) == 1000
    assert ws.wire.wait_eof(5)


def test_client_that_answers_the_close(faucet):
    f, ws = start(faucet, drain_timeout="300ms")
    f.reload({"apps": {"a": backend(gen=2, drain_timeout="300ms", **STICKY), "b": backend()}})
    assert ws.close_code(5) == 1012
    ws.wire.send_frame(8, b"\x03\xf4", b"\1\2\3\4")
    assert ws.wire.wait_eof(5)


@pytest.fixture
def precise(faucet, origin):
    """Both ends of a tunnel in the test's hands: app a goes from one origin to another, drain_timeout 1 s."""
    one, two = origin(path="/tmp/o%d.sock" % free_port()), origin(path="/tmp/o%d.sock" % free_port())
    one.hold("/ws")
    f = faucet({"apps": {"a": upstream(one, drain_timeout="1s", **STICKY)}}, origins=[one, two])
    c = f.client()
    c.keep = False
    c.send(handshake("/a/ws"))
    t = one.take("/ws")
    t.conn.send(SWITCH)
    assert c.read_response().status == 101
    yield f, c, t, lambda: f.reload({"apps": {"a": upstream(two, drain_timeout="1s", **STICKY)}})
    t.finish()


def test_upstream_tunnel_gets_it_too(precise):
    f, c, t, roll = precise
    roll()
    c.send_frame(1, "hello", b"abcd")
    assert t.conn.read_frame() == (1, b"hello", True)
    assert c.read_frame(5)[:2][0] == 8
    opcode, payload, masked = t.conn.read_frame(5)
    assert opcode == 8 and masked and payload[:2] == b"\x03\xf4"


def test_not_in_the_middle_of_a_frame_towards_the_client(precise):
    """The worker is at it when drain_timeout fires: the frame's bytes come through whole, then the Close."""
    f, c, t, roll = precise
    payload = os.urandom(1000)
    data = frame_bytes(2, payload)
    t.conn.send(data[:300])
    roll()
    time.sleep(1.2)  # drain_timeout passes in the middle of the frame
    assert c.read_exactly(4 + 296) == data[:300]
    assert not c.buffer or c.buffer[:1] != b"\x88", "no Close inside a frame"
    t.conn.send(data[300:])
    rest = c.read_exactly(len(data) - 300, 5)
    assert rest == data[300:]
    opcode, code, masked = c.read_frame(5)
    assert opcode == 8 and code[:2] == b"\x03\xf4" and not masked


def test_not_in_the_middle_of_a_frame_towards_the_worker(precise):
    f, c, t, roll = precise
    payload = os.urandom(1000)
    data = frame_bytes(2, payload, b"wxyz")
    c.send(data[:300])
    assert t.conn.read_exactly(300) == data[:300]
    roll()
    time.sleep(1.2)
    c.send(data[300:])
    assert t.conn.read_exactly(len(data) - 300, 5) == data[300:]
    opcode, code, masked = t.conn.read_frame(5)
    assert opcode == 8 and masked and code[:2] == b"\x03\xf4"


def test_not_in_the_middle_of_a_frame_header(precise):
    f, c, t, roll = precise
    data = frame_bytes(2, b"y" * 70000)
    t.conn.send(data[:5])   # of ten bytes of header
    roll()
    time.sleep(1.2)
    t.conn.send(data[5:])
    assert c.read_exactly(len(data), 5) == data
    assert c.read_frame(5)[0] == 8


def test_between_two_fragments(precise):
    """A Close may stand between the fragments of a message (RFC 6455 5.4)."""
    f, c, t, roll = precise
    first = bytes([0x02, 3]) + b"abc"   # FIN is not set
    t.conn.send(first)
    assert c.read_exactly(5) == first
    roll()
    assert c.read_frame(5)[0] == 8


def test_ten_mebibytes_while_the_deadline_fires(precise):
    """One frame of 10 MiB, read slowly, is whole or was not begun; nothing of ours is inside it."""
    f, c, t, roll = precise
    payload = os.urandom(10 << 20)
    data = frame_bytes(2, payload)
    roll()
    time.sleep(0.9)

    def send():
        try:
            t.conn.timeout = 10
            t.conn.send(data)
        except OSError:
            pass  # it is cut when the second after the Close has passed
    thread = threading.Thread(target=send)
    thread.start()
    got = bytearray()
    c.sock.settimeout(10)
    try:
        while len(got) < len(data):
            piece = c.sock.recv(min(65536, len(data) - len(got)))
            if not piece:
                break
            got += piece
            time.sleep(0.003)
    except ConnectionResetError:
        pass
    thread.join()
    if got[:1] == b"\x88":
        assert got[2:4] == b"\x03\xf4"  # the Close came before the frame began
    else:
        assert bytes(got) == data[:len(got)], "payload is corrupted"
        assert len(got) == len(data), "cut in the middle of a frame that was being read: %d of %d" % (len(got), len(data))
        assert c.read_frame(5)[0] == 8


def test_other_side_still_sends_after_the_close(precise):
    """What the worker sends after our Close is not passed on: nothing may follow a Close."""
    f, c, t, roll = precise
    roll()
    assert c.read_frame(5)[0] == 8
    try:
        t.conn.send(frame_bytes(1, b"too late"))
    except OSError:
        pass
    assert c.read_all(5) == b""


def test_request_in_flight_of_a_pinned_client_at_the_deadline(faucet):
    f, ws = start(faucet, drain_timeout="500ms")
    f.reload({"apps": {"a": backend(gen=2, drain_timeout="500ms", **STICKY), "b": backend()}})
    assert ws.close_code(5) == 1012
    c = hold(f, "one")
    f.file("one.go")
    assert c.read_response().status == 200
    assert send_request(c, "/a/me") and cookie_of(c.read_response())

