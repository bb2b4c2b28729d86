"""A server whose every move a test decides: it lives in the test process (as an `upstream` app) or in a worker (apps/backend.py).

Each connection has a thread. A path may have a handler; `handler(conn, request)` is called with the head read and the body not. It
sends what it likes and returns None to go on with the next request, or CLOSE. `take(path)` hands a connection to the test instead.
Paths without a handler answer 200 with a JSON description of the request, so that probes are content.
"""
import collections
import json
import os
import queue
import socket
import threading

from wire import ProtocolError, Wire, until

CLOSE = "close"


class Conn(Wire):
    def __init__(self, sock, number):
        super().__init__(sock, timeout=60.0)
        self.number = number
        self.done = threading.Event()  # a taken connection is finished with

    def reply(self, status="200 OK", body=b"", *headers, length=True):
        body = body.encode() if isinstance(body, str) else body
        lines = ["HTTP/1.1 " + status, *headers]
        if length:
            lines.append("Content-Length: %d" % len(body))
        self.send("\r\n".join(lines) + "\r\n\r\n", body)


class Taken:
    """A request handed to the test, with its connection. Leave with `finish()` (the connection closes) or `next()` (it goes on)."""

    def __init__(self, conn, request):
        self.conn, self.request = conn, request
        self.outcome = None

    def finish(self):
        self.outcome = CLOSE
        self.conn.close()
        self.conn.done.set()

    def next(self):
        self.conn.done.set()


def describe(conn, request):
    return {
        "start": request.start, "method": request.method, "target": request.target, "path": request.path,
        "headers": [[n, v] for n, v in request.headers], "body": request.body[:65536].decode("latin-1"),
        "length": len(request.body), "framing": request.framing, "trailers": [[n, v] for n, v in request.trailers],
        "connection": conn.number, "pid": os.getpid(), "worker": os.environ.get("FAUCET_WORKER_ID"),
    }


class Origin:
    def __init__(self, path=None, port=0, host="127.0.0.1", backlog=2048):
        self.path, self.host, self.port, self.backlog = path, host, port, backlog
        self.handlers = {}
        self.taken = {}
        self.lock = threading.Lock()
        self.conns = {}
        self.requests = []      # (path, Request, conn number), heads as soon as they are read
        self.accepted = 0
        self.broken = []        # what did not parse: ours to report
        self.transcripts = collections.OrderedDict()   # conn number → the Conn, for .received
        self.up()

    @property
    def address(self):
        if self.path:
            return "unix:" + self.path
        return ("[%s]:%d" if ":" in self.host else "%s:%d") % (self.host, self.port)

    # -- listening
    def up(self):
        if self.path:
            self.listener = socket.socket(socket.AF_UNIX)
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.listener.bind(self.path)
        else:
            self.listener = socket.socket(socket.AF_INET6 if ":" in self.host else socket.AF_INET)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind((self.host, self.port))
            self.port = self.listener.getsockname()[1]
        self.listener.listen(self.backlog)
        self.thread = threading.Thread(target=self._accept, args=(self.listener,), daemon=True)
        self.thread.start()

    def down(self):
        """Stops listening and drops every connection."""
        listener, self.listener = self.listener, None
        if listener is None:
            return
        listener.shutdown(socket.SHUT_RDWR)
        self.thread.join(5)
        listener.close()
        self.drop()

    def drop(self):
        """Closes every connection."""
        with self.lock:
            conns = list(self.conns.values())
        for conn in conns:
            try:
                conn.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.down()
        if self.path and os.path.exists(self.path):
            os.unlink(self.path)
        for waiting in self.taken.values():
            while not waiting.empty():
                waiting.get().finish()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.accepted += 1
                conn = Conn(sock, self.accepted)
                self.conns[conn.number] = conn
                self.transcripts[conn.number] = conn
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        try:
            while True:
                if not conn.buffer:
                    try:
                        conn.timeout = 600
                        if not conn.fill(conn._deadline(None)):
                            return
                    finally:
                        conn.timeout = 60
                request = conn.read_request(body=False)
                with self.lock:
                    self.requests.append((request.path, request, conn.number))
                handler = self.handlers.get(request.path, self.default)
                if handler(conn, request) == CLOSE:
                    return
        except ProtocolError as e:
            if not str(e).startswith("closed "):      # a client that leaves cuts its request short: no fault of form
                self.broken.append("%s; all: %r" % (e, bytes(conn.received[-2000:])))
        except (OSError, TimeoutError, ValueError):
            pass
        finally:
            with self.lock:
                self.conns.pop(conn.number, None)
            conn.close()

    def default(self, conn, request):
        conn.read_request_body(request)
        body = json.dumps(describe(conn, request)).encode()
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        conn.send(head, b"" if request.method == "HEAD" else body)

    # -- what tests say
    def on(self, path, handler):
        self.handlers[path] = handler

    def reply(self, path, status="200 OK", body=b"", *headers):
        """A canned reply, after the body was read."""
        def canned(conn, request):
            conn.read_request_body(request)
            conn.reply(status, b"" if request.method == "HEAD" else body, *headers)
        self.on(path, canned)

    def raw(self, path, data, after=None):
        """Exactly these bytes, after the body was read; after=CLOSE closes then."""
        def canned(conn, request):
            conn.read_request_body(request)
            conn.send(data)
            return after
        self.on(path, canned)

    def hold(self, path):
        """From now on requests for path wait to be taken by `take`."""
        self.taken.setdefault(path, queue.Queue())

        def handler(conn, request):
            mine = Taken(conn, request)
            conn.done.clear()
            self.taken[path].put(mine)
            conn.done.wait(120)
            return mine.outcome
        self.on(path, handler)
        return self

    def take(self, path, timeout=15.0):
        if path not in self.taken:
            self.hold(path)
        try:
            return self.taken[path].get(timeout=timeout)
        except queue.Empty:
            raise AssertionError("no request for %s reached the backend in %.0f s" % (path, timeout)) from None

    def seen(self, path):
        with self.lock:
            return [r for p, r, _ in self.requests if p == path]

    def wait_seen(self, path, n=1, timeout=15.0):
        until(lambda: len(self.seen(path)) >= n, timeout, "%d requests for %s at the backend" % (n, path))
        return self.seen(path)

    def connections(self, path):
        with self.lock:
            return [c for p, _, c in self.requests if p == path]

    def bytes_of(self, path):
        """What came over the connections that carried a request for path, whole."""
        return [bytes(self.transcripts[c].received) for c in sorted(set(self.connections(path)))]
