"""Stopping: graceful with a deadline and a word on what it waits for; at once on the second signal."""
import os
import signal
import time

import pytest

import processes
from faucet import backend, free_port, upstream
from test_websocket import SWITCH, frame, handshake, read_frame
from wire import ProtocolError, until


def holding(faucet, origin, **settings):
    o = origin(path="/tmp/o%d.sock" % free_port())
    o.hold("/x")
    f = faucet({"shutdown": {"mode": "graceful", "timeout": "20s"}, **settings, "apps": {"sales": upstream(o)}}, origins=[o])
    c = f.client()
    c.send("GET /sales/x HTTP/1.1\r\nHost: x\r\n\r\n")
    return f, c, o.take("/x")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_idle_daemon_stops_at_once(faucet, number):
    f = faucet({"apps": {"a": backend()}})
    began = time.monotonic()
    f.signal(number)
    assert f.wait_exit() == 0
    assert time.monotonic() - began < 5


def test_graceful_lets_exchanges_finish(faucet, origin):
    f, c, t = holding(faucet, origin)
    idle = f.client()
    idle.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
    idle.read_response()
    f.signal(signal.SIGTERM)
    assert idle.wait_eof(5), "idle connections are closed"
    f.log_contains(r"(?i)wait\w*.*(sales|requests: 1)")
    assert f.running

    def refused():
        try:
            f.client().close()
            return False
        except ConnectionRefusedError:
            return True
    until(refused, 5, "no new connection is taken")
    t.conn.reply("200 OK", "finished")
    t.next()
    r = c.read_response()
    assert r.body == b"finished"
    assert f.wait_exit() == 0


def test_reply_during_the_drain_says_close(faucet, origin):
    f, c, t = holding(faucet, origin)
    f.signal(signal.SIGTERM)
    f.log_contains(r"(?i)wait")
    t.conn.reply("200 OK", "x" * 10)
    t.next()
    r = c.read_response()
    assert "close" in (r["Connection"] or "").lower()
    assert c.wait_eof(5)
    assert f.wait_exit() == 0


def test_deadline(faucet, origin):
    f, c, t = holding(faucet, origin, shutdown={"timeout": "1s"})
    began = time.monotonic()
    f.signal(signal.SIGTERM)
    assert f.wait_exit() == 0
    assert 0.8 < time.monotonic() - began < 6
    with pytest.raises((ProtocolError, ConnectionResetError)):
        r = c.read_response(timeout=5)
        assert r.status == 503
        raise ProtocolError("answered with 503, as good")
    t.finish()


def test_second_signal_stops_now(faucet, origin):
    f, c, t = holding(faucet, origin)
    f.signal(signal.SIGTERM)
    f.log_contains(r"(?i)wait")
    began = time.monotonic()
    f.signal(signal.SIGTERM)
    assert f.wait_exit() == 0
    assert time.monotonic() - began < 5
    t.finish()


def test_second_signal_with_a_stubborn_worker(faucet):
    f = faucet({"timeouts": {"stop": "30s"}, "apps": {"a": backend("noterm")}})
    pid = f.worker_pids("backend.py")[0]
    f.signal(signal.SIGTERM)
    f.log_contains(r"(?i)stop|wait|drain")
    began = time.monotonic()
    f.signal(signal.SIGINT)
    assert f.wait_exit() == 0
    assert time.monotonic() - began < 5 and not processes.alive(pid)


def test_immediate(faucet, origin):
    f, c, t = holding(faucet, origin, shutdown={"mode": "immediate"})
    began = time.monotonic()
    f.signal(signal.SIGTERM)
    assert f.wait_exit() == 0
    assert time.monotonic() - began < 5
    t.finish()


def test_tunnel_gets_a_close_frame(faucet, origin):
    """A graceful stop tells WebSockets 1001 (or 1012) at a frame boundary rather than dropping them."""

    o = origin(path="/tmp/o%d.sock" % free_port())
    o.hold("/ws")
    f = faucet({"shutdown": {"timeout": "2s"}, "apps": {"a": upstream(o)}}, origins=[o])
    c = f.client()
    c.send(handshake("/a/ws"))
    t = o.take("/ws")
    t.conn.send(SWITCH)
    assert c.read_response().status == 101
    t.conn.send(frame(1, b"hello", mask=False))
    assert read_frame(c) == (1, b"hello")
    f.signal(signal.SIGTERM)
    opcode, payload = read_frame(c)
    assert opcode == 8 and int.from_bytes(payload[:2], "big") in (1001, 1012)
    c.send(frame(8, payload[:2]))
    t.finish()
    assert f.wait_exit() == 0


def test_slow_reader_gets_its_reply_to_the_end(faucet, origin):
    o = origin(path="/tmp/o%d.sock" % free_port())
    o.reply("/big", "200 OK", b"b" * (8 << 20))
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    c = f.client(rcvbuf=4096)
    c.send("GET /a/big HTTP/1.1\r\nHost: x\r\n\r\n")
    r = c.read_response(body=False)
    f.signal(signal.SIGTERM)
    f.log_contains(r"(?i)wait")
    assert c.read_exactly(r.framing) == b"b" * (8 << 20)
    assert f.wait_exit() == 0


def test_stop_while_starting(faucet):
    f = faucet({"apps": {"a": backend("slow=60")}}, wait=False)
    until(lambda: f.worker_pids("backend.py"))
    began = time.monotonic()
    assert f.stop() == 0
    assert time.monotonic() - began < 8


def test_stop_during_wait_ready(faucet):
    f = faucet({"apps": {"a": backend("slow=60")}}, start=False)
    f.spawn("--wait-ready")
    until(lambda: f.worker_pids("backend.py"), 10)
    assert f.stop() == 0


def test_stop_during_back_off(faucet):
    f = faucet({"apps": {"a": backend("exit=1")}}, wait=False)
    f.log_contains(r"\ba\b.*\b1\b")
    assert f.stop() == 0


def test_signal_right_after_the_start(faucet):
    """The handlers are there before anything else: an early HUP is no death, an early TERM is a clean one."""
    f = faucet({"apps": {"a": backend()}}, start=False)
    f.spawn()
    until(lambda: "faucet" in processes.command_line(f.pid) and any(
        int(processes.status(f.pid).get(mask, "0"), 16) & (1 << (signal.SIGHUP - 1)) for mask in ("SigCgt", "SigBlk", "SigIgn")), 10,
          "a handler for HUP is set")
    f.signal(signal.SIGHUP)
    f.wait_listening()
    assert f.wait_ready("a").status == 200


def test_workers_of_a_stopped_daemon_end_with_it(faucet):
    f = faucet({"apps": {"a": backend(workers=3), "b": backend(workers=2)}})
    pids = f.worker_pids("backend.py")
    assert len(pids) == 5
    assert f.stop() == 0
    assert not [p for p in pids if processes.alive(p)]


def test_stop_is_told_in_the_log(faucet):
    f = faucet({"apps": {"a": backend()}})
    assert f.stop() == 0
    assert "SIGTERM" in f.log() or "stop" in f.log().lower()
    assert not os.path.exists(f.runtime + "/faucet/control.sock")
