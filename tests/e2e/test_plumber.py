"""A real Plumber API: JSON, errors, uploads, one request at a time, speed over a kept connection."""
import json
import statistics
import threading
import time

import pytest

from faucet import APPS, MEMORY_ROOM
from processes import rss_anon


@pytest.fixture(scope="module")
def f(module_faucet):
    return module_faucet({"apps": {"api": {"dir": APPS + "/plumber"}, "two": {"dir": APPS + "/plumber", "workers": 2}}})


def test_get_and_post(f):
    got = json.loads(f.get("/api/echo?msg=hello%20w%C3%B6rld").body)
    assert got["msg"] == "hello w\u00f6rld" and got["path"] == "/echo" and got["query"].startswith("?msg=") and got["forwarded"] == "127.0.0.1"
    assert got["prefix"].rstrip("/") == "/api"
    assert json.loads(f.post("/api/sum", "a=1&b=2.5", {"Content-Type": "application/x-www-form-urlencoded"}).body) == {"sum": 3.5}
    assert json.loads(f.post("/api/sum", '{"a": 3, "b": 4}', {"Content-Type": "application/json"}).body) == {"sum": 7}


def test_errors_are_the_apps_own(f):
    r = f.get("/api/fail")
    assert r.status == 500 and r["Content-Type"].startswith("application/json")
    r = f.get("/api/none")
    assert r.status == 404 and "application/json" in r["Content-Type"]


def test_redirect_under_the_prefix(f):
    assert f.get("/api/moved")["Location"] == "/api/echo"


def test_head_and_keep_alive(f):
    """httpuv answers HEAD with a body: the connection to it must not carry that into the next reply."""
    c = f.client()
    for _ in range(3):
        c.send("HEAD /api/echo?msg=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        c.read_response("HEAD")
        c.send("GET /api/echo?msg=2 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert json.loads(c.read_response().body)["msg"] == "2"


@pytest.mark.parametrize("size", [1, 65535, 65537, 10 << 20])
def test_upload(f, size):
    r = f.post("/api/size", b"u" * size, {"Content-Type": "application/octet-stream"}, timeout=60)
    assert json.loads(r.body) == {"bytes": size}


def test_chunked_upload(f):
    """httpuv knows no trailers and only one form of chunked; what reaches it must be readable to it."""
    c = f.client()
    c.send("POST /api/size HTTP/1.1\r\nHost: x\r\nContent-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
           "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX-T: 1\r\n\r\nGET /api/echo?msg=3 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert json.loads(c.read_response().body) == {"bytes": 11}
    assert json.loads(c.read_response().body)["msg"] == "3"


def test_pipelined(f):
    c = f.client()
    c.send("".join("GET /api/echo?msg=%d HTTP/1.1\r\nHost: x\r\n\r\n" % i for i in range(20)))
    assert [json.loads(c.read_response().body)["msg"] for _ in range(20)] == [str(i) for i in range(20)]


def test_underscore_alias_does_not_win(f):
    r = f.get("/api/echo", {"X_Forwarded_For": "6.6.6.6"})
    assert json.loads(r.body)["forwarded"] == "127.0.0.1"


def test_fast_over_a_kept_connection(f):
    """The original needs 44 ms (Nagle in httpuv); here the median is a few."""
    c = f.client()
    times = []
    for i in range(60):
        began = time.monotonic()
        c.send("GET /api/echo?msg=%d HTTP/1.1\r\nHost: x\r\n\r\n" % i)
        c.read_response()
        times.append(time.monotonic() - began)
    assert statistics.median(times[5:]) < 0.030, "median %.1f ms" % (statistics.median(times[5:]) * 1e3)


def test_one_slow_request_does_not_block_the_other_worker(f):
    pids = {json.loads(f.get("/two/echo").body)["pid"] for _ in range(8)}
    assert len(pids) == 2
    c = f.client()
    c.send("GET /two/sleep?s=3 HTTP/1.1\r\nHost: x\r\n\r\n")
    time.sleep(0.2)
    began = time.monotonic()
    answered = {json.loads(f.get("/two/echo").body)["pid"] for _ in range(10)}
    assert time.monotonic() - began < 2, "queued behind the slow one"
    assert len(answered) == 1
    assert json.loads(c.read_response().body) == {"slept": 3}


def test_requests_in_parallel(f):
    results = []

    def ask(i):
        results.append(json.loads(f.get("/two/echo?msg=%d" % i).body)["msg"] == str(i))
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(50)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert results == [True] * 50


def test_output_is_in_the_log(f):
    f.get("/api/say?text=spoken-in-R")
    f.log_contains(r"WARN  Worker::api::1\] .*spoken-in-R")
    f.log_contains(r"INFO  Worker::api::1\] .*spoken-in-R")
    assert rss_anon(f.pid) < (64 << 20) + MEMORY_ROOM


def test_access_line(f):
    f.get("/api/echo?msg=line", {"User-Agent": "e2e/1"})
    f.log_contains(r"^\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z INFO  Worker::api::1\] 127\.0\.0\.1 \"GET /api/echo\S* HTTP/1\.1\" 200 \"e2e/1\" \d+$")
