"""Requests and replies of every shape, through an app that streams, one over TCP, and one that is buffered (concurrency 1)."""
import json

import pytest

from faucet import free_port, upstream
from origin import CLOSE
from wire import ProtocolError, until


@pytest.fixture(scope="module")
def site(module_faucet, module_origin):
    unix, tcp = module_origin(path="/tmp/o%d.sock" % free_port()), module_origin()
    f = module_faucet({"apps": {"unix": upstream(unix), "tcp": upstream(tcp), "one": upstream(unix, concurrency=1)}}, origins=[unix, tcp])
    return f, {"unix": unix, "tcp": tcp, "one": unix}


@pytest.fixture(params=["unix", "tcp", "one"])
def app(site, request):
    f, origins = site
    return f, origins[request.param], "/" + request.param


def echo(response):
    assert response.status == 200, response
    return json.loads(response.body)


# -- connections
def test_keep_alive(app):
    f, o, at = app
    c = f.client()
    for i in range(5):
        c.send("GET %s/k%d HTTP/1.1\r\nHost: x\r\n\r\n" % (at, i))
        r = c.read_response()
        assert r.status == 200 and "close" not in (r["Connection"] or "")
    c.send("GET %s/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % at)
    r = c.read_response()
    assert r.status == 200 and "close" in r["Connection"].lower()
    assert c.wait_eof(5)


def test_http_1_0(app):
    f, o, at = app
    c = f.client()
    c.send("GET %s/x HTTP/1.0\r\nHost: x\r\n\r\n" % at)
    assert c.read_response().status == 200
    assert c.wait_eof(5)
    c = f.client()
    for _ in range(2):
        c.send("GET %s/x HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" % at)
        r = c.read_response()
        assert r.status == 200 and (r["Connection"] or "").lower() == "keep-alive"
    c.send("GET %s/x HTTP/1.0\r\n\r\n" % at)          # 1.0 needs no Host
    assert c.read_response().status == 200


def test_http_1_0_gets_no_chunks(app):
    f, o, at = app
    o.raw("/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n")
    c = f.client()
    c.send("GET %s/chunked HTTP/1.0\r\nHost: x\r\n\r\n" % at)
    r = c.read_response()
    assert r.framing != "chunked" and r.body == b"abcdef"


def test_upstream_connections_are_reused(app):
    f, o, at = app
    n = o.accepted
    for _ in range(10):
        assert f.get(at + "/reuse").status == 200
    assert o.accepted - n <= 2


def test_pipelining(app):
    f, o, at = app
    c = f.client()
    c.send("".join("GET %s/p%d HTTP/1.1\r\nHost: x\r\n\r\nPOST %s/q%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab%d" % (at, i, at, i, i % 10)
                   for i in range(50)))
    for i in range(50):
        assert echo(c.read_response())["path"] == "/p%d" % i
        got = echo(c.read_response())
        assert got["path"] == "/q%d" % i and got["body"] == "ab%d" % (i % 10)


def test_no_pipelining_towards_workers(app):
    f, o, at = app
    o.hold("/first")
    before = len(o.seen("/second"))
    c = f.client()
    c.send("GET %s/first HTTP/1.1\r\nHost: x\r\n\r\nGET %s/second HTTP/1.1\r\nHost: x\r\n\r\n" % (at, at))
    taken = o.take("/first")
    assert taken.conn.quiet(0.2), "a second request on a busy connection"
    assert not taken.conn.buffer
    n = len(o.seen("/second")) - before
    taken.conn.reply("200 OK", "first")
    taken.next()
    assert c.read_response().body == b"first"
    assert echo(c.read_response())["path"] == "/second"
    assert n == 0, "the second was sent before the first was answered"


def test_byte_by_byte(app):
    f, o, at = app
    c = f.client()
    for b in ("POST %s/slow?x=y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n3\r\nabc\r\n1;e=f\r\nd\r\n0\r\nX-T: t\r\n\r\n" % at):
        c.send(b)
    got = echo(c.read_response())
    assert got["body"] == "abcd" and got["target"] == "/slow?x=y"


# -- bodies of requests
@pytest.mark.parametrize("size", [0, 1, 1000, 65536, 65537, 3 << 20])
def test_content_length(app, size):
    f, o, at = app
    body = bytes(i % 251 for i in range(min(size, 65536))) * (size // 65536 or 1)
    body = (body + b"z" * size)[:size]
    r = f.post(at + "/size", body)
    assert echo(r)["length"] == size
    assert o.seen("/size")[-1].body == body


def test_chunked_request(app):
    f, o, at = app
    c = f.client()
    c.send("POST %s/chunks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00A;x=y\r\n0123456789\r\n0\r\n\r\n" % at)
    got = echo(c.read_response())
    assert got["body"] == "hello0123456789" and got["framing"] in ("chunked", 15)


def test_trailers_of_a_request(app):
    f, o, at = app
    c = f.client()
    c.send("POST %s/t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n" % at)
    got = echo(c.read_response())
    assert got["body"] == "abc"
    if got["framing"] == "chunked":
        assert ["X-Sum", "1"] in got["trailers"], got


def test_methods(app):
    f, o, at = app
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT"):
        got = echo(f.request(method, at + "/m", body=b"b" if method in ("POST", "PUT", "PATCH") else b""))
        assert got["method"] == method


def test_get_with_a_body(app):
    f, o, at = app
    assert echo(f.request("GET", at + "/x", body=b"body"))["body"] == "body"
    assert echo(f.request("DELETE", at + "/x", body=b"body"))["body"] == "body"


def test_get_gets_no_framing(app):
    f, o, at = app
    f.get(at + "/plain")
    h = o.seen("/plain")[-1].headers
    assert "Content-Length" not in h and "Transfer-Encoding" not in h
    f.post(at + "/empty", b"")
    assert o.seen("/empty")[-1].headers.all("Content-Length") == ["0"]


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_methods_that_are_not_for_us(app, method):
    f, o, at = app
    c = f.client()
    target = "localhost:80" if method == "CONNECT" else at + "/x"
    c.send("%s %s HTTP/1.1\r\nHost: localhost:80\r\n\r\n" % (method, target))
    assert c.read_response().status in (400, 405, 501)


# -- 100-continue
def test_expect_continue(app):
    f, o, at = app
    c = f.client()
    c.send("POST %s/expect HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n" % at)
    assert c.read_head(5).startswith(b"HTTP/1.1 100 ")
    c.send("body")
    assert echo(c.read_response())["body"] == "body"


def test_expect_continue_without_waiting(app):
    f, o, at = app
    c = f.client()
    c.send("POST %s/expect HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbodyGET %s/next HTTP/1.1\r\nHost: x\r\n\r\n" % (at, at))
    assert echo(c.read_response())["body"] == "body"
    assert echo(c.read_response())["path"] == "/next"


def test_expect_something_else(app):
    f, o, at = app
    assert f.post(at + "/x", b"body", {"Expect": "miracles"}).status == 417


def test_expect_without_a_route_is_answered_at_once(site):
    f, _ = site
    c = f.client()
    c.send("POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
    r = c.read_response(timeout=5)
    assert r.status == 404 and not r.interim


# -- replies
def test_status_and_headers_pass(app):
    f, o, at = app
    o.reply("/teapot", "418 I'm a teapot", b"short", "Set-Cookie: a=1", "Set-Cookie: b=2; HttpOnly", "X-Mixed-Case: Value  with  spaces", "Cache-Control: no-store")
    r = f.get(at + "/teapot")
    assert (r.status, r.reason, r.body) == (418, "I'm a teapot", b"short")
    mine = [v for v in r.headers.all("Set-Cookie") if "FAUCET" not in v]
    assert mine == ["a=1", "b=2; HttpOnly"] and r["X-Mixed-Case"] == "Value  with  spaces" and r["Cache-Control"] == "no-store"


def test_chunked_reply(app):
    f, o, at = app
    o.raw("/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n0003\r\ndef\r\n0\r\n\r\n")
    c = f.client()
    for _ in range(2):
        c.send("GET %s/chunked HTTP/1.1\r\nHost: x\r\n\r\n" % at)
        r = c.read_response()
        assert r.body == b"abcdef" and r.framing in ("chunked", 6)


def test_trailers_of_a_reply(app):
    f, o, at = app
    o.raw("/trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 9\r\n\r\n")
    r = f.get(at + "/trailers", {"TE": "trailers"})
    assert r.body == b"abc" and (r.framing != "chunked" or r.trailers.get("X-Sum") == "9")


def test_chunks_stream(site):
    """Not limited: a piece reaches the client before the next one exists."""
    f, origins = site
    o = origins["unix"]
    o.hold("/live")
    c = f.client()
    c.send("GET /unix/live HTTP/1.1\r\nHost: x\r\n\r\n")
    t = o.take("/live")
    t.conn.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    r = c.read_response(body=False)
    assert r.framing == "chunked"
    for i in range(3):
        t.conn.send("6\r\ndata%d\n\r\n" % i)
        assert c.read_chunk(5) == b"data%d\n" % i
    t.conn.send("0\r\n\r\n")
    assert c.read_chunk(5) == b"" and len(c.read_trailers()) == 0
    t.next()


def test_until_close(app):
    f, o, at = app
    o.raw("/until-close", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it", CLOSE)
    c = f.client()
    c.send("GET %s/until-close HTTP/1.1\r\nHost: x\r\n\r\n" % at)
    assert c.read_response().body == b"all of it"
    o.raw("/ten", "HTTP/1.0 200 OK\r\n\r\nold server", CLOSE)
    assert f.get(at + "/ten").body == b"old server"


def test_head(app):
    f, o, at = app
    o.raw("/head", "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-Y: z\r\n\r\n")
    o.raw("/head-chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    c = f.client()
    c.send("HEAD %s/head HTTP/1.1\r\nHost: x\r\n\r\n" % at)
    r = c.read_response("HEAD", timeout=5)
    assert r.status == 200 and r["Content-Length"] == "12345" and r["X-Y"] == "z"
    c.send("HEAD %s/head-chunked HTTP/1.1\r\nHost: x\r\n\r\n" % at)
    assert c.read_response("HEAD", timeout=5).status == 200
    c.send("GET %s/after HTTP/1.1\r\nHost: x\r\n\r\n" % at)
    assert echo(c.read_response(timeout=5))["path"] == "/after"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_no_body(app, status):
    f, o, at = app
    o.raw("/none", "HTTP/1.1 %s\r\nETag: \"x\"\r\n\r\n" % status)
    o.raw("/none-length", "HTTP/1.1 %s\r\nContent-Length: 5\r\n\r\n" % status)
    c = f.client()
    for path in ("/none", "/none-length"):
        if path == "/none-length" and status[:3] == "204":
            continue        # forbidden there
        c.send("GET %s%s HTTP/1.1\r\nHost: x\r\n\r\n" % (at, path))
        r = c.read_response(timeout=5)
        assert r.status == int(status[:3]) and "Transfer-Encoding" not in r.headers
    c.send("GET %s/after HTTP/1.1\r\nHost: x\r\n\r\n" % at)
    assert echo(c.read_response(timeout=5))["path"] == "/after"


def test_interim_replies(app):
    f, o, at = app
    o.raw("/hints", "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    c = f.client()
    for _ in range(2):
        c.send("GET %s/hints HTTP/1.1\r\nHost: x\r\n\r\n" % at)
        r = c.read_response()
        assert r.body == b"ok" and {i.status for i in r.interim} <= {102, 103}
    assert [i.status for i in r.interim] == [103, 102], r.interim
    c = f.client()
    c.send("GET %s/hints HTTP/1.0\r\nHost: x\r\n\r\n" % at)
    assert c.read_response().interim == []       # 1.0 knows none


def test_many_interim_replies_have_an_end(app):
    f, o, at = app

    def endless(conn, request):
        for _ in range(100000):
            conn.send("HTTP/1.1 102 Processing\r\n\r\n" * 10)
        return CLOSE
    o.on("/endless", endless)
    c = f.client()
    c.keep = False
    c.send("GET %s/endless HTTP/1.1\r\nHost: x\r\n\r\n" % at)
    try:
        while c.fill(c._deadline(20)):
            if b" 502 " in c.buffer:
                break
            del c.buffer[:-64]
    except (ConnectionResetError, TimeoutError):
        pass
    assert f.get(at + "/fine").status == 200


def test_100_continue_of_the_worker_comes_once(app):
    f, o, at = app

    def continuing(conn, request):
        conn.send("HTTP/1.1 100 Continue\r\n\r\n")
        conn.read_request_body(request)
        conn.reply("200 OK", request.body)
    o.on("/continuing", continuing)
    c = f.client()
    c.send("POST %s/continuing HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n" % at)
    assert c.read_head(5).startswith(b"HTTP/1.1 100 ")
    c.send("body")
    r = c.read_response()
    assert r.body == b"body" and not [i for i in r.interim if i.status == 100]
    r = f.post(at + "/continuing", b"body")
    assert r.body == b"body" and not r.interim      # nobody asked


# -- the client closes its side
def test_half_close_is_answered(app):
    f, o, at = app
    o.hold("/half")
    c = f.client()
    c.send("GET %s/half HTTP/1.1\r\nHost: x\r\n\r\n" % at)
    t = o.take("/half")
    c.shutdown()
    assert t.conn.quiet(0.3), "the worker's connection ended because the client closed its side"
    t.conn.reply("200 OK", "still here")
    t.next()
    r = c.read_response()
    assert r.body == b"still here"
    assert c.wait_eof(5)


def test_half_close_with_pipelined_requests(app):
    f, o, at = app
    c = f.client()
    c.send("GET %s/a HTTP/1.1\r\nHost: x\r\n\r\nGET %s/b HTTP/1.1\r\nHost: x\r\n\r\n" % (at, at))
    c.shutdown()
    assert echo(c.read_response())["path"] == "/a"
    assert echo(c.read_response())["path"] == "/b"
    assert c.wait_eof(5)


def test_half_a_request_and_gone(app):
    f, o, at = app
    for text in ("GET", "GET %s/gone HTTP/1.1\r\nHost" % at, "POST %s/gone HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab" % at,
                 "POST %s/gone HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab" % at):
        for leave in ("close", "reset", "shutdown"):
            c = f.client()
            c.send(text)
            getattr(c, leave)()
            if leave == "shutdown":
                c.read_all(10)
    assert f.get(at + "/fine").status == 200
    assert all(r.body == b"" for r in o.seen("/gone"))


# -- what the guard puts right
def test_leading_empty_lines(app):
    """RFC 9112 2.2: at least one CRLF before a request is ignored."""
    f, o, at = app
    c = f.client()
    c.send("\r\nGET %s/x HTTP/1.1\r\nHost: x\r\n\r\n" % at)
    assert c.read_response().status == 200


def test_hundred_headers_in_order(app):
    f, o, at = app
    sent = [("X-N%d" % i, "v%d" % i) for i in range(100)]
    f.get(at + "/many", sent)
    got = [(n, v) for n, v in o.seen("/many")[-1].headers if n.startswith("X-N")]
    assert got == sent


def test_cookies_and_obs_text_pass(app):
    f, o, at = app
    c = f.client()
    c.send(b"GET " + at.encode() + b"/bytes HTTP/1.1\r\nHost: x\r\nX-Utf8: caf\xc3\xa9\r\nX-Tab: a\tb\r\nX-Empty:\r\nX-Pad:  \t v \t \r\nCookie: a=1; b=\"2\"\r\n\r\n")
    assert c.read_response().status == 200
    h = o.seen("/bytes")[-1].headers
    assert h.get("X-Utf8").encode("latin-1") == b"caf\xc3\xa9" and h.get("X-Tab") == "a\tb" and h.get("X-Empty") == "" and h.get("X-Pad") == "v"
    assert h.get("Cookie") == 'a=1; b="2"'


def test_reply_of_a_worker_before_it_was_asked(app):
    """Bytes on an idle connection belong to no exchange: the next client must not get them."""
    f, o, at = app

    def stuffing(conn, request):
        conn.read_request_body(request)
        conn.reply("200 OK", "mine")
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    o.on("/stuffing", stuffing)
    assert f.get(at + "/stuffing").body == b"mine"
    for _ in range(5):
        assert echo(f.get(at + "/clean"))["path"] == "/clean"


def test_early_reply(app):
    """A worker that answers before it read the body: the client gets that answer."""
    f, o, at = app

    def refuse(conn, request):
        conn.send("HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")
        conn.shutdown()
        conn.read_all(10)
        return CLOSE
    o.on("/early", refuse)
    c = f.client()
    c.send("POST %s/early HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (at, 1 << 20))
    try:
        for _ in range(16):
            c.send(b"x" * 65536)
    except OSError:
        pass
    r = c.read_response()
    assert r.status == 413 and r.body == b"much"
    until(lambda: f.get(at + "/fine").status == 200)


def test_early_reply_while_the_body_waits(site):
    f, origins = site
    o = origins["unix"]
    o.hold("/early2")
    c = f.client()
    c.send("POST /unix/early2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome")
    t = o.take("/early2")
    t.conn.reply("403 Forbidden", "no")
    r = c.read_response(timeout=5)
    assert r.status == 403 and r.body == b"no"
    c.send(b"y" * 996)
    t.finish()
    assert f.get("/unix/fine").status == 200


def test_reply_cut_short_is_not_made_whole(app):
    f, o, at = app
    o.raw("/short", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", CLOSE)
    o.raw("/short-chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n", CLOSE)
    for path in ("/short", "/short-chunked"):
        try:
            r = f.get(at + path)
        except (ProtocolError, ConnectionResetError):
            continue
        assert r.status == 502, "a reply that was cut looks whole: %r" % r
