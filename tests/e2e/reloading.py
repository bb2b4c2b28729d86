"""What the tests of reload have in common: what a daemon looks like from outside, WebSockets that say who serves them, and traffic that counts errors."""
import base64
import json
import os
import threading
import time

import processes
from faucet import APPS, PYTHON
from faucet import backend as plain_backend
from wire import ProtocolError, frame_bytes


def backend(*more, gen=None, **settings):
    """A command app on apps/backend.py; gen= is a process key whose value /me shows."""
    if gen is not None:
        settings["env"] = {**settings.get("env", {}), "GEN": str(gen)}
    return plain_backend(*more, **settings)


def tiny(gen=0, **settings):
    """A command app that starts in no time and answers `PID GEN`."""
    return {"command": [PYTHON, "-I", "-S", os.path.join(APPS, "tiny.py"), "{socket}"], "env": {"GEN": str(gen)}, **settings}


def me(f, app="a", cookie=None, path=None, **kwargs):
    """What the worker says of itself; `gen` is $GEN."""
    response = f.get((path or "/%s/" % app) + "me", {"Cookie": cookie} if cookie else {}, **kwargs)
    assert response.status == 200, response
    said = json.loads(response.body)
    response.gen, response.worker, response.pid, response.cwd = said["gen"], said["worker"], said["pid"], said["cwd"]
    return response


def gen(f, app="a", cookie=None, path=None):
    return me(f, app, cookie, path).gen


def cookie_of(response, name="FAUCET_LB_COOKIE"):
    for value in response.headers.all("Set-Cookie"):
        if value.startswith(name + "="):
            return value.partition(";")[0]
    return None


def fresh_cookie(f, app="a"):
    cookie = cookie_of(f.get("/%s/x" % app))
    assert cookie, "no cookie from an app with cookie-hash"
    return cookie


def send_request(c, target, more="", host="x"):
    c.send("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (target, host, more))
    return c


class Socket:
    """A WebSocket to /APP/ws, opened with a cookie."""

    def __init__(self, f, app="a", cookie=None, path=None, timeout=20.0, rcvbuf=None):
        self.wire = f.client(timeout, rcvbuf=rcvbuf)
        self.wire.keep = False
        key = base64.b64encode(os.urandom(16)).decode()
        self.wire.send("GET %sws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: %s\r\n%s\r\n" % (path or "/%s/" % app, key, "Cookie: %s\r\n" % cookie if cookie else ""))
        self.response = self.wire.read_response()
        assert self.response.status == 101, self.response
        self.cookie = cookie or cookie_of(self.response)

    def ask(self, text, timeout=None):
        self.wire.send_frame(1, text, mask=os.urandom(4))
        opcode, payload, masked = self.wire.read_frame(timeout)
        assert not masked, "a server does not mask"
        if opcode == 8:
            raise ProtocolError("Close %d" % int.from_bytes(payload[:2], "big"))
        return payload.decode()

    def pid(self):
        return int(self.ask("pid"))

    def alive(self):
        return self.ask("still there?") == "still there?"

    def close_code(self, timeout=None):
        """Waits for the Close; its code."""
        opcode, payload, masked = self.wire.read_frame(timeout)
        assert opcode == 8 and not masked, (opcode, payload[:50])
        return int.from_bytes(payload[:2], "big")

    def close(self):
        try:
            self.wire.send(frame_bytes(8, b"\x03\xe8", b"\1\2\3\4"))
            self.wire.read_all(5)
        except (OSError, TimeoutError):
            pass
        self.wire.close()


def settled(f, apps, timeout=10.0, like=None):
    """Waits until nothing starts or stops, then the daemon as it looks from outside; equal before and after what must not change anything.
    like: waits until it looks like that again (a busy machine takes its time to end a process), or the time is over."""
    deadline, before = time.monotonic() + timeout, None
    while time.monotonic() < deadline:
        now = look(f, apps)
        if now == before and like in (None, now):
            return now
        before = now
        time.sleep(0.15)
    if like is not None:
        return before
    raise AssertionError("it does not come to rest: %s" % before)


def look(f, apps):
    return {"workers": {a: f.worker_pids(app=a) for a in apps}, "tree": sorted(f.tree()), "files": sorted(f.leftovers()),
            "listening": sorted(processes.listening(f.port)), "descriptors": f.descriptors()}


class Traffic:
    """Keep-alive and fresh connections that ask all the time, in threads. `with Traffic(f, ["/a/x"]) as t: …`; then t.errors is empty."""

    def __init__(self, f, targets, keep=4, fresh=2, headers=None):
        self.f, self.targets, self.stopped = f, targets, threading.Event()
        self.errors, self.count, self.slowest, self.seen = [], 0, 0.0, set()
        self.headers = headers or {}
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._guard, args=(fn, i), daemon=True) for fn, n in ((self._keep, keep), (self._fresh, fresh))
                        for i in range(n)]

    def _guard(self, fn, i):
        n = 0
        while not self.stopped.is_set():
            try:
                fn(i + n)
            except Exception as e:  # whatever goes wrong is what is counted
                with self.lock:
                    self.errors.append("%s: %r" % (fn.__name__.strip("_"), e))
                time.sleep(0.01)
            n += 1

    def _took(self, response, began):
        with self.lock:
            self.count += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.seen.add(bytes(response.body[:200]) if len(response.body) < 200 else b"")
            if response.status != 200:
                self.errors.append("status %d %r" % (response.status, response.body[:200]))

    def _keep(self, i):
        c = self.f.client()
        c.keep = False
        lines = "".join("%s: %s\r\n" % h for h in self.headers.items())
        while not self.stopped.is_set():
            i += 1
            began = time.monotonic()
            send_request(c, self.targets[i % len(self.targets)], lines)
            self._took(c.read_response(), began)
        c.close()

    def _fresh(self, i):
        began = time.monotonic()
        self._took(self.f.get(self.targets[i % len(self.targets)], self.headers), began)

    def __enter__(self):
        [t.start() for t in self.threads]
        return self

    def __exit__(self, *exc):
        self.stopped.set()
        [t.join(30) for t in self.threads]
        if exc[0] is None:
            assert not self.errors, "%d errors of %d: %s" % (len(self.errors), self.count, self.errors[:5])
            assert self.count > 0
