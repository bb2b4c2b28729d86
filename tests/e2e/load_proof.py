#!/usr/bin/python3
"""A fast client that writes down every reply it received whole: one process, epoll, kept-alive connections, some of them pipelining.

    load_proof.py '{"port": 3838, "count": 200000, "seed": 1, "out": "/tmp/x", "connections": 48}'

It prints `reached` when `count` replies are there, goes on until standard input ends, lets what is under way finish and prints a report as JSON.
A connection that is refused, reset or closed is made again; requests on it that had no whole reply are counted as cut and asked no more.
A line of `out`: token, request uuid, app, method, path, status, sent, received (CLOCK_MONOTONIC), name of the cookie that was set or `-`.

The apps are those of apps/quick.py: /a/, /b/ and /c/; every body says whose it is and which token it answers. /none/ is nobody's.
"""
import json
import random
import re
import select
import socket
import struct
import sys
import time

UUID = re.compile(rb"\r\nfaucet-request-uuid: ([0-9a-f-]{36})(?:\r\n|\Z)", re.I)
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)(?:\r\n|\Z)", re.I)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: chunked(?:\r\n|\Z)", re.I)
COOKIE = re.compile(rb"\r\nset-cookie: ([A-Za-z0-9_]+)=", re.I)
KINDS = [  # weight, app, method, path, bytes of body, depth-1 connections only
    (400, "a", "GET", "/q", 0, False), (80, "a", "GET", "/c", 0, False), (20, "a", "POST", "/q", 3000, False), (400, "b", "GET", "/q", 0, False),
    (20, "b", "HEAD", "/q", 0, False), (10, "b", "GET", "/big", 0, False), (40, "none", "GET", "/q", 0, False),
    (10, "a", "CLOSE", "/q", 0, True), (5, "b", "LEAVE", "/big", 0, True),
    (1, "c", "REST", "/huge", 0, True),  # does not read for a while: the reply's end waits in faucet
    (1, "c", "STALL", "/q", 3000, True),  # half of the body: 408 after a while
]
WAIT = 0.03  # before another try: refused, or no worker
REST = 0.4


class Connection:
    def __init__(self, number, depth):
        self.number, self.depth = number, depth
        self.sock, self.data, self.pending, self.n, self.life = None, b"", [], 0, 0


class Client:
    def __init__(self, port, count, seed, out, connections=48, host="127.0.0.1"):
        self.address, self.count, self.out = (host, port), count, out
        self.random = random.Random(seed)
        self.poll = select.epoll()
        self.all = [Connection(i, (1, 4, 16)[i % 3]) for i in range(connections)]
        self.by_fd, self.waiting, self.resting = {}, [(0.0, c) for c in self.all], []
        self.lines, self.whole, self.cut, self.left, self.wrong, self.statuses = [], 0, 0, 0, [], {}
        self.refused, self.stopping, self.announced = 0, False, False
        self.menu = {}
        for depth in (1, 4, 16):
            kinds = [k for k in KINDS if depth == 1 or not k[5]]
            self.menu[depth] = (kinds, [k[0] for k in kinds])

    # -- one connection
    def open(self, c):
        c.sock, c.data, c.pending, c.life = socket.socket(), b"", [], c.life + 1
        try:
            c.sock.connect(self.address)
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self.refused += 1
            c.sock.close()
            c.sock = None
            self.waiting.append((time.monotonic() + WAIT, c))
            return False
        self.by_fd[c.sock.fileno()] = c
        self.poll.register(c.sock, select.EPOLLIN)
        return True

    def close(self, c, wait=0.0, reset=False):
        self.cut += len(c.pending)
        c.pending = []
        del self.by_fd[c.sock.fileno()]
        if reset:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        c.sock.close()  # epoll forgets it by itself
        c.sock = None
        self.waiting.append((time.monotonic() + wait, c))

    def ask(self, c):
        """As many requests as the connection pipelines, in one write."""
        if self.stopping or (c.sock is None and not self.open(c)):
            return
        kinds, weights = self.menu[c.depth]
        asked, leave, rest = [], False, False
        for _, app, method, path, body, _ in self.random.choices(kinds, weights, k=c.depth):
            c.n += 1
            token, more = "%d-%d-%d" % (c.number, c.life, c.n), ""
            if method == "CLOSE":
                method, more = "GET", "Connection: close\r\n"
            elif method == "LEAVE":
                method, leave = "GET", True
            elif method == "REST":
                method, rest = "GET", True
            stall = method == "STALL"
            if stall:
                method = "POST"
            if body:
                more += "Content-Length: %d\r\n" % body
            asked.append("%s /%s%s?n=%s HTTP/1.1\r\nHost: localhost\r\n%s\r\n%s" % (method, app, path, token, more, "u" * (body // 2 if stall else body)))
            c.pending.append((token, app, method, path))
        c.sent = time.monotonic()
        try:
            c.sock.sendall("".join(asked).encode())
        except OSError:
            self.close(c, WAIT)
            return
        if leave:
            self.left += 1
            c.pending = []
            self.close(c, reset=True)
        elif rest:
            self.poll.unregister(c.sock)
            self.resting.append((c.sent + REST, c, c.life))

    def wake(self, now):
        """Those that have rested read again."""
        due = [r for r in self.resting if r[0] <= now]
        self.resting = [r for r in self.resting if r[0] > now]
        for _, c, life in due:
            if c.sock is not None and c.life == life:
                self.poll.register(c.sock, select.EPOLLIN)

    def read(self, c):
        try:
            more = c.sock.recv(262144, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # the event was of another connection that had this descriptor
        except OSError:
            more = b""
        now = time.monotonic()
        c.data += more
        wait = self.replies(c, now) if more else 0.0
        if not more:
            self.close(c, WAIT if c.pending else 0.0)
        elif not c.pending:
            if wait:
                self.waiting.append((now + wait, c))
            else:
                self.ask(c)

    def replies(self, c, now):
        """Notes those that are whole; how long to wait before asking again."""
        at, data, wait = 0, c.data, 0.0
        while c.pending:
            end = data.find(b"\r\n\r\n", at)
            if end < 0:
                break
            token, app, method, path = c.pending[0]
            status = int(data[at + 9:at + 12])
            body = end + 4
            found = LENGTH.search(data, at, end)
            if status < 200:
                at = body
                continue
            if method == "HEAD":
                text, next_ = None, body
            elif found:
                next_ = body + int(found[1])
                if len(data) < next_:
                    break
                text = data[body:body + 60]
            elif CHUNKED.search(data, at, end):
                text, next_ = self.chunks(data, body)
                if text is None:
                    break
            else:
                self.wrong.append("no framing: %r" % data[at:body])
                next_, text = len(data), None
            uuid, cookie = UUID.search(data, at, end), COOKIE.search(data, at, end)
            if status == 200 and text is not None and not text.startswith(b"%s %s\n" % (app.encode(), token.encode())):
                self.wrong.append("%s /%s%s?n=%s got the body %r" % (method, app, path, token, text))
            if not uuid:
                self.wrong.append("no Faucet-Request-Uuid: %r" % data[at:body])
            else:
                self.lines.append("%s %s %s %s %s %d %.6f %.6f %s\n" % (token, uuid[1].decode(), app, method, path, status, c.sent, now,
                                                                        cookie[1].decode() if cookie else "-"))
            self.whole += 1
            self.statuses[status] = self.statuses.get(status, 0) + 1
            if status >= 500:
                wait = WAIT
            c.pending.pop(0)
            at = next_
        c.data = data[at:]
        return wait

    @staticmethod
    def chunks(data, at):
        """The text and where it ends, or None: not all of it is there."""
        text = b""
        while True:
            line = data.find(b"\r\n", at)
            if line < 0:
                return None, at
            size = int(data[at:line], 16)
            at = line + 2 + size + 2
            if len(data) < at:
                return None, at
            if size == 0:
                return text, at
            text += data[line + 2:line + 2 + size]

    # -- all of them
    def run(self):
        self.poll.register(sys.stdin, select.EPOLLIN)
        began = time.monotonic()
        stopped = None
        while not self.stopping or (any(c.pending for c in self.all) and time.monotonic() < stopped + 20):
            if self.waiting and not self.stopping:
                now, due = time.monotonic(), self.waiting
                self.waiting = [w for w in due if w[0] > now]
                for when, c in due:
                    if when <= now:
                        self.ask(c)
            self.wake(time.monotonic())
            for fd, _ in self.poll.poll(0.005 if self.waiting or self.resting else 1.0):
                if fd == sys.stdin.fileno():
                    self.poll.unregister(fd)
                    self.stopping, stopped = True, time.monotonic()
                elif fd in self.by_fd:
                    self.read(self.by_fd[fd])
            if self.whole >= self.count and not self.announced:
                self.announced = True
                print("reached", flush=True)
        hanging = ["%s of %d s ago" % (c.pending[0], time.monotonic() - c.sent) for c in self.all if c.pending]
        with open(self.out, "w") as f:
            f.writelines(self.lines)
        return {"whole": self.whole, "cut": self.cut, "left": self.left, "refused": self.refused, "wrong": self.wrong[:20], "hanging": hanging,
                "statuses": self.statuses, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    print(json.dumps(Client(**json.loads(sys.argv[1])).run()))
