"""Every kind of exchange gives the row that DESIGN section 8 says, in the seed's table as it is and in the one of `faucet db init`."""
import asyncio
import json
import os
import socket
import uuid

import pytest
import websockets

from faucet import APPS, PYTHON, backend, upstream
from origin import CLOSE
from postgres import Postgres, closed_port
from telemetry import Rows, account, accounts, destinations, full_database, seed_database, settings, wait_stored
from wire import until


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture(params=["seed", "full"])
def rows(pg, request):
    name = "r" + uuid.uuid4().hex[:12]
    return Rows(pg, (seed_database if request.param == "seed" else full_database)(pg, name))


@pytest.fixture
def full(pg):
    return Rows(pg, full_database(pg, "r" + uuid.uuid4().hex[:12]))


def app(**more):
    return backend(workers=2, telemetry={"namespace": "sales", "version": "1.4.2"}, **more)


def test_an_ordinary_request(faucet, pg, rows):
    f = faucet({"telemetry": settings(pg, rows.name, namespace="mine", version="7"), "apps": {"a": app(route="/sales/")}})
    row = rows.of(f.get("/sales/me?x=1&y=caf%C3%A9", {"User-Agent": "curl/8"}))
    assert row["namespace"] == "sales" and row["version"] == "1.4.2"
    assert row["target"] == "Worker::a::%d" % row["worker_id"] and row["worker_id"] in (1, 2)
    assert (row["worker_route"], row["path"], row["query_params"]) == ("/sales/", "/me", "x=1&y=caf%C3%A9")
    assert (row["method"], row["http_version"], row["status"], row["user_agent"]) == ("GET", "HTTP/1.1", 200, "curl/8")
    assert row["ip_addr"] == "127.0.0.1" and 0 <= row["elapsed"] < 5000
    if "app" in row:
        assert row["app"] == "a" and row["config"] == 1 and row["generation"] == 1 and row["attempts"] == 1 and row["error"] is None
        assert row["elapsed"] == row["total_us"] // 1000 and row["first_byte_us"] <= row["total_us"] and row["queue_us"] >= 0
        assert row["response_bytes"] > 0 and row["host"] == "localhost" and len(row["trace_id"]) == 32 and row["instance"]
    row = rows.of(f.get("/sales/me", version="1.0"))
    assert row["query_params"] is None and row["http_version"] == "HTTP/1.0" and row["user_agent"] is None
    assert rows.of(f.get("/sales/me?"))["query_params"] == ""


def test_what_never_reached_a_worker_is_the_daemons(faucet, pg, rows):
    f = faucet({"telemetry": settings(pg, rows.name, namespace="mine"), "apps": {"a": app(), "s": {"type": "static", "dir": APPS},
                "own": {"type": "static", "dir": APPS, "telemetry": {"namespace": "files", "version": "2"}}}})
    row = rows.of(f.get("/nowhere"))
    assert (row["target"], row["worker_route"], row["worker_id"], row["status"]) == ("faucet", None, None, 404)
    assert (row["namespace"], row["version"], row["path"]) == ("mine", None, "/nowhere")
    row = rows.of(f.get("/s/tiny.py"))
    assert (row["target"], row["status"], row["namespace"]) == ("faucet", 200, "mine")
    row = rows.of(f.get("/own/tiny.py"))  # files have no workers: the app itself answered
    assert (row["target"], row["worker_id"], row["namespace"], row["version"]) == ("faucet", None, "files", "2")
    row = rows.of(f.request("HEAD", "/s/tiny.py"))
    assert row["method"] == "HEAD" and row["status"] == 200
    row = rows.of(f.get("/a"))
    assert row["status"] == 308 and row["target"] == "faucet"


def test_an_unparsable_request(faucet, pg, rows):
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": app()}})
    c = f.client()
    c.send("GET / HTTP/1.1\r\nHost : x\r\n\r\n")
    row = rows.of(c.read_response())
    assert row["status"] == 400 and row["method"] is None and row["path"] is None and row["target"] == "faucet"
    assert row["namespace"] == "faucet" and row["ip_addr"] == "127.0.0.1"


def test_a_worker_that_dies_and_one_that_is_not_there(faucet, pg, rows):
    f = faucet({"telemetry": settings(pg, rows.name),
                "apps": {"a": app(), "gone": {"upstream": ["127.0.0.1:%d" % closed_port()]}}}, wait=False)
    f.wait_ready("a", "/a/me")
    row = rows.of(f.post("/a/die"))
    assert row["status"] == 502 and row["target"].startswith("Worker::a::") and row["namespace"] == "sales"
    if "error" in row:
        assert row["error"] in ("worker_closed", "worker_error")
    row = rows.of(f.get("/gone/x"))
    assert row["status"] in (502, 503)


def test_queue_full(faucet, pg, rows):
    f = faucet({"telemetry": settings(pg, rows.name, namespace="mine"),
                "apps": {"a": backend(concurrency=1, queue={"size": 0}, telemetry={"namespace": "sales"})}})
    hold = os.path.join(f.dir, "hold")
    c = f.client()
    c.send("GET /a/hold?name=%s HTTP/1.1\r\nHost: x\r\n\r\n" % hold)
    until(lambda: os.path.exists(hold + ".began"), 10, "the worker has it")
    row = rows.of(f.get("/a/me"))
    assert (row["status"], row["target"], row["worker_id"], row["namespace"]) == (503, "faucet", None, "mine")
    if "error" in row:
        assert row["error"] == "queue_full" and row["app"] == "a"
    open(hold + ".go", "w").close()
    assert rows.of(c.read_response())["status"] == 200


def test_a_client_that_left(faucet, pg, rows):
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": app()}})
    hold = os.path.join(f.dir, "hold")
    c = f.client()
    c.send("GET /a/hold?name=%s HTTP/1.1\r\nHost: x\r\n\r\n" % hold)
    until(lambda: os.path.exists(hold + ".began"), 10, "the worker has it")
    c.reset()
    row = rows.wait(1, where="path = '/hold'")[0]
    assert row["status"] == 499 and row["target"].startswith("Worker::a::")
    open(hold + ".go", "w").close()
    wait_stored(f)
    assert len(rows.all(where="path = '/hold'")) == 1


@pytest.mark.parametrize("reply", ["length", "chunked", "close", "empty", "head", "large"])
def test_every_framing_gives_one_row(faucet, pg, full, origin, reply):
    o = origin()
    body = "x" * (3 << 20)

    def answer(conn, request):
        if reply == "length":
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n01234")
            conn.send("56789")
        elif reply == "chunked":
            conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n")
        elif reply == "close":
            conn.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n0123456789")
            return CLOSE
        elif reply == "empty":
            conn.send("HTTP/1.1 204 No Content\r\n\r\n")
        elif reply == "head":
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        else:
            conn.send("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    o.on("/r", answer)
    f = faucet({"telemetry": settings(pg, full.name), "apps": {"a": upstream(o)}})
    response = f.request("HEAD" if reply == "head" else "GET", "/a/r")
    row = full.of(response)
    assert row["status"] == response.status and row["elapsed"] is not None and row["error"] is None
    assert row["response_bytes"] == len(response.body)
    assert account(f)["received"] == 1


def test_ipv6_and_unix_clients(faucet, pg, rows):
    f = faucet({"listen": ["127.0.0.1:@PORT@", "[::1]:@PORT@", "unix:@DIR@/l.sock"], "telemetry": settings(pg, rows.name),
                "apps": {"a": app()}}, listen=False)
    assert rows.of(f.request("GET", "/a/me", address=("::1", f.port)))["ip_addr"] == "::1"
    assert rows.of(f.request("GET", "/a/me", address=os.path.join(f.dir, "l.sock")))["ip_addr"] is None


def test_long_and_binary_text_survives(faucet, pg, rows):
    f = faucet({"limits": {"header_size": "64KiB"}, "telemetry": settings(pg, rows.name), "apps": {"a": app()}})
    row = rows.of(f.get("/a/" + "p" * 9000 + "?" + "q" * 9000, {"User-Agent": "u" * 9000}))
    assert row["path"] == "/" + "p" * 4095 and row["query_params"] == "q" * 4096 and row["user_agent"] == "u" * 1024
    c = f.client()
    c.send(b"GET /a/me HTTP/1.1\r\nHost: x\r\nUser-Agent: a\xff\xfeb\xc3\xa9\r\nConnection: close\r\n\r\n")
    row = rows.of(c.read_response())
    assert row["user_agent"] == "a\ufffd\ufffdb\u00e9"
    row = rows.of(f.get("/a/%fe%ff"))
    assert row["path"].lower() == "/%fe%ff"


def test_privacy_is_per_app(faucet, pg, rows):
    telemetry = settings(pg, rows.name, ip="truncated")
    f = faucet({"telemetry": telemetry, "apps": {"a": backend(telemetry={"query_params": "keys"}),
                                                 "b": backend(telemetry={"query_params": "off", "ip": "off"}), "c": backend(telemetry={"ip": "full"})}})
    row = rows.of(f.get("/a/me?name=secret&x=1"))
    assert row["query_params"] == "name&x" and row["ip_addr"] == "127.0.0.0"
    row = rows.of(f.get("/b/me?name=secret"))
    assert row["query_params"] is None and row["ip_addr"] is None
    row = rows.of(f.get("/c/me?name=known"))
    assert row["query_params"] == "name=known" and row["ip_addr"] == "127.0.0.1"
    assert rows.of(f.get("/nowhere"))["ip_addr"] == "127.0.0.0"


def test_apps_may_have_a_database_of_their_own(faucet, pg):
    one, two = (Rows(pg, full_database(pg, "r" + uuid.uuid4().hex[:12])) for _ in range(2))
    f = faucet({"telemetry": settings(pg, one.name),
                "apps": {"a": backend(), "b": backend(telemetry={"postgres_string": pg.string(two.name)}),
                         "c": backend(telemetry={"postgres_string": pg.string(two.name) + " application_name=other"}),
                         "d": backend(telemetry={"postgres_string": pg.string(two.name)})}})
    of_a, of_b, of_c, of_d = (f.get("/%s/me" % app) for app in "abcd")
    one.of(of_a), two.of(of_b), two.of(of_c), two.of(of_d)
    wait_stored(f)
    assert len(one.all()) == 1 and len(two.all()) == 3
    assert len(destinations(f)) == 3  # one for each distinct string (test_telemetry_strings.py)


def test_off_without_a_connection_string(faucet):
    f = faucet({"apps": {"a": backend()}})
    assert f.get("/a/me").status == 200
    status = f.status()["telemetry"]
    assert status["on"] is False and status["destinations"] == [] and os.listdir(f.state) == []


def test_a_reload_changes_the_version_of_what_begins_afterwards(faucet, pg, full):
    def config(version):
        return {"telemetry": settings(pg, full.name), "apps": {"a": backend(telemetry={"namespace": "n" + version, "version": version})}}
    f = faucet(config("1"))
    hold = os.path.join(f.dir, "hold")
    c = f.client()
    c.send("GET /a/hold?name=%s HTTP/1.1\r\nHost: x\r\n\r\n" % hold)
    until(lambda: os.path.exists(hold + ".began"), 10, "the worker has it")
    f.reload(config("2"))
    after = full.of(f.get("/a/me"))
    open(hold + ".go", "w").close()
    before = full.of(c.read_response())
    assert (before["version"], before["namespace"], before["config"]) == ("1", "n1", 1)
    assert (after["version"], after["namespace"], after["config"]) == ("2", "n2", 2)


def test_a_reload_to_another_database_loses_nothing(faucet, pg):
    one, two = (Rows(pg, full_database(pg, "r" + uuid.uuid4().hex[:12])) for _ in range(2))

    def config(rows, **more):
        return {"telemetry": settings(pg, rows.name, **more), "apps": {"a": backend()}}
    f = faucet(config(one))
    hold = os.path.join(f.dir, "hold")
    c = f.client()
    c.send("GET /a/hold?name=%s HTTP/1.1\r\nHost: x\r\n\r\n" % hold)
    until(lambda: os.path.exists(hold + ".began"), 10, "the worker has it")
    first = f.get("/a/me")
    f.reload(config(two))
    second = f.get("/a/me")
    open(hold + ".go", "w").close()
    held = c.read_response()
    one.of(first), one.of(held), two.of(second)  # the held one began when the first database was configured
    f.log_contains("no longer configured and closed", 15)
    f.reload(config(two, pool_size=4))
    two.of(f.get("/a/me"))
    f.reload({"apps": {"a": backend()}})
    f.get("/a/me")
    f.log_contains(two.name + ".*no longer configured and closed", 15)
    assert len(two.all()) == 2 and f.status()["telemetry"]["on"] is False


def test_log_events(faucet, pg, full):
    f = faucet({"telemetry": settings(pg, full.name), "apps": {"a": backend(telemetry={"namespace": "n", "version": "3"})}})
    event = {"target": ["mine"], "event_id": [str(uuid.uuid4())], "level": ["Info"], "parent_event_id": None, "event_type": ["click"],
             "message": ["hello"], "body": {"k": [1, 2]}}

    def say(text):
        from urllib.parse import quote
        assert f.get("/a/print?stderr=1&text=" + quote(text)).status == 200
    say("{{ faucet_event }}: " + json.dumps(event))
    row = full.wait(1, "faucet_log_events")[0]
    assert (row["namespace"], row["version"], row["target"], row["level"]) == ("n", "3", "mine", "Info")
    assert (row["event_type"], row["message"], row["body"]) == ("click", "hello", {"k": [1, 2]})
    assert row["event_id"] == event["event_id"][0] and row["parent_event_id"] is None and row["app"] == "a" and row["worker_id"] == 1
    say("{{ faucet_event }}: {broken")
    f.log_contains(r"\[not a log event: ")
    long = dict(event, event_id=str(uuid.uuid4()), message="m" * 20000)
    path = f.file("long", "{{ faucet_event }}: " + json.dumps(long) + "\n")
    f2 = faucet({"telemetry": settings(pg, full.name), "apps": {"b": {"command": ["sh", "-c", 'cat %s >&2; exec %s -I -S %s "$0"' % (path, PYTHON, APPS + "/tiny.py"),
                                                                                   "{socket}"]}}})
    assert len(full.wait(1, "faucet_log_events", "app = 'b'")[0]["message"]) == 20000
    assert f2.get("/b/").status == 200


def test_worker_session_and_config_events(faucet, pg, full):
    def config(version):
        return {"telemetry": settings(pg, full.name), "apps": {
            "a": backend("cry=oops"), "ws": {"command": [PYTHON, APPS + "/websocket.py", "{socket}"], "telemetry": {"version": version}}}}
    f = faucet(config("1"))
    f.get("/a/die?status=3")
    crash = full.wait(1, "faucet_worker_events", "event = 'crashed'")[0]
    assert crash["app"] == "a" and crash["exit_code"] == 3 and crash["signal"] is None and "oops" in crash["stderr_tail"]
    assert crash["pid"] > 0 and crash["uptime_us"] > 0 and crash["max_rss_bytes"] > 0 and crash["cpu_us"] >= 0
    assert full.wait(1, "faucet_worker_events", "event = 'backoff'")[0]["delay_us"] > 0
    full.wait(3, "faucet_worker_events", "event = 'ready'")

    async def talk():
        async with websockets.connect(f.url("/ws/echo", "ws"), ping_interval=None, compression=None) as ws:
            await ws.send("x" * 1000)
            assert await ws.recv() == "x" * 1000
            f.reload(config("2"))
    asyncio.run(talk())
    session = full.wait(1, "faucet_session_events")[0]
    assert session["app"] == "ws" and session["version"] == "1" and session["config"] == 1 and session["worker_route"] == "/ws/"
    assert session["bytes_up"] > 1000 and session["bytes_down"] > 1000 and session["seconds"] > 0
    assert session["ended"] == "client_closed"
    row = full.of(str(session["request_uuid"]))
    assert row["status"] == 101 and row["ip_addr"] == session["ip_addr"]
    boot, reload = full.wait(2, "faucet_config_events")
    assert boot["event"] == "boot" and boot["config"] == 1 and boot["result"] == "done"
    assert reload["event"] == "reload" and reload["config"] == 2 and "uid" in reload["who"] and reload["hash"] == f.status()["hash"]
    assert {a["app"]: a["action"] for a in reload["actions"]} == {"a": "keep", "ws": "hot"}
    f.replace("apps: { a: { type: static, dir: ., tipe: x } }\n")
    f.reload(expect=78)
    bad = full.wait(1, "faucet_config_events", "result = 'invalid'")[0]
    assert "tipe" in bad["detail"] and bad["config"] == 2
    f.stop()
    assert full.all("faucet_config_events", "event = 'stop'") and full.all("faucet_worker_events", "event = 'stopped'")


def test_the_end_says_the_account(faucet, pg, full):
    f = faucet({"telemetry": settings(pg, full.name, flush_interval="10m"), "apps": {"a": backend()}})
    for _ in range(20):
        assert f.get("/a/me").status == 200
    f.stop()
    line = f.log_contains(r"telemetry to .*: recovered 0 \+ received (\d+) = stored (\d+) \+ queued 0$")
    assert line[1] == line[2] and len(full.all()) == 20


def test_metrics_have_the_account(faucet, pg, full):
    f = faucet({"telemetry": settings(pg, full.name), "apps": {"a": backend()}})
    full.of(f.get("/a/me"))
    wait_stored(f)
    text = f.control("GET", "/metrics").text
    assert 'table="faucet_http_events",state="stored"} 1' in text and "faucet_telemetry_on 1" in text
    assert accounts(f)
