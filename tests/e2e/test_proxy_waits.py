"""Who is waited for, how long, and who pays: every state of an exchange in which one side is silent."""
import os
import re
import resource
import signal
import socket
import subprocess
import time

import pytest

from faucet import BIN, backend, free_port, upstream
from origin import CLOSE
from wire import until

POST = "POST /a/x HTTP/1.1\r\nHost: x\r\n"


def make(faucet, origin, timeouts=None, **settings):
    o = origin(path="/tmp/o%d.sock" % free_port())
    return faucet({"timeouts": timeouts or {}, "apps": {"a": upstream(o, **settings)}}, origins=[o]), o


def cpu(f):
    fields = open("/proc/%d/stat" % f.pid).read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("buffer", ["on", "off"])
@pytest.mark.parametrize("end", [b"0\r\nX-Sum: 1", b"5\r\nab", b"0\r\n"])
def test_fin_inside_a_chunked_body_ends_it(faucet, origin, buffer, end):
    """What is left in the buffer is no reason to read on after FIN (that turned in circles)."""
    f, o = make(faucet, origin, buffer=buffer)
    before = cpu(f)
    c = f.client()
    c.send(POST + "Transfer-Encoding: chunked\r\n\r\n", end).shutdown()
    began = time.monotonic()
    c.read_all(10)
    assert time.monotonic() - began < 5
    assert cpu(f) - before < 1.0
    assert f.get("/a/").status == 200


def test_a_worker_that_is_slow_to_read_is_no_fault_of_the_client(faucet, origin):
    f, o = make(faucet, origin, {"body": "500ms"}, buffer="off")

    def slow(conn, request):
        time.sleep(2)
        conn.read_request_body(request)
        conn.reply("200 OK", str(len(request.body)))
    o.on("/x", slow)
    r = f.post("/a/x", b"z" * 700_000)
    assert (r.status, r.body) == (200, b"700000"), r


def test_a_worker_that_never_reads_is_504(faucet, origin):
    f, o = make(faucet, origin, buffer="off", request_timeout="500ms")
    o.on("/x", lambda conn, request: time.sleep(5) or CLOSE)
    c = f.client()
    c.send(POST + "Content-Length: 3000000\r\n\r\n", b"z" * 600_000)
    assert c.read_response(timeout=4).status == 504


def test_a_worker_that_takes_no_more_has_its_time_to_answer(faucet, origin):
    """It shut its reading side down: the client is not asked for more, nor blamed for sending no more."""
    f, o = make(faucet, origin, {"body": "300ms"}, buffer="off", request_timeout="4s")

    def deaf(conn, request):
        conn.read_exactly(1)
        conn.sock.shutdown(socket.SHUT_RD)
        time.sleep(1.5)
        conn.reply("413 Content Too Large", b"too much")
        return CLOSE
    o.on("/x", deaf)
    c = f.client()
    c.send(POST + "Content-Length: 100000\r\n\r\n1")
    o.wait_seen("/x")
    time.sleep(0.1)
    c.send(b"2" * 1000)
    time.sleep(0.1)
    c.send(b"2" * 1000)
    assert c.read_response(timeout=5).status == 413


def test_and_no_longer_than_that(faucet, origin):
    f, o = make(faucet, origin, buffer="off", request_timeout="500ms")

    def deaf(conn, request):
        conn.sock.shutdown(socket.SHUT_RD)
        time.sleep(6)
        return CLOSE
    o.on("/x", deaf)
    c = f.client()
    c.send(POST + "Content-Length: 100000\r\n\r\n1")
    o.wait_seen("/x")
    time.sleep(0.1)
    c.send(b"2" * 1000)
    assert c.read_response(timeout=4).status == 504


def test_a_body_that_stops_while_the_reply_runs(faucet, origin):
    """The worker answers early; the client takes the reply slowly, then neither sends nor is done: timeouts.body ends it."""
    f, o = make(faucet, origin, {"body": "1s", "write": "20s"}, buffer="off")

    def early(conn, request):
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(64):
            conn.send(b"10000\r\n" + b"y" * 65536 + b"\r\n")
        time.sleep(20)
        return CLOSE
    o.on("/x", early)
    c = f.client(rcvbuf=8192)
    c.send(POST + "Content-Length: 1000\r\n\r\n123")
    time.sleep(0.5)
    began = time.monotonic()
    c.keep = False
    c.read_all(12)
    assert time.monotonic() - began < 8


def test_early_reply_that_streams_is_not_cut_while_it_moves(faucet, origin):
    f, o = make(faucet, origin, buffer="off", request_timeout="800ms")

    def early(conn, request):
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(8):
            conn.send("1\r\nx\r\n")
            time.sleep(0.3)
        conn.read_request_body(request)
        conn.send("0\r\n\r\n")
    o.on("/x", early)
    c = f.client()
    c.send(POST + "Content-Length: 4\r\n\r\n12")
    head = c.read_head()
    assert b" 200 " in head
    time.sleep(2.6)
    c.send("34")
    assert c.read_all(5).endswith(b"0\r\n\r\n")


def test_reply_without_end_to_a_client_that_left(faucet):
    """request_timeout at most is read and thrown away; a stream without end would hold its lease for ever."""
    code = ("import socket,sys,threading,time\ns=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(50)\n"
            "def go(c):\n d=c.recv(65536)\n if b'/stream' in d:\n  c.sendall(b'HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n')\n"
            "  try:\n   while True:\n    c.sendall(b'1\\r\\nx\\r\\n'); time.sleep(.05)\n  except OSError: return\n"
            " c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\nConnection: close\\r\\n\\r\\nok'); c.close()\n"
            "while True: threading.Thread(target=go,args=(s.accept()[0],),daemon=True).start()\n")
    f = faucet({"apps": {"a": {"command": ["/usr/bin/python3", "-c", code, "{socket}"], "workers": 1, "concurrency": 1, "request_timeout": "1s"}}})
    c = f.client()
    c.send("GET /a/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    c.read_until(b"1\r\nx\r\n")
    c.reset()
    began = time.monotonic()
    assert f.get("/a/next", timeout=10).status == 200
    assert 0.5 < time.monotonic() - began < 5


def test_fin_while_queued_with_half_a_body_is_left(faucet):
    f = faucet({"apps": {"a": backend(workers=1, concurrency=1, buffer="off")}})
    first, gone = f.client(), f.client()
    first.send("GET /a/hold?name=%s/first HTTP/1.1\r\nHost: x\r\n\r\n" % f.dir)
    until(lambda: os.path.exists(f.dir + "/first.began"), 10)
    gone.send("POST /a/hold?name=%s/gone HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" % f.dir)
    time.sleep(0.2)
    gone.shutdown()
    assert gone.read_all(5) == b""
    f.file("first.go"), f.file("gone.go")
    assert first.read_response().status == 200
    assert f.get("/a/me").status == 200
    assert not os.path.exists(f.dir + "/gone.began")


def test_http_1_0_without_host_reaches_a_worker(faucet, origin):
    f, o = make(faucet, origin)
    r = f.get("/a/x", host=None, version="1.0")
    assert r.status == 200
    assert o.seen("/x")[0]["Host"] == "localhost" and "X-Forwarded-Host" not in o.seen("/x")[0].headers


def test_chunks_of_one_byte_both_ways(faucet, origin):
    f, o = make(faucet, origin, buffer="off")

    def echo(conn, request):
        conn.read_request_body(request)
        conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * len(request.body), "0\r\n\r\n")
    o.on("/x", echo)
    before = cpu(f)
    c = f.client()
    c.send(POST + "Transfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n" * 100_000 + b"0\r\n\r\n")
    assert len(c.read_response(timeout=30).body) == 100_000
    assert cpu(f) - before < 5


def limited(faucet, n):
    return faucet({"limits": {"connections": n}, "timeouts": {"keepalive": "60s"}, "apps": {"a": backend(buffer="off")}})


def test_connections_at_the_limit(faucet):
    """Busy ones fill it: more wait in the backlog, none is thrown out, and a kept-alive one makes room as soon as it idles."""
    n = 16
    f = limited(faucet, n)
    busy = [f.client() for _ in range(n)]
    for i, c in enumerate(busy):
        c.send("GET /a/hold?name=%s/%d HTTP/1.1\r\nHost: x\r\n\r\n" % (f.dir, i))
        until(lambda: os.path.exists("%s/%d.began" % (f.dir, i)), 10)
    more = f.client()
    more.send("GET /a/hold?name=%s/more HTTP/1.1\r\nHost: x\r\n\r\n" % f.dir)
    f.file("more.go")
    late = [f.client() for _ in range(3)]
    for c in late:
        c.send("GET /a/me HTTP/1.1\r\nHost: x\r\n\r\n")
    assert late[-1].quiet(0.3)
    f.file("0.go")
    assert busy[0].read_response().status == 200           # kept alive, idle now: it gives way
    assert more.read_response().status == 200
    for c in late:
        assert c.read_response().status == 200
    for i in range(1, n):
        f.file("%d.go" % i)
        assert busy[i].read_response().status == 200


WS = ("GET /a/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")


def test_half_closed_tunnel_ends_when_the_worker_says_nothing_more(faucet, origin):
    f, o = make(faucet, origin, request_timeout="1s")
    o.hold("/ws")
    c = f.client()
    c.send(WS)
    t = o.take("/ws")
    t.conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    assert c.read_response().status == 101
    assert c.quiet(1.5)                                     # open on both sides: silent as long as it likes
    c.shutdown()
    for _ in range(3):                                      # half-closed, and it still speaks
        time.sleep(0.5)
        t.conn.send(b"\x81\x01x")
    assert c.read_exactly(9)
    began = time.monotonic()
    assert c.wait_eof(6)
    assert time.monotonic() - began < 4
    t.finish()


@pytest.mark.parametrize("second", [False, True])
def test_stop_with_everything_under_way(faucet, origin, second):
    """One of each state; the end is clean for a leak checker, whichever way it comes."""
    o = origin(path="/tmp/o%d.sock" % free_port())
    f = faucet({"shutdown": {"timeout": "1s"}, "timeouts": {"stop": "1s"},
                "apps": {"a": upstream(o), "one": backend(workers=1, concurrency=1), "files": {"type": "static", "dir": "@DIR@"}}}, origins=[o])
    f.file("big", "b" * (8 << 20))
    o.hold("/held"), o.hold("/ws"), o.hold("/up")
    head = " HTTP/1.1\r\nHost: x\r\n"
    kept = f.client()
    kept.send("GET /a/y" + head + "\r\n")
    assert kept.read_response().status == 200
    half = f.client().send("GET /a/he")
    held = f.client().send("GET /a/held" + head + "\r\n")
    o.take("/held")
    up = f.client().send("POST /a/up" + head + "Content-Length: 100\r\n\r\nabc")
    o.take("/up")
    ws = f.client().send(WS)
    o.take("/ws").conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
    assert ws.read_response().status == 101
    busy = f.client().send("GET /one/hold?name=%s/busy" % f.dir + head + "\r\n")
    until(lambda: os.path.exists(f.dir + "/busy.began"), 10)
    queued = f.client().send("GET /one/me" + head + "\r\n")
    collected = f.client().send("POST /one/me" + head + "Content-Length: 1000000\r\n\r\n" + "x" * 300_000)
    busy.reset()                                            # its exchange goes on without it
    slow = f.client(rcvbuf=4096).send("GET /files/big" + head + "\r\n")
    slow.read_head()
    pipelined = f.client().send(("GET /a/held" + head + "\r\n") * 3)
    time.sleep(0.3)
    f.signal(signal.SIGTERM)
    if second:
        until(lambda: "stopping" in f.stderr(), 10)
        f.signal(signal.SIGINT)
    f.process.wait(20)
    assert f.process.returncode == 0, f.stderr()
    rest = ws.read_all(5)
    assert rest[:1] == b"\x88" and rest[2:4] == b"\x03\xe9", rest
    for c in (kept, half, held, up, queued, collected, slow, pipelined):
        c.close()


# -- the disk takes no more (a limit on file sizes behaves like that)
def small_disk(faucet, origin):
    f, o = make(faucet, origin, buffer="on")
    resource.prlimit(f.pid, resource.RLIMIT_FSIZE, (200_000, 200_000))
    return f, o


def test_upload_that_no_disk_takes_is_503(faucet, origin):
    f, o = small_disk(faucet, origin)
    assert f.post("/a/x", b"z" * 2_000_000).status == 503
    assert not o.seen("/x")
    assert f.post("/a/x", b"z" * 100_000).status == 200
    f.log_contains(r"temporary file: File too large")


def test_download_that_no_disk_takes_goes_at_the_pace_of_the_client(faucet, origin):
    f, o = small_disk(faucet, origin)
    body = bytes(range(256)) * 4096 * 8
    o.reply("/big", "200 OK", body)
    c = f.client(rcvbuf=16384)
    c.keep = False
    c.send("GET /a/big HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.5)
    assert c.read_response(timeout=30).body == body
    c.send("GET /a/after HTTP/1.1\r\nHost: x\r\n\r\n")
    assert c.read_response().status == 200


def test_start_is_named_after_dir_alone(faucet):
    f = faucet({"apps": {"x": {"type": "static", "dir": "@APPS@"}}})
    os.makedirs(f.dir + "/my_app"), os.makedirs(f.dir + "/elsewhere")
    open(f.dir + "/my_app/index.html", "w").write("hello")
    other = free_port()
    p = subprocess.Popen([BIN, "start", "--dir", f.dir + "/my_app", "--type", "static", "--listen", "127.0.0.1:%d" % other,
                          "--log-format", "json", "--state-dir", f.dir + "/elsewhere"],
                         stderr=subprocess.PIPE, env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": f.runtime}, text=True)
    try:
        until(lambda: not refused(other), 20)
        assert f.get("/", address=("127.0.0.1", other)).body == b"hello"
    finally:
        p.send_signal(signal.SIGTERM)
        text = p.communicate(timeout=20)[1]
    assert re.search(r'"app": ?"my_app"', text), text


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return False
    except OSError:
        return True
