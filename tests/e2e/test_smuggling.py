"""Every leniency of http-parser 2.9.4 that FACTS.md lists, sent raw: refused with a 4xx (5xx for versions and codings) and a closed
connection, or put right so that one canonical request, and nothing after it, reaches the worker.

Each case is followed by a second request for /smuggled where the framing could be read in two ways; that one must never be seen by
the worker unless the first reading is the only possible one.
"""
import pytest

from faucet import free_port, upstream
from wire import ProtocolError, Request

REFUSE, RIGHT, EITHER = "refused", "put right", "either"

SMUGGLED = b"GET /a/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def req(head, body=b"", line=b"POST /a/x HTTP/1.1", host=b"Host: x\r\n"):
    head = head.encode("latin-1") if isinstance(head, str) else head
    return line + b"\r\n" + host + head + b"\r\n" + body


def chunked(data):
    return req(CHUNKED, data)


CASES = {
    # -- folding
    "obs-fold": (req("X-A: a\r\n b\r\nContent-Length: 0\r\n"), EITHER),
    "obs-fold with a tab": (req("X-A: a\r\n\tb\r\nContent-Length: 0\r\n"), EITHER),
    "obs-fold of Content-Length": (req("Content-Length:\r\n 3\r\n", b"abc"), REFUSE),
    "obs-fold extends Content-Length": (req("Content-Length: 3\r\n 9\r\n", b"abc" + SMUGGLED), REFUSE),
    "obs-fold of Transfer-Encoding": (req("Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "obs-fold hides Transfer-Encoding": (req("X-A: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", b"abc"), EITHER),
    "obs-fold in Host": (req("Content-Length: 0\r\n", host=b"Host: x\r\n evil\r\n"), REFUSE),
    # -- line ends
    "bare LF ends the request line": (b"POST /a/x HTTP/1.1\nHost: x\r\nContent-Length: 0\r\n\r\n", EITHER),
    "bare LF ends a field": (b"POST /a/x HTTP/1.1\r\nHost: x\nContent-Length: 0\r\n\r\n", EITHER),
    "bare LF ends the head": (b"POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\n", EITHER),
    "bare LF hides a field": (req("X-A: a\nContent-Length: 38\r\nContent-Length: 0\r\n", SMUGGLED), REFUSE),
    "bare LF everywhere": (b"POST /a/x HTTP/1.1\nHost: x\nContent-Length: 0\n\n", EITHER),
    "bare LF after a chunk size": (chunked(b"3\nabc\r\n0\r\n\r\n"), EITHER),
    "bare LF after the last chunk": (chunked(b"3\r\nabc\r\n0\n\r\n"), EITHER),
    "bare LF ends the trailers": (chunked(b"3\r\nabc\r\n0\r\n\n"), EITHER),
    "bare CR in a value": (req("X-A: a\rX-B: b\r\nContent-Length: 0\r\n"), REFUSE),
    "bare CR before a field": (req("X-A: a\r\n\rContent-Length: 3\r\n", b"abc"), REFUSE),
    "CRLF CR and another byte end the head": (b"POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 38\r\n\rX" + SMUGGLED, REFUSE),
    "NUL in a value": (req(b"X-A: a\0b\r\nContent-Length: 0\r\n"), REFUSE),
    "NUL in a name": (req(b"X\0A: b\r\nContent-Length: 0\r\n"), REFUSE),
    "control byte in a value": (req(b"X-A: a\x01b\r\nContent-Length: 0\r\n"), EITHER),
    # -- names
    "space before the colon": (req("X-A : a\r\nContent-Length: 0\r\n"), REFUSE),
    "tab before the colon": (req("X-A\t: a\r\nContent-Length: 0\r\n"), REFUSE),
    "space before the colon of Content-Length": (req("Content-Length : 38\r\n", SMUGGLED), REFUSE),
    "space before the colon of Transfer-Encoding": (req("Transfer-Encoding : chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "white space before the first field": (b"POST /a/x HTTP/1.1\r\n Host: x\r\nContent-Length: 0\r\n\r\n", REFUSE),
    "white space line before the first field": (b"POST /a/x HTTP/1.1\r\n X-A: a\r\nHost: x\r\nContent-Length: 0\r\n\r\n", REFUSE),
    "space inside a name": (req("Content Length: 38\r\nContent-Length: 0\r\n", SMUGGLED), REFUSE),
    "empty name": (req(": a\r\nContent-Length: 0\r\n"), REFUSE),
    "line without a colon": (req("no colon here\r\nContent-Length: 0\r\n"), REFUSE),
    "name without a colon": (req("Transfer-Encoding\r\nContent-Length: 0\r\n"), REFUSE),
    "bytes above 127 in a name": (req(b"X-\xe9: a\r\nContent-Length: 0\r\n"), REFUSE),
    "delimiters in a name": (req("X(A): a\r\nContent-Length: 0\r\n"), REFUSE),
    # -- Content-Length
    "space after Content-Length": (req("Content-Length: 3 \r\n", b"abc"), RIGHT),
    "leading zeros": (req("Content-Length: 0003\r\n", b"abc"), EITHER),
    "no Content-Length value": (req("Content-Length: \r\n", SMUGGLED), REFUSE),
    "plus": (req("Content-Length: +3\r\n", b"abc"), REFUSE),
    "minus": (req("Content-Length: -3\r\n", b"abc"), REFUSE),
    "hex": (req("Content-Length: 0x3\r\n", b"abc"), REFUSE),
    "number and junk": (req("Content-Length: 3 4\r\n", b"abc"), REFUSE),
    "decimal point": (req("Content-Length: 3.0\r\n", b"abc"), REFUSE),
    "list of equals": (req("Content-Length: 3, 3\r\n", b"abc"), EITHER),
    "list of different": (req("Content-Length: 3, 41\r\n", b"abc" + SMUGGLED), REFUSE),
    "twice, equal": (req("Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), EITHER),
    "twice, different": (req("Content-Length: 3\r\nContent-Length: 41\r\n", b"abc" + SMUGGLED), REFUSE),
    "too large for 64 bits": (req("Content-Length: 18446744073709551619\r\n", b"abc" + SMUGGLED), REFUSE),
    "2^63": (req("Content-Length: 9223372036854775808\r\n", b"abc" + SMUGGLED), REFUSE),
    "vertical tab": (req(b"Content-Length: \x0b3\r\n", b"abc"), REFUSE),
    # -- Transfer-Encoding
    "both": (req("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "both, the other way": (req("Transfer-Encoding: chunked\r\nContent-Length: 43\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "twice": (req("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "identity, then chunked": (req("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "chunked, then identity": (req("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "identity": (req("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", b"abc"), REFUSE),
    "gzip, chunked": (req("Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "chunked, gzip": (req("Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "chunked, chunked": (req("Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "unknown coding": (req("Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "unknown coding and a length": (req("Transfer-Encoding: cow\r\nContent-Length: 5\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "quoted": (req('Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "with a parameter": (req("Transfer-Encoding: chunked;q=1\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "tab before chunked": (req("Transfer-Encoding:\tchunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"), EITHER),
    "vertical tab before chunked": (req(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "CHUNKED": (req("Transfer-Encoding: CHUNKED\r\n", b"3\r\nabc\r\n0\r\n\r\n"), EITHER),
    "comma before chunked": (req("Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n" + SMUGGLED), REFUSE),
    "empty Transfer-Encoding": (req("Transfer-Encoding:\r\nContent-Length: 3\r\n", b"abc"), REFUSE),
    "chunked in HTTP/1.0": (req(CHUNKED, b"0\r\n\r\n" + SMUGGLED, line=b"POST /a/x HTTP/1.0"), REFUSE),
    # -- chunks
    "64 zeros": (chunked(b"0" * 63 + b"3\r\nabc\r\n0\r\n\r\n"), EITHER),
    "65 zeros end the body": (chunked(b"3\r\nabc\r\n" + b"0" * 65 + b"\r\n\r\n"), EITHER),
    "junk after the size": (chunked(b"3 junk\r\nabc\r\n0\r\n\r\n"), EITHER),
    "space after the size": (chunked(b"3 \r\nabc\r\n0\r\n\r\n"), EITHER),
    "space before the size": (chunked(b" 3\r\nabc\r\n0\r\n\r\n"), REFUSE),
    "hex prefix": (chunked(b"0x3\r\nabc\r\n0\r\n\r\n"), REFUSE),
    "minus size": (chunked(b"-3\r\nabc\r\n0\r\n\r\n"), REFUSE),
    "no size": (chunked(b"\r\nabc\r\n0\r\n\r\n"), REFUSE),
    "size over 64 bits": (chunked(b"10000000000000003\r\nabc\r\n0\r\n\r\n" + SMUGGLED), REFUSE),
    "size of 2^63": (chunked(b"8000000000000000\r\nabc\r\n0\r\n\r\n" + SMUGGLED), REFUSE),
    "other bytes for the CRLF after data": (chunked(b"3\r\nabcXX0\r\n\r\n"), REFUSE),
    "LF LF after data": (chunked(b"3\r\nabc\n\n0\r\n\r\n"), REFUSE),
    "LF after data": (chunked(b"3\r\nabc\n0\r\n\r\n"), REFUSE),
    "byte after the CR of a size line": (chunked(b"3\rXabc\r\n0\r\n\r\n"), REFUSE),
    "byte after the CR of the last size line": (chunked(b"3\r\nabc\r\n0\rX\r\n"), REFUSE),
    "LF in an extension": (chunked(b"3;a\nb\r\nabc\r\n0\r\n\r\n"), REFUSE),
    "NUL in an extension": (chunked(b"3;a\0b\r\nabc\r\n0\r\n\r\n"), EITHER),
    "300 extensions of 1 KB": (chunked((b"1;" + b"e" * 1022 + b"\r\nx\r\n") * 300 + b"0\r\n\r\n"), EITHER),
    "an extension of 300 KB": (chunked(b"3;" + b"e" * 300000 + b"\r\nabc\r\n0\r\n\r\n"), REFUSE),
    "Content-Length in trailers": (chunked(b"3\r\nabc\r\n0\r\nContent-Length: 99\r\n\r\n"), EITHER),
    "Transfer-Encoding in trailers": (chunked(b"3\r\nabc\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"), EITHER),
    "Host in trailers": (chunked(b"3\r\nabc\r\n0\r\nHost: evil\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"), EITHER),
    "trailers of 100 KB": (chunked(b"3\r\nabc\r\n0\r\n" + b"X-A: " + b"y" * 100000 + b"\r\n\r\n"), REFUSE),
    "trailer without a colon": (chunked(b"3\r\nabc\r\n0\r\nno colon\r\n\r\n"), REFUSE),
    # -- versions and request lines
    "HTTP/0.9": (req("Content-Length: 0\r\n", line=b"POST /a/x HTTP/0.9"), REFUSE),
    "HTTP/2.0": (req("Content-Length: 0\r\n", line=b"POST /a/x HTTP/2.0"), REFUSE),
    "HTTP/9.9": (req("Content-Length: 0\r\n", line=b"POST /a/x HTTP/9.9"), REFUSE),
    "HTTP/1.2": (req("Content-Length: 0\r\n", line=b"POST /a/x HTTP/1.2"), EITHER),
    "HTTP/1.10": (req("Content-Length: 0\r\n", line=b"POST /a/x HTTP/1.10"), REFUSE),
    "HTTP/01.1": (req("Content-Length: 0\r\n", line=b"POST /a/x HTTP/01.1"), REFUSE),
    "http/1.1": (req("Content-Length: 0\r\n", line=b"POST /a/x http/1.1"), REFUSE),
    "ICE/1.0": (req("Content-Length: 0\r\n", line=b"SOURCE /a/x ICE/1.0"), REFUSE),
    "no version": (b"GET /a/x\r\n\r\n", REFUSE),
    "two spaces in the request line": (req("Content-Length: 0\r\n", line=b"POST  /a/x HTTP/1.1"), REFUSE),
    "two spaces before the version": (req("Content-Length: 0\r\n", line=b"POST /a/x  HTTP/1.1"), REFUSE),
    "tab in the request line": (req("Content-Length: 0\r\n", line=b"POST\t/a/x HTTP/1.1"), REFUSE),
    "space at the end of the request line": (req("Content-Length: 0\r\n", line=b"POST /a/x HTTP/1.1 "), REFUSE),
    "space before the method": (req("Content-Length: 0\r\n", line=b" POST /a/x HTTP/1.1"), REFUSE),
    "small letters": (req("Content-Length: 0\r\n", line=b"post /a/x HTTP/1.1"), REFUSE),
    "unknown method": (req("Content-Length: 0\r\n", line=b"FROB /a/x HTTP/1.1"), EITHER),
    "* with GET": (req("", line=b"GET * HTTP/1.1"), REFUSE),
    "authority with GET": (req("", line=b"GET x:80 HTTP/1.1"), REFUSE),
    "no slash": (req("", line=b"GET a/x HTTP/1.1"), REFUSE),
    "fragment": (req("", line=b"GET /a/x#frag HTTP/1.1"), EITHER),
    "tab in the target": (req("", line=b"GET /a/\tx HTTP/1.1"), REFUSE),
    "form feed in the target": (req("", line=b"GET /a/\x0cx HTTP/1.1"), REFUSE),
    "bytes above 127 in the target": (req("", line=b"GET /a/\xc3\xa9 HTTP/1.1"), EITHER),
    "byte ff in the target": (req("", line=b"GET /a/\xff HTTP/1.1"), EITHER),
    "NUL in the target": (req("", line=b"GET /a/\0x HTTP/1.1"), REFUSE),
    "userinfo": (req("", line=b"GET http://user:pass@x/a/x HTTP/1.1"), REFUSE),
    "another scheme": (req("", line=b"GET ftp://x/a/x HTTP/1.1"), REFUSE),
    "javascript scheme": (req("", line=b"GET javascript://x/a/x HTTP/1.1"), REFUSE),
    "empty authority": (req("", line=b"GET http:///a/x HTTP/1.1"), REFUSE),
    # -- Host
    "no Host": (b"GET /a/x HTTP/1.1\r\nX-A: a\r\n\r\n", REFUSE),
    "two Hosts": (req("Host: y\r\n", line=b"GET /a/x HTTP/1.1"), REFUSE),
    "two equal Hosts": (req("Host: x\r\n", line=b"GET /a/x HTTP/1.1"), REFUSE),
    "Host with a space": (req("", line=b"GET /a/x HTTP/1.1", host=b"Host: x y\r\n"), REFUSE),
    "Host with a slash": (req("", line=b"GET /a/x HTTP/1.1", host=b"Host: x/y\r\n"), REFUSE),
    "Host with userinfo": (req("", line=b"GET /a/x HTTP/1.1", host=b"Host: u@x\r\n"), REFUSE),
    "Host with a bad port": (req("", line=b"GET /a/x HTTP/1.1", host=b"Host: x:port\r\n"), REFUSE),
    "Host with a comma": (req("", line=b"GET /a/x HTTP/1.1", host=b"Host: x, y\r\n"), REFUSE),
    "Host with angle brackets": (req("", line=b"GET /a/x HTTP/1.1", host=b"Host: <x>\r\n"), REFUSE),
    "Host with an open bracket": (req("", line=b"GET /a/x HTTP/1.1", host=b"Host: [::1\r\n"), REFUSE),
    "IPv6 Host": (req("", line=b"GET /a/x HTTP/1.1", host=b"Host: [::1]:80\r\n"), RIGHT),
    # -- Connection
    "Connection: Content-Length": (req("Connection: Content-Length\r\nContent-Length: 3\r\n", b"abc"), EITHER),
    "Connection: Transfer-Encoding": (req("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"), EITHER),
    "Connection: Host": (req("Connection: Host\r\nContent-Length: 0\r\n"), EITHER),
    # -- Upgrade
    "Upgrade without Connection": (req("Upgrade: websocket\r\n", line=b"GET /a/x HTTP/1.1"), EITHER),
    "Upgrade in HTTP/1.0": (req("Connection: Upgrade\r\nUpgrade: websocket\r\n", line=b"GET /a/x HTTP/1.0"), EITHER),
    "Upgrade with a body": (req("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n", b"abc"), EITHER),
    "Upgrade with chunks": (req("Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"), EITHER),
    "Upgrade to h2c": (req("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n", line=b"GET /a/x HTTP/1.1"), EITHER),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", REFUSE),
    # -- size
    "79 KB of head": (req("X-A: " + "y" * 79000 + "\r\n", line=b"GET /a/x HTTP/1.1"), REFUSE),
    "10,000 fields": (req("".join("A%d: b\r\n" % i for i in range(10000)), line=b"GET /a/x HTTP/1.1"), REFUSE),
    "TLS to a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500, REFUSE),
    "garbage": (bytes(range(256)) * 4, REFUSE),
}


@pytest.fixture(scope="module")
def site(module_faucet, module_origin):
    o = module_origin(path="/tmp/o%d.sock" % free_port())
    f = module_faucet({"timeouts": {"header": "2s", "body": "2s", "keepalive": "2s"}, "apps": {"a": upstream(o)}}, origins=[o])
    return f, o


@pytest.fixture(scope="module")
def buffered(module_faucet, module_origin):
    o = module_origin(path="/tmp/o%d.sock" % free_port())
    f = module_faucet({"timeouts": {"header": "2s", "body": "2s", "keepalive": "2s"}, "apps": {"a": upstream(o, concurrency=1)}}, origins=[o])
    return f, o


def exchange(f, data, cut=None):
    """All that comes back for data, in one write or byte by byte around `cut`; then our side is closed."""
    c = f.client(timeout=10)
    try:
        if cut is None:
            c.send(data)
        else:
            c.send(data[:cut])
            c.send(data[cut:])
    except OSError:
        pass
    return c


def replies(c):
    """The final replies that come, and whether the connection ended."""
    got = []
    try:
        while True:
            got.append(c.read_response(timeout=6))
    except (ProtocolError, ConnectionResetError) as e:
        assert not c.buffer or not isinstance(e, ProtocolError), "what faucet sent is no HTTP: %r" % bytes(c.received)
        return got, True
    except TimeoutError:
        return got, False


def check(site, what):
    f, o = site
    data, verdict = CASES[what]
    seen = len(o.requests)
    broken = len(o.broken)
    c = exchange(f, data)
    if verdict == REFUSE:
        got, ended = replies(c)
    else:
        first = [c.read_response(timeout=6)]
        if first[0].status == 200:
            got, ended = first, None
            c.close()
        else:
            more, ended = replies(c)
            got = first + more
    assert got, "no reply at all"
    new = [r for _, r, _ in o.requests[seen:] if r.path != "/"]
    smuggled = [r for r in new if r.path == "/smuggled"]
    refused = got[0].status >= 400
    if refused:
        allowed = (400, 405, 408, 411, 413, 414, 421, 431, 501, 505)
        assert got[0].status in allowed, got[0]
        assert "close" in (got[0]["Connection"] or "").lower() or got[0].status == 501 and what == "unknown method" or got[0].status == 405, got[0]
        assert len(got) == 1 and (ended or got[0].status == 405), "refused, and more was read from that connection: %s" % got
        assert not smuggled, "the smuggled request reached the worker"
        whole = [r for r in new if r.framing not in ("chunked",)]
        assert not whole, "refused, and sent on all the same: %s" % [r.raw for r in whole]
    else:
        assert verdict != REFUSE, "let through: %s" % [r.raw for r in new]
        assert got[0].status == 200, got[0]
        assert not smuggled
        assert len(new) == 1, [r.raw for r in new]
        canonical(o, new[0], what)
    assert len(o.broken) == broken, o.broken[broken:]
    # and the worker's connections are sane: the next client is served
    assert f.get("/a/after").status == 200


def canonical(o, request, what):
    """Request (parsed strictly by wire.py already) has one framing, one Host, no fold, none of the forbidden."""
    h = request.headers
    assert len(h.all("Host")) == 1
    assert len(h.all("Content-Length")) + len(h.all("Transfer-Encoding")) <= 1
    assert request.version == "HTTP/1.1", "towards the worker it is always 1.1"
    assert "Upgrade" not in h or what in ("Upgrade with a body", "Upgrade with chunks"), request.raw
    assert "HTTP2-Settings" not in h
    for value in (v for _, v in h):
        assert not set(value) & set("\r\n\0"), request.raw
    assert "#" not in request.target and all(33 <= ord(c) < 127 for c in request.target), request.target
    assert not [n for n, _ in request.trailers if n.lower() in ("content-length", "transfer-encoding", "host", "x-forwarded-for")], request.trailers


@pytest.mark.parametrize("what", CASES)
def test_streamed(site, what):
    check(site, what)


@pytest.mark.parametrize("what", [w for w in CASES if b"chunked" in CASES[w][0] or b"Content-Length" in CASES[w][0]])
def test_buffered(buffered, what):
    check(buffered, what)


@pytest.mark.parametrize("what", [w for w in CASES if len(CASES[w][0]) < 400])
def test_in_pieces(site, what):
    """The same bytes, cut in two somewhere, get the same answer: the guard has no blind spot at the edge of a read."""
    f, o = site
    data, verdict = CASES[what]
    whole = exchange(f, data).read_response(timeout=6).status
    for cut in sorted({1, len(data) // 3, len(data) // 2, data.find(b"\r\n") + 1, data.find(b"\r\n\r\n") + 1, data.find(b"\r\n\r\n") + 3, len(data) - 1}):
        if 0 < cut < len(data):
            c = f.client(timeout=10)
            try:
                c.send(data[:cut])
                c.send(data[cut:])
            except OSError:
                pass
            status = c.read_response(timeout=6).status
            assert (status >= 400) == (whole >= 400), "cut at %d: %d instead of %d" % (cut, status, whole)
            c.close()
    assert not o.seen("/smuggled")


def test_body_arrives_whole_where_it_was_put_right(site):
    f, o = site
    for what in ("space after Content-Length", "leading zeros", "CHUNKED", "tab before chunked", "Connection: Content-Length", "Connection: Transfer-Encoding",
                 "64 zeros", "list of equals", "Upgrade with a body"):
        c = exchange(f, CASES[what][0])
        r = c.read_response(timeout=6)
        if r.status == 200:
            assert o.requests[-1][1].body == b"abc" or [q for _, q, _ in o.requests[-3:] if q.body == b"abc"], what
        c.close()


def test_request_after_connection_close(site):
    f, o = site
    c = f.client()
    c.send(b"GET /a/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" + SMUGGLED)
    got, ended = replies(c)
    assert len(got) == 1 and ended and got[0].status == 200
    assert not o.seen("/smuggled")


def test_absolute_form_is_put_right(site):
    f, o = site
    c = f.client()
    c.send(b"GET http://x/a/abs?q HTTP/1.1\r\nHost: y\r\n\r\n")
    r = c.read_response()
    if r.status == 200:
        request = o.seen("/abs")[-1]
        assert request.target == "/abs?q" and request.headers.all("Host") == ["x"]
    else:
        assert r.status == 400


def test_pipelined_after_a_refusal_is_not_read(site):
    f, o = site
    c = f.client()
    c.send(req("Content-Length: 3\r\nContent-Length: 4\r\n", b"abc") + SMUGGLED * 3)
    got, ended = replies(c)
    assert [r.status for r in got] == [400] and ended and not o.seen("/smuggled")


def test_exact_bytes_at_the_worker(site):
    """The canonical form, as a whole."""
    f, o = site
    c = f.client()
    c.send(b"POST /a/../a/%63anon?x=1 HTTP/1.1\r\nhOST: x\r\nX-One:   1  \r\nTransfer-encoding: Chunked\r\n\r\n003;e\r\nabc\r\n00\r\n\r\n")
    r = c.read_response()
    if r.status == 400:      # coding names are case-insensitive; refusing is allowed, misreading is not
        return
    assert r.status == 200
    request = o.seen("/canon")[-1]
    assert request.raw.startswith(b"POST /canon?x=1 HTTP/1.1\r\n") and request.raw.endswith(b"\r\n\r\n")
    assert b"X-One: 1\r\n" in request.raw and request.body == b"abc"
    assert request.framing in ("chunked", 3)


def test_parsed_request_class_is_strict():
    """The judge itself: wire.Request takes none of these."""
    for raw in (b"GET / HTTP/1.1\r\nA : b\r\n\r\n", b"GET / HTTP/1.1\r\nA: b\n\r\n\r\n", b"GET / HTTP/1.1\r\n a: b\r\n\r\n"):
        with pytest.raises(ProtocolError):
            Request(raw)
