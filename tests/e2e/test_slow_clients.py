"""A thousand clients that send a byte a second, or read one, and an app that takes one request at a time: others do not notice."""
import json
import statistics
import threading
import time

import pytest

from faucet import APPS, MEMORY_ROOM, upstream
from wire import until

CLIENTS = 1000


@pytest.fixture(scope="module")
def f(module_faucet):
    return module_faucet({"timeouts": {"header": "60s"}, "apps": {"p": {"dir": APPS + "/plumber", "type": "plumber", "queue": {"size": 500}}}})


def latency(f, n=40):
    c = f.client()
    times = []
    for i in range(n):
        began = time.monotonic()
        c.send("GET /p/echo?msg=%d HTTP/1.1\r\nHost: x\r\n\r\n" % i)
        assert json.loads(c.read_response().body)["msg"] == str(i)
        times.append(time.monotonic() - began)
    c.close()
    return times


class Drip(threading.Thread):
    """Sends each client a byte more, or reads one, once a second."""

    def __init__(self, clients, step):
        super().__init__(daemon=True)
        self.clients, self.step, self.stopped, self.rounds = clients, step, threading.Event(), 0

    def run(self):
        while not self.stopped.is_set():
            began = time.monotonic()
            for c in self.clients:
                if self.stopped.is_set():
                    return
                try:
                    self.step(c)
                except OSError:
                    pass
            self.rounds += 1
            self.stopped.wait(max(0, 1 - (time.monotonic() - began)))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.join(10)


def compare(f, clients, step):
    latency(f, 5)
    before = latency(f)
    with Drip(clients, step) as drip:
        until(lambda: drip.rounds >= 1, 20)
        during = latency(f, 100)
    assert statistics.median(during) < max(5 * statistics.median(before), 0.05), "median %.1f ms, before %.1f ms" % (
        statistics.median(during) * 1e3, statistics.median(before) * 1e3)
    assert sorted(during)[-3] < 1.0, "slowest %s" % sorted(during)[-5:]


def test_clients_that_send_a_byte_a_second(f):
    clients = []
    for i in range(CLIENTS):
        c = f.client()
        head = "POST /p/size HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\n"
        c.send(head if i % 2 else head[:40])
        clients.append(c)
    held = f.rss_anon()
    compare(f, clients, lambda c: c.send("x"))
    assert held < (100 << 20) + MEMORY_ROOM
    for c in clients:
        c.reset()


def test_clients_that_read_a_byte_a_second(faucet, origin):
    """A reply of 300 KB each; one worker connection at a time gives them all away."""
    o = origin()
    o.reply("/big", "200 OK", b"z" * 300000)
    f = faucet({"timeouts": {"write": "60s"}, "apps": {"p": {"dir": APPS + "/plumber", "type": "plumber"},
                                                     "one": upstream(o, concurrency=1, queue={"size": 2000, "timeout": "60s"})}}, origins=[o])
    clients = []
    for _ in range(CLIENTS):
        c = f.client(rcvbuf=2304)
        c.send("GET /one/big HTTP/1.1\r\nHost: x\r\n\r\n")
        clients.append(c)
    until(lambda: len(o.seen("/big")) >= CLIENTS, 40, "every reply was taken from the worker, though nobody reads")
    began = time.monotonic()
    assert f.get("/one/other").status == 200
    assert time.monotonic() - began < 2
    compare(f, clients, lambda c: c.sock.recv(1))
    for c in clients:
        c.reset()
    until(lambda: f.descriptors() < 200, 15, "all is given back")


def test_slow_readers_of_the_plumber_app_itself(f):
    clients = []
    for _ in range(200):
        c = f.client(rcvbuf=2304)
        c.send("GET /p/echo?msg=%s HTTP/1.1\r\nHost: x\r\n\r\n" % ("m" * 20000))
        clients.append(c)
    compare(f, clients, lambda c: c.sock.recv(1))
    for c in clients:
        c.reset()


def test_connections_that_say_nothing(f):
    clients = [f.client() for _ in range(CLIENTS)]
    compare(f, clients[:1], lambda c: None)
    for c in clients:
        c.close()
