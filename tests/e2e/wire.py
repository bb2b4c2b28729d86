"""Bytes of HTTP/1.1 on a socket, read strictly: what a test client and a test server have in common.

Nothing here is lenient: a reply that a careful client would refuse raises, so that faucet's own output is checked by every test.
"""
import re
import socket
import struct
import time

TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class ProtocolError(AssertionError):
    """The peer sent something that HTTP/1.1 forbids, or closed too early."""


class Headers(list):
    """(name, value) pairs in the order of the wire."""

    def all(self, name):
        return [v for n, v in self if n.lower() == name.lower()]

    def get(self, name, default=None):
        values = self.all(name)
        return ", ".join(values) if values else default

    def __contains__(self, name):
        return bool(self.all(name)) if isinstance(name, str) else super().__contains__(name)


class Message:
    """A request or a reply; `raw` is its head as it came."""

    def __init__(self, raw):
        self.raw = raw
        self.body = b""
        self.trailers = Headers()
        self.interim = []
        self.chunks = []
        self.framing = None
        lines = raw[:-4].split(b"\r\n")
        if any(b"\n" in x or b"\r" in x for x in lines):
            raise ProtocolError("bare CR or LF in a head: %r" % raw)
        self.start = lines[0].decode("latin-1")
        self.headers = parse_fields(lines[1:])

    def __getitem__(self, name):
        return self.headers.get(name)

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")


class Request(Message):
    def __init__(self, raw):
        super().__init__(raw)
        self.method, self.target, self.version = self.start.split(" ")
        self.path = self.target.partition("?")[0]


class Response(Message):
    def __init__(self, raw):
        super().__init__(raw)
        m = re.match(r"HTTP/1\.([01]) (\d{3}) ?(.*)\Z", self.start)
        if not m:
            raise ProtocolError("status line %r" % self.start)
        self.version, self.status, self.reason = "1." + m[1], int(m[2]), m[3]

    def __repr__(self):
        return "<Response %d %r %r>" % (self.status, list(self.headers), self.body[:300])


def parse_fields(lines):
    fields = Headers()
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name):
            raise ProtocolError("header line %r" % line)
        fields.append((name.decode("latin-1"), value.strip(b" \t").decode("latin-1")))
    return fields


class Wire:
    """A connected socket with a read buffer. Every read has a deadline in seconds and raises TimeoutError after it."""

    def __init__(self, sock, timeout=20.0):
        self.sock = sock
        self.timeout = timeout
        self.buffer = bytearray()
        self.received = bytearray()
        self.eof = False
        self.keep = True  # remember all that was received; off for large bodies

    # -- out
    def send(self, *parts):
        self.sock.settimeout(self.timeout)
        for part in filter(None, parts):
            self.sock.sendall(part.encode("latin-1") if isinstance(part, str) else part)
        return self

    def shutdown(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        try:
            self.sock.close()
        except OSError:
            pass

    def reset(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    # -- in
    def fill(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("nothing more in time; so far %r" % bytes(self.buffer[-500:]))
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(262144)
        except socket.timeout:
            raise TimeoutError("nothing more in time; so far %r" % bytes(self.buffer[-500:])) from None
        if not data:
            self.eof = True
            return False
        self.buffer += data
        if self.keep:
            self.received += data
        return True

    def _deadline(self, timeout):
        return time.monotonic() + (self.timeout if timeout is None else timeout)

    def take(self, n):
        out = bytes(self.buffer[:n])
        del self.buffer[:n]
        return out

    def read_exactly(self, n, timeout=None):
        deadline = self._deadline(timeout)
        while len(self.buffer) < n:
            if not self.fill(deadline):
                raise ProtocolError("closed after %d of %d bytes: %r" % (len(self.buffer), n, bytes(self.buffer[-300:])))
        return self.take(n)

    def read_until(self, mark, timeout=None, limit=4 << 20):
        deadline = self._deadline(timeout)
        seen = 0
        while True:
            at = self.buffer.find(mark, max(0, seen - len(mark)))
            if at >= 0:
                return self.take(at + len(mark))
            seen = len(self.buffer)
            if seen > limit:
                raise ProtocolError("no %r within %d bytes" % (mark, limit))
            if not self.fill(deadline):
                raise ProtocolError("closed before %r: %r" % (mark, bytes(self.buffer[-300:])))

    def read_all(self, timeout=None):
        """Everything until the peer closes (a reset counts as that)."""
        deadline = self._deadline(timeout)
        try:
            while self.fill(deadline):
                pass
        except ConnectionResetError:
            self.eof = True
        return self.take(len(self.buffer))

    def wait_eof(self, timeout=None):
        """True when the peer closes without another byte."""
        return self.read_all(timeout) == b""

    def quiet(self, seconds):
        """True when nothing (no byte, no close) comes for that long."""
        try:
            self.fill(time.monotonic() + seconds)
            return False
        except TimeoutError:
            return not self.buffer

    def read_head(self, timeout=None):
        return self.read_until(b"\r\n\r\n", timeout)

    def read_chunk(self, timeout=None):
        """One chunk's data; b"" is the last one (trailers are not read)."""
        line = self.read_until(b"\r\n", timeout)[:-2]
        if not re.match(rb"[0-9A-Fa-f]{1,16}\Z", line):
            raise ProtocolError("chunk size line %r" % line)
        n = int(line, 16)
        if n == 0:
            return b""
        data = self.read_exactly(n, timeout)
        if self.read_exactly(2, timeout) != b"\r\n":
            raise ProtocolError("no CRLF after a chunk")
        return data

    def read_trailers(self, timeout=None):
        lines = []
        while True:
            line = self.read_until(b"\r\n", timeout)[:-2]
            if not line:
                return parse_fields(lines)
            lines.append(line)

    def read_chunked(self, message, timeout=None):
        while True:
            data = self.read_chunk(timeout)
            if not data:
                break
            message.chunks.append(data)
        message.trailers = self.read_trailers(timeout)
        message.body = b"".join(message.chunks)

    # -- WebSocket frames
    def read_frame(self, timeout=None):
        """(opcode, payload, whether it was masked)"""
        first, second = self.read_exactly(2, timeout)
        n = second & 127
        if n >= 126:
            n = int.from_bytes(self.read_exactly(2 if n == 126 else 8, timeout), "big")
        mask = self.read_exactly(4, timeout) if second & 128 else b"\0\0\0\0"
        payload = self.read_exactly(n, timeout)
        if mask != b"\0\0\0\0":
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")).to_bytes(n, "big")
        return first & 15, payload, bool(second & 128)

    def send_frame(self, opcode, payload=b"", mask=None):
        """A final frame; mask: four bytes, where a client sends."""
        return self.send(frame_bytes(opcode, payload, mask))

    def framing(self, message):
        te, cl = message.headers.all("transfer-encoding"), message.headers.all("content-length")
        if te and cl or len(te) > 1 or len(cl) > 1:
            raise ProtocolError("ambiguous framing: %r" % message.raw)
        if te:
            if te[0] != "chunked":
                raise ProtocolError("Transfer-Encoding: %s" % te[0])
            return "chunked"
        if cl:
            if not re.match(r"(0|[1-9][0-9]*)\Z", cl[0]):
                raise ProtocolError("Content-Length: %r" % cl[0])
            return int(cl[0])
        return None

    def read_request(self, timeout=None, body=True):
        request = Request(self.read_head(timeout))
        request.framing = self.framing(request)
        if body:
            self.read_request_body(request, timeout)
        return request

    def read_request_body(self, request, timeout=None):
        if request.framing == "chunked":
            self.read_chunked(request, timeout)
        elif request.framing:
            request.body = self.read_exactly(request.framing, timeout)

    def read_response(self, method="GET", timeout=None, body=True):
        """The final reply; 1xx replies before it are in .interim. A 101 is final. body=False leaves the body on the wire."""
        interim = []
        while True:
            response = Response(self.read_head(timeout))
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        response.framing = self.framing(response)
        if response.status == 101 or method == "HEAD" or response.status in (204, 304):
            return response
        if body:
            if response.framing == "chunked":
                self.read_chunked(response, timeout)
            elif response.framing is not None:
                response.body = self.read_exactly(response.framing, timeout)
            else:
                response.body = self.read_all(timeout)
        return response


def frame_bytes(opcode, payload=b"", mask=None):
    payload = payload.encode() if isinstance(payload, str) else payload
    n, bit = len(payload), 128 if mask else 0
    head = bytes([128 | opcode])
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + n.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + n.to_bytes(8, "big")
    if mask:
        payload = (int.from_bytes(payload, "big") ^ int.from_bytes((mask * (n // 4 + 1))[:n], "big")).to_bytes(n, "big")
    return head + (mask or b"") + payload


def until(condition, timeout=10.0, what=None, step=0.02):
    """Polls until condition() is true and returns its value; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not in %.1f s: %s" % (timeout, what or getattr(condition, "__name__", condition)))
        time.sleep(step)
