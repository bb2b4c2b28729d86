"""Every view with known rows and the answers a person would work out by hand."""
import datetime as dt
import os
import re
import uuid

import pytest

from database import NOON, db, filled, read, request, server  # noqa: F401
from faucet import ROOT

# As faucet stores a request that it had only reserved when it was killed: the app had answered, what the client took is not known.
RESERVED = {"status": None, "elapsed": None, "total_us": None, "first_byte_us": None, "request_bytes": None, "response_bytes": None, "error": "daemon_died"}


def test_view_requests(filled):
    own = {"namespace": "requests"}
    filled.insert("faucet_http_events", [
        request(0, **own, path="/orders/17/items/0123456789abcdef", queue_us=30_000, ms=130.5), request(1, **own, status=404, path="/Orders/abc", worker_route="/"),
        request(2, **own, status=503, error="queue_full", worker_id=None, worker_route=None, target="faucet", path="/sales/x", queue_us=None, first_byte_us=None, ms=2),
        request(3, **own, queue_us=70_000, **RESERVED), request(4, **own, app=None, target="Worker::old::3", total_us=None, queue_us=None, elapsed=9),
        request(5, **own, app=None, target="faucet", worker_id=None, worker_route=None, path=None, method=None, status=400)])
    rows = filled.view("faucet_requests", "time", "namespace = 'requests'")
    assert [(r["app"], r["endpoint"], r["ms"], r["queue_ms"], r["app_ms"], r["first_byte_ms"], r["failed"]) for r in rows] == [
        ("sales", "/sales/orders/:n/items/:hex", 130.5, 30, 100.5, 50, False), ("sales", "/Orders/abc", 100, 0, 100, 50, False),
        ("sales", "/sales/x", 2, None, 2, None, True), ("sales", "/sales/", None, 70, None, None, True), ("old", "/sales/", 9, None, 9, 50, False),
        (None, None, 100, 0, 100, 50, False)]


def test_view_health(filled):
    """A request of which only the reservation was found is a request and an error; no percentile has it, since its time is not known."""
    filled.insert("faucet_http_events", [request(i, namespace="health", ms=10 * (i + 1)) for i in range(10)] + [
        request(20, namespace="health", status=500, ms=1000), request(21, namespace="health", **RESERVED),
        request(22, namespace="health", status=499, ms=55), request(60, namespace="health", ms=7), request(61, namespace="health", version="1.1", ms=9)])
    rows = filled.view("faucet_health", "minute, version", "namespace = 'health'")
    assert [(r["version"], r["minute"], r["requests"], float(r["per_second"]), r["errors"], float(r["error_percent"]), r["client_left"]) for r in rows] == [
        ("1.0", NOON, 13, 0.22, 2, 15.38, 1), ("1.0", NOON + dt.timedelta(minutes=1), 1, 0.02, 0, 0, 0),
        ("1.1", NOON + dt.timedelta(minutes=1), 1, 0.02, 0, 0, 0)]
    assert rows[0]["p50_ms"] == 57.5 and rows[0]["p95_ms"] == pytest.approx(505) and rows[0]["p99_ms"] == pytest.approx(901)
    assert rows[1]["p99_ms"] == 7


def test_view_usage(filled):
    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
    edge = chrome + " Edg/126.0"
    day = NOON.replace(hour=0)
    rows = [request(0, path="/orders/17"), request(1, path="/orders/18", ip_addr="10.0.0.2", status=500),
            request(2, path="/orders/3f1e2d3c-0000-4000-8000-00000000abcd/items/5"), request(3, path="/session/0123456789abcdef0123/dataobj/x"),
            request(4, path="/websocket", status=101, user_agent=chrome), request(5, user_agent=edge, request_bytes=5, response_bytes=7),
            request(6, user_agent="Googlebot/2.1"), request(7, user_agent=None), request(8, user_agent="libcurl/7.88 r-curl/5.0 httr/1.4"),
            request(9, user_agent="python-requests/2.31"), request(86400, response_bytes=3)]
    filled.insert("faucet_http_events", [{**r, "namespace": "usage"} for r in rows])
    usage = filled.view("faucet_usage", "day", "namespace = 'usage'")
    assert [(r["day"], r["requests"], r["users"], r["sessions"], r["request_bytes"], r["response_bytes"]) for r in usage] == [
        (day, 10, 8, 1, 5, 7), (day + dt.timedelta(days=1), 1, 1, 0, None, 3)]
    endpoints = {r["endpoint"]: r for r in filled.view("faucet_usage_endpoints", None, "namespace = 'usage' AND day = %s", (day,))}
    assert {e: r["requests"] for e, r in endpoints.items()} == {"/sales/orders/:n": 2, "/sales/orders/:uuid/items/:n": 1, "/sales/session/:hex/dataobj/x": 1,
                                                              "/sales/websocket": 1, "/sales/": 5}
    assert endpoints["/sales/orders/:n"]["users"] == 2 and endpoints["/sales/orders/:n"]["error_percent"] == 50
    agents = {r["agent"]: (r["requests"], r["users"]) for r in filled.view("faucet_usage_agents", None, "namespace = 'usage' AND day = %s", (day,))}
    assert agents == {"curl": (4, 2), "Chrome": (1, 1), "Edge": (1, 1), "bot": (1, 1), "none": (1, 1), "R": (1, 1), "Python": (1, 1)}
    users = {(r["ip_addr"], r["user_agent"]): r for r in filled.view("faucet_usage_users", None, "namespace = 'usage' AND day = %s", (day,))}
    assert len(users) == 8
    assert [users["10.0.0.1", "curl/8"][k] for k in ("requests", "sessions", "first_seen", "last_seen")] == [3, 0, NOON, NOON + dt.timedelta(seconds=3)]
    assert [users["10.0.0.1", chrome][k] for k in ("requests", "sessions")] == [1, 1] and users["10.0.0.2", "curl/8"]["requests"] == 1
    assert (usage[0]["app"], endpoints["/sales/websocket"]["method"], users["10.0.0.1", None]["app"]) == ("sales", "GET", "sales")


def test_view_troubleshooting(filled):
    good, bad, refused, died = (request(i, namespace="trouble") for i in range(4))
    bad.update(status=502, error="worker_closed", ms=2000)
    bad["elapsed"], bad["total_us"] = 2000, 2_000_000
    del bad["ms"]
    refused.update(status=503, error="queue_full", worker_id=None, target="faucet", worker_route=None)
    died.update(RESERVED)
    filled.insert("faucet_http_events", [good, bad, refused, died])
    log = {"namespace": "trouble", "target": "Worker::sales::1", "event_type": "sql", "app": "sales"}
    filled.insert("faucet_log_events", [
        {**log, "time": NOON + dt.timedelta(seconds=2.5), "event_id": str(uuid.uuid4()), "level": "Error", "message": "third", "parent_event_id": bad["request_uuid"]},
        {**log, "time": NOON + dt.timedelta(seconds=1.5), "event_id": str(uuid.uuid4()), "level": "Info", "message": "first", "request_uuid": bad["request_uuid"]},
        {**log, "time": NOON + dt.timedelta(seconds=2), "event_id": str(uuid.uuid4()), "level": "Warn", "message": "second",
         "body": '{"request_uuid": "%s", "n": 1}' % bad["request_uuid"]},
        {**log, "time": NOON, "event_id": str(uuid.uuid4()), "level": "Info", "message": "of the good one", "request_uuid": good["request_uuid"]},
        {**log, "time": NOON, "event_id": str(uuid.uuid4()), "level": "Info", "message": "of none", "body": '"text"'}])
    worker = {"namespace": "trouble", "app": "sales", "instance": "i", "generation": 1, "worker_id": 1}
    filled.insert("faucet_worker_events", [
        {**worker, "time": NOON + dt.timedelta(seconds=3), "event": "crashed", "detail": "was killed by signal 9 (Killed)", "signal": 9, "stderr_tail": "last words"},
        {**worker, "time": NOON + dt.timedelta(seconds=3), "event": "crashed", "worker_id": 2}, {**worker, "time": NOON + dt.timedelta(seconds=3), "event": "crashed",
                                                                                                 "generation": 2}, {**worker, "time": NOON + dt.timedelta(seconds=60), "event": "crashed"},
        {**worker, "time": NOON + dt.timedelta(seconds=3), "event": "crashed", "instance": "j"}, {**worker, "time": NOON + dt.timedelta(seconds=2), "event": "ready"}])
    rows = filled.view("faucet_troubleshooting", "time", "namespace = 'trouble'")
    assert [str(r["request_uuid"]) for r in rows] == [bad["request_uuid"], refused["request_uuid"], died["request_uuid"]]
    assert [(e["message"], e["level"]) for e in rows[0]["log_events"]] == [("first", "Info"), ("second", "Warn"), ("third", "Error")]
    assert [(e["event"], e["stderr"]) for e in rows[0]["worker_events"]] == [("crashed", "last words")]
    assert rows[1]["log_events"] is None and rows[1]["worker_events"] is None and rows[1]["error"] == "queue_full"
    assert rows[2]["status"] is None


def test_view_capacity(filled):
    at = lambda s: NOON + dt.timedelta(seconds=s)  # noqa: E731
    own = {"namespace": "capacity", "app": "capacity", "instance": "c"}
    filled.insert("faucet_config_events", [{"namespace": "capacity", "instance": "c", "time": at(-1000), "event": "boot"},
                                           {"namespace": "capacity", "instance": "c", "time": at(300), "event": "boot"}])
    worker = {**own, "generation": 1, "version": "1"}
    filled.insert("faucet_worker_events", [
        {**worker, "worker_id": 1, "pid": 11, "time": at(-500), "event": "started"}, {**worker, "worker_id": 1, "pid": 11, "time": at(-490), "event": "ready"},
        {**worker, "worker_id": 2, "pid": 12, "time": at(-10), "event": "started"}, {**worker, "worker_id": 2, "pid": 12, "time": at(0), "event": "ready"},
        {**worker, "worker_id": 2, "pid": 12, "time": at(90), "event": "crashed"}])
    filled.insert("faucet_http_events", [
        request(0, **own, ms=30_000), request(10, **own, worker_id=2, ms=10_000),           # two at once from 10 to 20
        request(20, **own, worker_id=2, queue_us=0, ms=20_000), request(25, **own, queue_us=5_000_000, ms=65_000),  # in a worker from 30 to 90
        request(30, **{**own, "namespace": "daemon"}, worker_id=None, status=503, error="queue_full", ms=0),
        request(400, **{**own, "namespace": "daemon"}, worker_id=None, status=503, error="no_worker", ms=0)])
    lives = filled.view("faucet_worker_lives", "worker_id", "namespace = 'capacity'")
    assert [(r["worker_id"], r["ready_at"], r["ended_at"], r["ended_by"]) for r in lives] == [
        (1, at(-490), at(300), "faucet restarted"), (2, at(0), at(90), "crashed")]
    rows = filled.view("faucet_capacity", "minute", "app = 'capacity'")
    assert [(r["minute"], r["requests"], float(r["concurrency"]), r["peak_concurrency"], r["workers"] and float(r["workers"]),
             r["utilisation_percent"] and float(r["utilisation_percent"]), r["refused"]) for r in rows] == [
        (at(0), 4, 1.5, 2, 2.0, 75.0, 1),      # 30 + 10 + 20 + 30 s of work of 120
        (at(60), 0, 0.5, 1, 1.5, 33.3, 0),     # 30 s of 90: the second worker lived for half of it
        (at(360), 0, 0.0, 0, None, None, 1)]
    assert rows[0]["namespace"] == "capacity" and rows[0]["mean_queue_ms"] == 1250 and rows[0]["max_queue_ms"] == 5000
    assert rows[1]["mean_queue_ms"] is None


def test_view_worker_lives(filled):
    at = lambda s: NOON + dt.timedelta(seconds=s)  # noqa: E731
    own = {"namespace": "lives", "app": "lives", "instance": "lives", "version": "1", "generation": 1, "worker_id": 1, "pid": 8}

    def events(*events, **more):
        filled.insert("faucet_worker_events", [{**own, **more, "time": at(s), "event": event} for s, event in events])
    filled.insert("faucet_config_events", [{"instance": "lives", "time": at(s), "event": "boot", "took_us": 4_000_000} for s in (4, 1003)])
    events((1, "started"), (3, "ready"), (50, "ready"), (60, "crashed"))          # in the middle it refused connections: one life
    events((61, "started"), (70, "ready"), pid=9)                                 # the boot that ended at 1003 began at 999
    events((1001, "started"), (1002, "ready"), (1100, "killed"), (1101, "crashed"))  # as in a container, the same numbers again
    events((5, "started"), (6, "crashed"), (7, "backoff"), worker_id=2, pid=10)   # never ready
    events((2000, "started"), (2001, "ready"), (2002, "ready"), generation=2, pid=11)
    events((1, "started"), (2, "ready"), instance="other", pid=12)
    rows = filled.view("faucet_worker_lives", "ready_at, pid DESC", "namespace = 'lives'")
    assert [(r["instance"], r["generation"], r["pid"], r["ready_at"], r["ended_at"], r["ended_by"]) for r in rows] == [
        ("other", 1, 12, at(2), None, None), ("lives", 1, 8, at(3), at(60), "crashed"), ("lives", 1, 9, at(70), at(999), "faucet restarted"),
        ("lives", 1, 8, at(1002), at(1100), "killed"), ("lives", 2, 11, at(2001), None, None)]


def test_view_capacity_without_worker_events(filled):
    own = {"namespace": "bare", "app": "bare", "instance": None}
    filled.insert("faucet_http_events", [request(0, **own, ms=30_000), request(0, **own, worker_id=2, ms=15_000), request(58, **own, ms=2000)])
    rows = filled.view("faucet_capacity", "minute", "app = 'bare'")
    assert [(r["requests"], float(r["workers"]), float(r["utilisation_percent"]), r["peak_concurrency"], r["instance"]) for r in rows] == [(3, 2, 39.2, 2, None)]


def test_view_performance(filled):
    own = {"namespace": "performance"}
    filled.insert("faucet_http_events", [request(i, **own, path="/slow/%d" % i, ms=1000, queue_us=250_000) for i in range(3)]
                  + [request(i, **own, path="/fast", ms=ms) for i, ms in enumerate((100, 200, 450))]
                  + [request(9, **own, path="/websocket", status=101), request(9, **own, worker_id=None, path="/none", ms=9000)])
    rows = filled.view("faucet_performance", "p95_ms DESC", "namespace = 'performance'")
    assert [(r["endpoint"], r["requests"], r["p50_ms"], r["max_ms"], r["mean_queue_ms"], r["mean_app_ms"], float(r["queue_percent"]), float(r["share_percent"]))
            for r in rows] == [("/sales/slow/:n", 3, 1000, 1000, 250, 750, 25.0, 75.0), ("/sales/fast", 3, 200, 450, 0, 250, 0.0, 25.0)]
    assert rows[1]["p95_ms"] == pytest.approx(425) and rows[0]["mean_first_byte_ms"] == 50
    assert [(r["p95_queue_ms"], r["p95_app_ms"]) for r in rows] == [(250, 750), (0, pytest.approx(425))]
    filled.insert("faucet_http_events", [request(9, namespace="queued", ms=1000 + 100 * i, queue_us=100_000 * i) for i in range(11)])
    row = filled.view("faucet_performance", None, "namespace = 'queued'")[0]
    assert (row["mean_queue_ms"], row["p95_queue_ms"], row["p95_app_ms"], row["p95_ms"]) == (500, pytest.approx(950), 1000, pytest.approx(1950))


def test_view_load(filled):
    own = {"namespace": "load"}
    filled.insert("faucet_http_events", [request(i, **own) for i in range(6)] + [request(i, **own, worker_id=2, target="Worker::sales::2") for i in range(3)]
                  + [request(7, **own, worker_id=3, status=500), request(8, **own, worker_id=3, status=101, ms=20), request(3600, **own, worker_id=3)])
    rows = filled.view("faucet_load", "hour, worker_id", "namespace = 'load'")
    assert [(r["worker_id"], r["requests"], float(r["share_percent"]), float(r["even_percent"]), float(r["busy_seconds"]), r["errors"], r["sessions"])
            for r in rows] == [(1, 6, 54.5, 33.3, 0.6, 0, 0), (2, 3, 27.3, 33.3, 0.3, 0, 0), (3, 2, 18.2, 33.3, 0.12, 1, 1), (3, 1, 100.0, 100.0, 0.1, 0, 0)]
    assert [r["p95_app_ms"] for r in rows] == [100, 100, pytest.approx(96), 100] and {r["generation"] for r in rows} == {1}  # 20 and 100 ms: 96


def test_view_versions(filled):
    own = {"namespace": "versions"}
    rows = [request(i, **own, version="1.4.1", path="/a", ms=100) for i in range(40)]
    rows += [request(100 + i, **own, version="1.4.2", path="/a", ms=150 + (1000 if i == 0 else 0), queue_us=0, status=500 if i < 4 else 200) for i in range(40)]
    rows += [request(200 + i, **own, version="1.4.3", path="/a", ms=5100, queue_us=5_000_000) for i in range(40)]  # the queue is not the app's fault
    rows += [request(300 + i, **own, version="1.4.4", path="/a", ms=100) for i in range(5)]
    rows += [request(400 + i, **own, version="1.4.2", path="/b", ms=10) for i in range(3)]
    filled.insert("faucet_http_events", rows)
    versions = filled.view("faucet_versions", "first_seen", "namespace = 'versions'")
    assert [(r["version"], r["previous_version"], r["requests"], r["verdict"]) for r in versions] == [
        ("1.4.1", None, 40, "first"), ("1.4.2", "1.4.1", 43, "slower"), ("1.4.3", "1.4.2", 40, "faster"), ("1.4.4", "1.4.3", 5, "too few")]
    assert versions[1]["p50_ms"] == 150 and versions[1]["p50_change_percent"] == 50 and float(versions[1]["error_percent"]) == 9.3
    assert versions[1]["previous_error_percent"] == 0 and versions[2]["p95_ms"] == pytest.approx(100)
    assert [r["p95_change_percent"] and float(r["p95_change_percent"]) for r in versions] == [None, 50.0, -33.3, 0.0]
    assert [((r["first_seen"] - NOON).seconds, (r["last_seen"] - NOON).seconds) for r in versions] == [(0, 39), (100, 402), (200, 239), (300, 304)]
    endpoints = filled.view("faucet_version_endpoints", "endpoint, version", "namespace = 'versions'")
    assert [(r["endpoint"], r["version"], r["previous_version"], r["verdict"]) for r in endpoints] == [
        ("/sales/a", "1.4.1", None, "first"), ("/sales/a", "1.4.2", "1.4.1", "slower"), ("/sales/a", "1.4.3", "1.4.2", "faster"),
        ("/sales/a", "1.4.4", "1.4.3", "too few"), ("/sales/b", "1.4.2", None, "first")]
    number = lambda v: v if v is None else round(float(v), 3)  # noqa: E731
    assert [tuple(number(r[k]) for k in ("requests", "previous_requests", "error_percent", "previous_error_percent", "p95_ms", "previous_p95_ms", "p95_change_percent"))
            for r in endpoints] == [(40, None, 0, None, 100, None, None), (40, 40, 10, 0, 150, 100, 50), (40, 40, 0, 10, 100, 150, -33.3), (5, 40, 0, 0, 100, 100, 0),
                                    (3, None, 0, None, 10, None, None)]


@pytest.mark.parametrize("p95, n, verdict", [(111, 30, "slower"), (110, 30, "same"), (100, 30, "same"), (90, 30, "same"), (89, 30, "faster"), (300, 29, "too few")])
def test_verdict(filled, p95, n, verdict):
    own = {"namespace": "verdict %d %d" % (p95, n)}
    filled.insert("faucet_http_events", [request(i, **own, ms=100) for i in range(30)] + [request(100 + i, **own, version="2", ms=p95) for i in range(n)])
    for view in ("faucet_versions", "faucet_version_endpoints"):
        assert [r["verdict"] for r in filled.view(view, "version", "namespace = %s", (own["namespace"],))] == ["first", verdict]


def test_view_sessions(filled):
    at = lambda s: NOON + dt.timedelta(seconds=s)  # noqa: E731
    begun = request(0, namespace="sessions", status=101, path="/websocket", user_agent="Firefox/127")
    filled.insert("faucet_http_events", [begun])
    own = {"namespace": "sessions", "app": "sales", "version": "1", "instance": "i", "worker_route": "/sales/", "worker_id": 1, "target": "Worker::sales::1"}
    filled.insert("faucet_session_events", [
        {**own, "request_uuid": begun["request_uuid"], "ip_addr": "10.0.0.1", "began": at(0), "time": at(100), "seconds": 100, "bytes_up": 10, "bytes_down": 20,
         "ended": "client_closed"},
        {**own, "request_uuid": str(uuid.uuid4()), "ip_addr": "10.0.0.2", "began": at(50), "time": at(350), "seconds": 300, "bytes_up": 1, "bytes_down": 2,
         "ended": "drain_timeout"},
        {**own, "request_uuid": str(uuid.uuid4()), "ip_addr": "10.0.0.2", "began": at(350), "time": at(86450), "seconds": 86100, "bytes_up": 0, "bytes_down": 0,
         "ended": "worker_gone"}])
    rows = filled.view("faucet_sessions", "began", "namespace = 'sessions'")
    assert [(r["seconds"], r["ended"], r["cut"]) for r in rows] == [(100, "client_closed", False), (300, "drain_timeout", True), (86100, "worker_gone", True)]
    assert (rows[1]["began"], rows[1]["ended_at"], rows[1]["bytes_up"], rows[1]["bytes_down"]) == (at(50), at(350), 1, 2)
    assert rows[0]["user_agent"] == "Firefox/127" and rows[0]["path"] == "/sales/websocket" and rows[1]["user_agent"] is None
    daily = filled.view("faucet_sessions_daily", "day", "namespace = 'sessions'")
    assert [(r["sessions"], r["users"], r["peak_open"], r["median_seconds"], float(r["hours"]), r["bytes_up"], r["bytes_down"], r["cut"]) for r in daily] == [
        (3, 2, 2, 300, 24.03, 11, 22, 2)]
    assert daily[0]["p95_seconds"] == pytest.approx(77520)  # of 100, 300 and 86100: nine tenths of the way from the second to the third


def test_cut_sessions(filled):
    """Whatever word a session ended with: it was cut unless the client or the app ended it."""
    words = re.findall(r'^CLOSE\(\w+, "(\w+)"', read(os.path.join(ROOT, "src/net/close_reason.def")), re.M)
    assert {"client_closed", "worker_closed", "worker_gone", "worker_error", "drain_timeout", "shutdown"} < set(words)
    filled.insert("faucet_session_events", [{"namespace": "cut", "app": "cut", "began": NOON, "time": NOON, "seconds": 0, "ended": word} for word in [*words, None]])
    rows = {r["ended"]: r["cut"] for r in filled.view("faucet_sessions", None, "namespace = 'cut'")}
    closed = {"client_closed", "client_reset", "client_error", "worker_closed", "tunnel_ended"}
    assert rows == {None: None, **{word: word not in closed for word in words}}
    assert filled.view("faucet_sessions_daily", None, "namespace = 'cut'")[0]["cut"] == len(words) - len(closed)


def test_view_completeness(filled):
    at = lambda s: NOON + dt.timedelta(seconds=s)  # noqa: E731
    filled.insert("faucet_http_events", [request(i, instance="complete", namespace="complete") for i in range(96)]
                  + [request(9, instance="complete", namespace="complete", **RESERVED)])
    filled.insert("faucet_log_events", [{"time": NOON, "instance": "complete", "message": "x"}])
    gap = {"instance": "complete", "table_name": "faucet_http_events", "time": at(900)}
    filled.insert("faucet_gaps", [{**gap, "reason": "full", "began": at(100), "ended": at(160), "dropped": 2},
                                  {**gap, "reason": "bad_row", "began": at(200), "ended": at(200), "dropped": 1},
                                  {**gap, "reason": "full", "began": at(86400), "ended": at(86500), "dropped": 7}])
    rows = filled.view("faucet_completeness", "day, table_name", "instance = 'complete'")
    assert [(r["table_name"], r["stored"], r["dropped"], float(r["complete_percent"]), r["unfinished"], r["reasons"]) for r in rows] == [
        ("faucet_http_events", 97, 3, 97.0, 1, "bad_row, full"), ("faucet_log_events", 1, 0, 100.0, 0, None), ("faucet_http_events", 0, 7, 0.0, 0, "full")]
    assert (rows[0]["first_missing"], rows[0]["last_missing"]) == (at(100), at(200))


def test_since_bounds_every_view(db):
    """Of app and faucet `old` nothing has happened since, but for a worker that lives on; of `new` all has."""
    db.init()
    now = dt.datetime.now(dt.timezone.utc)
    for name, then in (("old", now - dt.timedelta(days=3)), ("new", now - dt.timedelta(minutes=5))):
        own = {"app": name, "instance": name, "time": then}
        db.insert("faucet_http_events", [request(0, **own, status=500)])
        db.insert("faucet_log_events", [own])
        db.insert("faucet_session_events", [{**own, "began": then, "seconds": 0}])
        db.insert("faucet_config_events", [{**own, "event": "boot"}])
        db.insert("faucet_gaps", [{"instance": name, "time": then, "table_name": "faucet_http_events", "reason": "full", "dropped": 1}])
        db.insert("faucet_worker_events", [{**own, "pid": pid, "time": then + dt.timedelta(seconds=s), "event": event}
                                           for pid in (1, 2) for s, event in enumerate(["started", "ready", "crashed"][:3 - (pid == 2)], 1)])
    views = [name for name, in db.query("SELECT viewname FROM pg_views WHERE viewname LIKE 'faucet%' ORDER BY 1")]
    assert len(views) == 16
    for view in views:
        names = lambda **more: {r.get("app") or r.get("instance") for r in db.view(view, **more)}  # noqa: E731,B023
        assert names() == {"old", "new"}, view
        since = db.view(view, settings={"faucet.since": "1 hour"})
        assert {r.get("app") or r.get("instance") for r in since} == ({"new"} if view != "faucet_worker_lives" else {"old", "new"}), view
        assert all(r["pid"] == 2 for r in since if r.get("app") == "old")
    db.query("INSERT INTO faucet_http_events (time) SELECT now() - n * INTERVAL '1 minute' FROM generate_series(1, 50000) AS n")
    db.query("ANALYZE faucet_http_events")
    plan = db.query("EXPLAIN SELECT * FROM faucet_health", settings={"faucet.since": "1 hour"})
    assert "faucet_http_events_time" in str(plan), plan


def test_since_knows_the_workers_from_before(db):
    """A worker that has been ready for long is one of those that could answer."""
    db.init()
    now = dt.datetime.now(dt.timezone.utc).replace(second=0, microsecond=0)
    db.insert("faucet_worker_events", [{"app": "sales", "instance": "i", "worker_id": w, "pid": w, "time": now - dt.timedelta(days=3, seconds=-s), "event": event}
                                       for w in (1, 2) for s, event in enumerate(["started", "ready"])])
    db.insert("faucet_http_events", [request(0, time=now - dt.timedelta(minutes=5), ms=30_000)])
    row = db.view("faucet_capacity", settings={"faucet.since": "1 hour"})[0]
    assert (row["workers"], row["utilisation_percent"]) == (2, 25)
