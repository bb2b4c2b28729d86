"""How an exchange can end, and what its row says then: the word in `error`, whose row it is, what is counted, what is NULL. What a log event may say
of it. And that both documents have every word and column."""
import json
import os
import re
import socket
import sys
import uuid
from urllib.parse import quote

import pytest

from faucet import ROOT, backend, upstream
from origin import CLOSE
from postgres import Postgres, closed_port
from telemetry import Rows, full_database, seed_database, settings, wait_stored
from wire import ProtocolError, until

DAEMONS = {"namespace": "mine", "version": "7", "target": "faucet", "worker_route": None, "worker_id": None, "generation": None}
APPS = {"namespace": "sales", "version": "1.4.2", "target": "Worker::a::1", "worker_route": "/a/", "worker_id": 1, "generation": 1, "app": "a"}
UNPARSED = {**DAEMONS, "app": None, "method": None, "path": None, "query_params": None, "http_version": None, "user_agent": None, "host": None,
            "trace_id": None, "request_bytes": 0, "queue_us": None, "first_byte_us": None, "attempts": 0, "ip_addr": "127.0.0.1"}


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture
def rows(pg):
    return Rows(pg, full_database(pg, "r" + uuid.uuid4().hex[:12]))


@pytest.fixture
def serve(faucet, pg, rows):
    """A daemon with app `a` (a command, unless a= says otherwise), whose namespace and version are not the daemon's."""
    def make(a=None, origins=(), wait=True, start=True, env=None, **more):
        own = {"telemetry": {"namespace": "sales", "version": "1.4.2"}}
        apps = {"a": {**(a or backend()), **own}, **more.pop("apps", {})}
        return faucet({"telemetry": settings(pg, rows.name, namespace="mine", version="7"), "apps": apps, **more}, origins=origins, wait=wait,
                      start=start, env=env)
    return make


def expect(row, *expected, **more):
    """All of them at once, so that a failure shows the whole difference."""
    wanted = {k: v for some in expected for k, v in some.items()}
    wanted.update(more)
    assert {k: row[k] for k in wanted} == wanted


# ---- what we answer ourselves -------------------------------------------------------------------------------------------------

def test_408_a_head_that_does_not_end(serve, rows):
    f = serve(timeouts={"header": "500ms"})
    mute = f.client()
    c = f.client()
    c.send("GET /a/me?x=1 HTTP/1.1\r\nHost: x\r\nUser-Agent: slow\r\n")
    response = c.read_response()
    assert response.status == 408
    row = rows.of(response)
    expect(row, UNPARSED, status=408, error="header_timeout", response_bytes=len(response.body))
    assert row["elapsed"] >= 400 and row["elapsed"] == row["total_us"] // 1000
    assert mute.wait_eof()
    assert wait_stored(f)["received"] == 1  # who said nothing asked for nothing


@pytest.mark.parametrize("buffer, whose", [("on", DAEMONS), ("off", APPS)])
def test_408_a_body_that_stops(serve, rows, buffer, whose):
    """Collected first, it never came near a worker; where it streams, one has the beginning of it."""
    f = serve(backend(buffer=buffer), timeouts={"body": "300ms"})
    c = f.client()
    c.send("POST /a/count HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n01234")
    response = c.read_response()
    assert response.status == 408
    row = rows.of(response)
    expect(row, whose, status=408, error="body_timeout", app="a", method="POST", request_bytes=5, first_byte_us=None, attempts=int(whose is APPS),
           response_bytes=len(response.body))
    assert (row["queue_us"] is None) == (whose is DAEMONS) and row["elapsed"] >= 200


def test_413_by_content_length(serve, rows):
    f = serve(backend(body_size="1KiB"))
    response = f.post("/a/count", b"x" * 1025)
    assert response.status == 413
    expect(rows.of(response), DAEMONS, status=413, error="body_too_large", app="a", method="POST", path="/a/count", request_bytes=0, attempts=0,
           queue_us=None, first_byte_us=None, response_bytes=len(response.body))
    response = f.post("/a/count", b"x" * 1024)
    expect(rows.of(response), APPS, status=200, error=None, request_bytes=1024, path="/count")


@pytest.mark.parametrize("buffer, whose", [("on", DAEMONS), ("off", APPS)])
def test_413_by_chunks(serve, rows, buffer, whose):
    f = serve(backend(buffer=buffer, body_size="1KiB"))
    c = f.client()
    c.send("POST /a/count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "200\r\n" + "x" * 512 + "\r\n", "201\r\n" + "y" * 513 + "\r\n")
    response = c.read_response()
    assert response.status == 413
    row = rows.of(response)
    expect(row, whose, status=413, error="body_too_large", app="a", attempts=int(whose is APPS), first_byte_us=None)
    assert 1024 < row["request_bytes"] <= 1025


@pytest.mark.parametrize("request_, status", [
    ("GET /a/me HTTP/1.1\r\nHost: x\r\nX: " + "x" * 2000 + "\r\n\r\n", 431),
    ("GET /a/me?" + "q" * 2000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    ("GET /a/me HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    ("GETT /a/me HTTP/1.1\r\nHost: x\r\n\r\n", 501),
    ("M" * 65 + " /a/me HTTP/1.1\r\nHost: x\r\n\r\n", 501),  # so no row has a method that would have to be cut
    ("GET /a/me HTTP/1.1\r\n\r\n", 400),
])
def test_heads_that_are_refused(serve, rows, request_, status):
    f = serve(limits={"header_size": "1KiB"})
    c = f.client()
    c.send(request_)
    response = c.read_response()
    assert response.status == status
    expect(rows.of(response), UNPARSED, status=status, error="bad_request", response_bytes=len(response.body))


def test_paths_and_methods_that_are_refused(serve, rows):
    f = serve()
    response = f.request("TRACE", "/a/me?x=1", {"User-Agent": "u"})
    assert response.status == 405
    expect(rows.of(response), DAEMONS, status=405, error="method_not_allowed", app=None, method="TRACE", path="/a/me", query_params="x=1", user_agent="u")
    response = f.get("/a/%zz")
    assert response.status == 400
    expect(rows.of(response), DAEMONS, status=400, error="bad_request", app=None, method="GET", path="/a/%zz")
    response = f.get("/nowhere")
    expect(rows.of(response), DAEMONS, status=404, error="no_route", app=None, path="/nowhere")
    expect(rows.of(f.get("/a")), DAEMONS, status=308, error=None, app=None)  # a redirect is no error


def test_files_that_are_refused(serve, rows):
    f = serve(apps={"s": {"type": "static", "dir": "files", "telemetry": {"namespace": "files", "version": "2"}}}, start=False)
    f.file("files/x.txt", "hello")
    os.symlink("/etc/passwd", os.path.join(f.dir, "files", "out"))
    f.start()
    own = {"namespace": "files", "version": "2", "target": "faucet", "worker_route": None, "worker_id": None, "app": "s", "attempts": 0}
    for method, path, headers, status, error in (
            ("GET", "/s/x.txt", {}, 200, None), ("GET", "/s/nothing", {}, 404, "no_file"), ("GET", "/s/out", {}, 404, "no_file"),
            ("POST", "/s/x.txt", {}, 405, "method_not_allowed"), ("GET", "/s/x.txt", {"Range": "bytes=9-"}, 416, "bad_range"),
            ("GET", "/s/x.txt", {"Range": "bytes=1-2"}, 206, None)):
        response = f.request(method, path, headers)
        assert response.status == status, path
        expect(rows.of(response), own, method=method, status=status, error=error, path=path, response_bytes=len(response.body))


# ---- waiting for a worker -----------------------------------------------------------------------------------------------------

def busy(f):
    """A request that keeps the only worker; its connection and the file that ends it."""
    name = os.path.join(f.dir, "hold")
    c = f.client()
    c.send("GET /a/hold?name=%s HTTP/1.1\r\nHost: x\r\n\r\n" % name)
    until(lambda: os.path.exists(name + ".began"), 10, "the worker has it")
    return c, name + ".go"


def queued(f, n=1):
    until(lambda: f.status()["apps"][0]["queue"]["length"] == n, 10, "%d requests wait" % n)


def test_503_queue_timeout(serve, rows):
    f = serve(backend(concurrency=1, queue={"timeout": "300ms"}))
    c, go = busy(f)
    response = f.get("/a/me")
    assert response.status == 503
    row = rows.of(response)
    expect(row, DAEMONS, status=503, error="queue_timeout", app="a", queue_us=None, attempts=0)
    assert row["elapsed"] >= 200
    open(go, "w").close()
    expect(rows.of(c.read_response()), APPS, status=200, error=None)


def test_503_no_worker(serve, rows):
    f = serve(backend("exit=3"), wait=False)
    response = f.get("/a/me")
    assert response.status == 503
    expect(rows.of(response), DAEMONS, status=503, error="no_worker", app="a", path="/a/me", queue_us=None, attempts=0)


def test_502_and_503_of_an_upstream_that_is_down(serve, rows):
    """The first request finds it out, at an endpoint whose row it is; the next one is not even tried."""
    f = serve(upstream("127.0.0.1:%d" % closed_port()))
    response = f.get("/a/x")
    assert response.status == 502
    expect(rows.of(response), APPS, status=502, error="connect_failed", attempts=1, first_byte_us=None, path="/x")
    response = f.get("/a/x")
    assert response.status == 503
    expect(rows.of(response), DAEMONS, status=503, error="no_upstream", attempts=0, app="a", path="/a/x")


def test_another_upstream_is_tried(serve, rows, origin):
    o = origin()
    f = serve(upstream("127.0.0.1:%d" % closed_port(), o), origins=[o])
    both = [rows.of(f.get("/a/x")) for _ in range(2)]
    assert sorted(r["attempts"] for r in both) == [1, 2]
    for row in both:
        expect(row, status=200, error=None, target="Worker::a::2", worker_id=2, namespace="sales")


# ---- the worker's side --------------------------------------------------------------------------------------------------------

def test_504_before_the_reply(serve, rows):
    f = serve(backend(request_timeout="300ms"))
    response = f.get("/a/never")
    assert response.status == 504
    row = rows.of(response)
    expect(row, APPS, status=504, error="worker_timeout", first_byte_us=None, attempts=1, response_bytes=len(response.body))
    assert row["elapsed"] >= 200 and row["queue_us"] >= 0


def cut_reply(f, path):
    """A reply that ends before its end: its head."""
    c = f.client()
    c.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    head = c.read_response(body=False)
    with pytest.raises((ProtocolError, ConnectionResetError)):
        c.read_exactly(head.framing)
    return head


def test_replies_that_end_halfway(serve, rows, origin):
    """The client saw the status, so that is the row's; what went wrong stands in `error`."""
    o = origin()

    def half(conn, request):
        conn.send("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\nhalf")
        if request.path == "/hangs":
            conn.wait_eof(60)
        return CLOSE
    o.on("/closes", half)
    o.on("/hangs", half)
    f = serve(upstream(o, request_timeout="300ms"), origins=[o])
    for path, error in (("/closes", "worker_closed"), ("/hangs", "worker_timeout")):
        row = rows.of(cut_reply(f, "/a" + path))
        expect(row, APPS, status=201, error=error, response_bytes=4, path=path)
        assert 0 <= row["first_byte_us"] <= row["total_us"]


def test_502_of_a_worker_that_dies_and_of_one_that_talks_nonsense(serve, rows, origin):
    o = origin()
    o.raw("/x", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", CLOSE)
    o.raw("/switch", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: nonsense\r\nConnection: Upgrade\r\n\r\n", CLOSE)
    f = serve(apps={"b": upstream(o)}, origins=[o])
    response = f.post("/a/die")
    assert response.status == 502
    expect(rows.of(response), APPS, status=502, error="worker_closed", attempts=1, first_byte_us=None)
    for path in ("/b/x", "/b/switch"):
        response = f.get(path)
        assert response.status == 502
        row = rows.of(response)
        expect(row, status=502, error="worker_malformed", target="Worker::b::1", namespace="mine", app="b")
        assert row["first_byte_us"] >= 0


# ---- the client's side --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("end, error", [("shutdown", "client_closed"), ("reset", "client_reset")])
@pytest.mark.parametrize("buffer, whose", [("on", DAEMONS), ("off", APPS)])
def test_499_in_the_middle_of_an_upload(serve, rows, buffer, whose, end, error):
    f = serve(backend(buffer=buffer))
    c = f.client()
    c.send("POST /a/count HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n")
    assert c.read_head().startswith(b"HTTP/1.1 100 ")
    c.send("01234")
    getattr(c, end)()
    row = rows.wait(1)[0]
    expect(row, whose, status=499, error=error, app="a", method="POST", first_byte_us=None, response_bytes=0, attempts=int(whose is APPS))
    assert row["elapsed"] is not None and row["request_bytes"] in ((5,) if end == "shutdown" else (0, 5))  # a reset overtakes what was sent
    assert (row["queue_us"] is None) == (whose is DAEMONS)
    assert wait_stored(f)["received"] == 1


@pytest.mark.parametrize("end, error", [("shutdown", "client_closed"), ("reset", "client_reset")])
def test_499_in_the_queue(serve, rows, end, error):
    f = serve(backend(concurrency=1))
    c, go = busy(f)
    waiting = f.client()
    waiting.send("GET /a/me HTTP/1.1\r\nHost: x\r\n\r\n")
    queued(f)
    getattr(waiting, end)()
    row = rows.wait(1, where="path = '/a/me'")[0]
    expect(row, DAEMONS, status=499, error=error, app="a", queue_us=None, attempts=0, first_byte_us=None, response_bytes=0)
    queued(f, 0)
    open(go, "w").close()
    expect(rows.of(c.read_response()), APPS, status=200, error=None)


def test_499_of_a_client_that_takes_no_more(serve, rows):
    """Its worker has long answered: the time to its first byte is there, and what the worker sent."""
    f = serve(backend(buffer="on"), timeouts={"write": "300ms"})
    c = f.client(rcvbuf=4096)
    c.send("GET /a/download?mb=8 HTTP/1.1\r\nHost: x\r\n\r\n")
    row = rows.wait(1)[0]
    expect(row, APPS, status=499, error="write_timeout", path="/download", response_bytes=8 << 20)
    assert 0 <= row["first_byte_us"] <= row["total_us"]


def test_499_of_a_stop_that_does_not_wait(serve, rows):
    f = serve(shutdown={"mode": "immediate"})
    busy(f)
    assert f.stop() == 0
    os.truncate(f.stdout_path, 0)
    f.start()  # what was not sent then is sent now
    expect(rows.wait(1, where="path = '/hold'")[0], APPS, status=499, error="shutdown")


# ---- kill -9 ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("database", [full_database, seed_database])
def test_what_kill_9_leaves_of_a_request(faucet, pg, origin, database):
    """Reserved before the reply's last byte may go out, its row is there, without its end. In the middle of the reply, or before it, there is none."""
    rows = Rows(pg, database(pg, "r" + uuid.uuid4().hex[:12]))
    o = origin().hold("/midway").hold("/before")
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": backend(concurrency=1, buffer="on"), "b": upstream(o)}}, origins=[o])
    slow, midway, before = f.client(rcvbuf=4096), f.client(), f.client()
    midway.send("GET /b/midway HTTP/1.1\r\nHost: x\r\n\r\n")
    o.take("/midway").conn.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    head = midway.read_response(body=False)
    assert midway.read_exactly(4) == b"half"
    before.send("GET /b/before HTTP/1.1\r\nHost: x\r\n\r\n")
    o.take("/before")
    slow.send("POST /a/download?mb=8 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    died = slow.read_response(body=False)["Faucet-Request-Uuid"]
    assert f.get("/a/me").status == 200  # the only worker is free again: faucet has all of the reply, the client has not
    f.kill9()
    os.truncate(f.stdout_path, 0)
    f.expected_exit = 0
    f.start()
    row = rows.of(died)
    wait_stored(f)
    expect(row, method="POST", path="/download", query_params="mb=8", worker_id=1, target="Worker::a::1", status=None, elapsed=None)
    assert row["time"] is not None
    if database is full_database:
        expect(row, error="daemon_died", total_us=None, first_byte_us=None, request_bytes=None, response_bytes=None, attempts=1, app="a")
        assert row["queue_us"] >= 0
    assert sorted(r["path"] for r in rows.all()) == ["/download", "/me"], head


# ---- addresses and long text --------------------------------------------------------------------------------------------------

ACTIVATE = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_v4_client_of_a_v6_socket_is_v4(serve, rows):
    """As under systemd: a socket of both families, on which IPv4 clients come as ::ffff:127.0.0.1."""
    with socket.socket(socket.AF_INET6) as listener:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        listener.bind(("::", 0))
        listener.listen(20)
        f = serve(start=False)
        f.port = listener.getsockname()[1]
        f.replace(dict(listen="[::]:%d" % f.port, telemetry=settings(rows.pg, rows.name), apps={"a": backend()}))
        f.wrap = [sys.executable, "-c", ACTIVATE, str(listener.fileno())]
        f.spawn("--wait-ready", pass_fds=[listener.fileno()])
        f.wait_stdout(":%d" % f.port)
        assert rows.of(f.get("/a/me"))["ip_addr"] == "127.0.0.1"
        assert rows.of(f.get("/a/me", address=("::1", f.port)))["ip_addr"] == "::1"


def test_a_v4_client_behind_a_proxy_is_v4(serve, rows):
    f = serve(ip_from="x-forwarded-for", trusted_proxies=["127.0.0.0/8"])
    for said, stored in (("::ffff:203.0.113.9", "203.0.113.9"), ("203.0.113.9", "203.0.113.9"), ("2001:db8::9", "2001:db8::9")):
        assert rows.of(f.get("/a/me", {"X-Forwarded-For": said}))["ip_addr"] == stored


def test_a_long_host_is_cut(serve, rows):
    f = serve()
    assert rows.of(f.get("/a/me", host="h" * 256))["host"] == "h" * 255
    assert rows.of(f.get("/a/me", host="h" * 255))["host"] == "h" * 255
    row = rows.of(f.request("UNSUBSCRIBE", "/a/me"))  # the longest method there is
    assert row["method"] == "UNSUBSCRIBE" and row["status"] == 200


# ---- log events ---------------------------------------------------------------------------------------------------------------

def test_what_a_log_event_may_say(serve, rows):
    """As the documents have it: any case and `Warning`, arrays of one, the request in either place, any JSON as body, and no other key."""
    f = serve()
    mine, other = str(uuid.uuid4()), str(uuid.uuid4())
    events = [{"level": "Warning", "message": "0", "request_uuid": mine, "body": "text", "colour": "red"},
              {"level": ["TRACE"], "message": ["1"], "event_type": ["t"], "body": {"request_uuid": [mine], "n": [1]}},
              {"level": "error", "message": "2", "request_uuid": mine, "body": {"request_uuid": other}},
              {"level": "Info", "message": "3"}]
    for event in events:
        assert f.get("/a/print?stderr=1&text=" + quote("{{ faucet_event }}: " + json.dumps(event))).status == 200
    stored = {r["message"]: r for r in rows.wait(4, "faucet_log_events")}
    expect(stored["0"], level="Warn", request_uuid=mine, body="text", event_type=None, target="Worker::a::1", namespace="sales", version="1.4.2")
    expect(stored["1"], level="Trace", request_uuid=mine, body=events[1]["body"], event_type="t")
    expect(stored["2"], level="Error", request_uuid=mine, body={"request_uuid": other})
    expect(stored["3"], level="Info", request_uuid=None, body=None)
    assert all("red" not in str(r) for r in stored.values())
    for bad in ({"level": "Loud", "message": "m"}, {"level": "Info"}, {"level": "Info", "message": "m", "request_uuid": "17"}):
        f.get("/a/print?stderr=1&text=" + quote("{{ faucet_event }}: " + json.dumps(bad)))
    until(lambda: f.log().count("[not a log event: ") == 3, 10, "each is logged with what is wrong with it")
    wait_stored(f)
    assert len(rows.all("faucet_log_events")) == 4


# ---- the documents ------------------------------------------------------------------------------------------------------------

def source(*path):
    with open(os.path.join(ROOT, "src", *path)) as f:
        return f.read()


OF_CONNECTIONS = {"keepalive_timeout", "reply_done", "too_many_connections", "upstream_idle"}  # never those of a request or session


def words_of_error():
    """Every word that faucet can put into `error`: those of close reasons and those that answers of our own name."""
    words = set(re.findall(r'^CLOSE\(\w+, "(\w+)"', source("net", "close_reason.def"), re.M)) - {"none"}
    for name in sorted(os.listdir(os.path.join(ROOT, "src", "proxy"))):
        if name.endswith(".c"):
            text = source("proxy", name)
            words |= set(re.findall(r'(?:exchange_answer|refuse)\(x, \d+, "(\w+)"', text))
            words |= set(re.findall(r'(?:\{\d{3},|== \d{3} \?) "(\w+)"', text))
    return words | set(re.findall(r'record_text\(d, error, STR\("(\w+)"\)\)', source("telemetry", "record_read.c")))


@pytest.mark.parametrize("doc", ["telemetry.md", "es/telemetria.md"])
def test_documents_have_every_word(doc):
    words = words_of_error()
    assert {"client_closed", "worker_gone", "header_timeout", "bad_request", "queue_full", "queue_timeout", "no_worker", "app_gone", "no_route",
            "body_too_large", "no_space", "no_file", "daemon_died"} <= words  # they are found at all
    with open(os.path.join(ROOT, "docs", doc)) as f:
        text = f.read()
    section = re.search(r"^### [^\n]*`error`[^\n]*`ended`\n(.*?)^##", text, re.M | re.S)
    assert section, "no section on the words of error and ended"
    listed = dict(re.findall(r"^\| `(\w+)` \| \w+ \| (.+) \|$", section[1], re.M))
    wanted = words - OF_CONNECTIONS
    assert set(listed) == wanted, "missing: %s; faucet has no %s" % (sorted(wanted - set(listed)), sorted(set(listed) - wanted))
    assert all(len(meaning) > 10 for meaning in listed.values()), listed
    assert all("`%s`" % word in section[1] for word in OF_CONNECTIONS)


TYPES = {"INT2": "SMALLINT", "INT4": "INT", "INT8": "BIGINT", "FLOAT8": "DOUBLE PRECISION"}  # the others are called alike


def columns_of_source():
    """{table: {column: (type, whether it is the seed's, meaning)}}"""
    tables = {}
    for kind, name, type_, seed, meaning in re.findall(r'^(\w+)\((\w+), +(\w+), +(SEED|MORE), "(.*)"\)$', source("telemetry", "columns.def"), re.M):
        table = "faucet_gaps" if kind == "GAP" else "faucet_%s_events" % kind.lower()
        tables.setdefault(table, {})[name] = (TYPES.get(type_, type_), kind == "HTTP" and seed == "SEED", meaning)
    return tables


@pytest.mark.parametrize("doc", ["telemetry.md", "es/telemetria.md"])
def test_documents_have_every_column_as_it_is(doc):
    """The English text of columns.def, letter for letter; in Spanish, as many columns of the same types."""
    with open(os.path.join(ROOT, "docs", doc)) as f:
        text = f.read()
    for table, columns in columns_of_source().items():
        section = re.search(r"^### `%s`\n(.*?)^(?:##|[^|\n])" % table, text, re.M | re.S)[1]
        shown = {name: (type_, bool(star), meaning.replace("&lt;", "<").replace("&gt;", ">"))
                 for name, star, type_, meaning in re.findall(r"^\| `(\w+)`( ★)? \| ([A-Z ]+) \| (.+) \|$", section, re.M)}
        if doc.startswith("es/"):
            shown = {name: (*row[:2], columns.get(name, row)[2]) for name, row in shown.items() if row[2]}
        assert shown == columns, table


@pytest.mark.parametrize("path", ["docs/telemetry.md", "docs/es/telemetria.md", "contrib/r/faucet_event.R"])
def test_documents_know_how_long_an_event_may_be(path):
    kib, = re.findall(r"LOG_EVENT_LINE_MAX \(\(size_t\)(\d+) \* 1024\)", source("telemetry", "log_event.h"))
    with open(os.path.join(ROOT, path)) as f:
        said = re.search(r"(?:A line|Keep a line|Una línea)[^.;]*?(\d+) KiB", f.read())
    assert said and said[1] == kib
