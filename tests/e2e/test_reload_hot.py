"""Hot keys change in place: after the reload the new value holds, and every worker is the process it was."""
import json
import os
import re
import signal
import socket
import threading
import time

import pytest

from faucet import upstream
from reloading import Socket, backend, cookie_of, me, send_request
from test_balancing import hold
from wire import ProtocolError, until

COOKIE = {"strategy": "cookie-hash"}


def start(faucet, top=None, **settings):
    f = faucet({**(top or {}), "apps": {"a": backend(**settings), "b": backend()}})
    f.before = {app: f.worker_pids(app=app) for app in "ab"}
    assert all(f.before.values())
    return f


def change(f, top=None, **settings):
    """The reload, and that no worker is another one."""
    f.reload({**(top or {}), "apps": {"a": backend(**settings), "b": backend()}})
    assert {app: f.worker_pids(app=app) for app in "ab"} == f.before


def release(f, name):
    f.file(name + ".go")


# -- where requests lead
def test_route(faucet):
    f = start(faucet)
    pid = me(f).pid
    change(f, route="/other/")
    assert me(f, path="/other/").pid == pid and f.get("/a/me").status == 404
    change(f, route=["/other/", "/third/deep/"])
    assert me(f, path="/other/").pid == pid == me(f, path="/third/deep/").pid
    change(f)
    assert me(f).pid == pid and f.get("/other/me").status == 404


def test_routes_change_places(faucet):
    """Two apps swap their routes in one step."""
    f = start(faucet)
    a, b = me(f, "a").pid, me(f, "b").pid
    f.reload({"apps": {"a": backend(route="/b/"), "b": backend(route="/a/")}})
    assert (me(f, "b").pid, me(f, "a").pid) == (a, b)


def test_host(faucet):
    f = start(faucet)
    change(f, host="one.example", route="/a/")
    assert f.get("/a/me", host="one.example").status == 200 and f.get("/a/me").status == 404
    change(f, host="two.example", route="/a/")
    assert f.get("/a/me", host="two.example").status == 200 and f.get("/a/me", host="one.example").status == 404


def test_kept_connection_sees_the_new_route(faucet):
    f = start(faucet)
    c = f.client()
    assert send_request(c, "/a/x") and c.read_response().status == 200
    change(f, route="/other/")
    assert send_request(c, "/other/x") and c.read_response().status == 200
    assert send_request(c, "/a/x") and c.read_response().status == 404


# -- which worker
def test_strategy(faucet):
    f = start(faucet, workers=2)
    assert cookie_of(f.get("/a/x")) is None and len({me(f).pid for _ in range(4)}) == 2
    change(f, workers=2, strategy="cookie-hash")
    cookie = cookie_of(f.get("/a/x"))
    assert cookie and len({me(f, cookie=cookie).pid for _ in range(6)}) == 1
    change(f, workers=2, strategy="ip-hash")
    assert len({me(f).pid for _ in range(6)}) == 1 and cookie_of(f.get("/a/x")) is None
    change(f, workers=2, strategy="round-robin")
    assert len({me(f).pid for _ in range(4)}) == 2


def test_cookie(faucet):
    f = start(faucet, **COOKIE)
    assert cookie_of(f.get("/a/x"))
    change(f, cookie={"name": "MINE", "same_site": "strict"}, **COOKIE)
    r = f.get("/a/x")
    assert cookie_of(r) is None and cookie_of(r, "MINE") and "SameSite=Strict" in r["Set-Cookie"]


def test_concurrency_grows_and_lets_waiting_requests_in(faucet):
    f = start(faucet, concurrency=1)
    hold(f, "one")
    c = send_request(f.client(), "/a/x")
    assert c.quiet(0.3), "one at a time: it waits"
    change(f, concurrency=2)
    assert c.read_response(timeout=5).status == 200, "there is room now, and nobody finished"
    release(f, "one")


def test_concurrency_shrinks(faucet):
    f = start(faucet, concurrency=4)
    change(f, concurrency=1)
    hold(f, "one")
    c = send_request(f.client(), "/a/x")
    assert c.quiet(0.3)
    release(f, "one")
    assert c.read_response().status == 200


def test_concurrency_shrinks_below_what_is_busy(faucet):
    f = start(faucet, concurrency=3)
    held = [hold(f, "h%d" % i) for i in range(3)]
    change(f, concurrency=1)
    c = send_request(f.client(), "/a/x")
    for i in range(3):
        assert c.quiet(0.2), "%d of three still run" % (3 - i)
        release(f, "h%d" % i)
        assert held[i].read_response().status == 200
    assert c.read_response().status == 200


def test_queue_size(faucet):
    f = start(faucet, concurrency=1, queue={"size": 10})
    hold(f, "one")
    waiting = [send_request(f.client(), "/a/x") for _ in range(3)]
    time.sleep(0.1)
    change(f, concurrency=1, queue={"size": 1})
    assert f.get("/a/x", timeout=5).status == 503, "the queue is longer than it may be now"
    assert all(c.quiet(0.05) for c in waiting), "who waits already goes on waiting"
    release(f, "one")
    assert [c.read_response().status for c in waiting] == [200] * 3


def test_queue_timeout_is_that_of_the_exchange(faucet):
    f = start(faucet, concurrency=1, queue={"timeout": "30s"})
    hold(f, "one")
    old = send_request(f.client(), "/a/x")
    time.sleep(0.1)
    change(f, concurrency=1, queue={"timeout": "300ms"})
    began = time.monotonic()
    assert f.get("/a/x", timeout=5).status == 503 and 0.2 < time.monotonic() - began < 3
    assert old.quiet(0.3), "an exchange keeps the snapshot it began with"
    release(f, "one")
    assert old.read_response().status == 200


# -- limits and timeouts
def test_body_size(faucet):
    f = start(faucet)
    assert f.post("/a/x", b"x" * 2000).status == 200
    change(f, body_size="1KiB")
    assert f.post("/a/x", b"x" * 2000).status == 413 and f.post("/a/x", b"x" * 1000).status == 200
    change(f, body_size="unlimited")
    assert f.post("/a/x", b"x" * 2000).status == 200


def test_header_size(faucet):
    f = start(faucet)
    big = {"X-Big": "x" * 3000}
    assert f.get("/a/x", big).status == 200
    change(f, {"limits": {"header_size": "1KiB"}})
    assert f.get("/a/x", big).status == 431 and f.get("/a/x").status == 200
    change(f, {"limits": {"header_size": "64KiB"}})
    assert f.get("/a/x", {"X-Big": "x" * 50000}).status == 200


def test_connections_limit(faucet):
    """Fewer than there are: those that exist stay, a new one waits until there is room."""
    f = start(faucet, {"limits": {"connections": 50}})
    kept = [f.client() for _ in range(4)]
    for c in kept:
        assert send_request(c, "/a/x") and c.read_response().status == 200
    change(f, {"limits": {"connections": 3}})
    for c in kept:
        assert send_request(c, "/a/x") and c.read_response().status == 200
    change(f, {"limits": {"connections": 60}})
    assert f.get("/a/x").status == 200


def test_request_timeout_is_that_of_the_exchange(faucet):
    f = start(faucet)
    old = send_request(f.client(), "/a/sleep?s=1.5")
    until(lambda: json.loads(f.get("/a/me").body)["most_busy"] == 1)
    change(f, request_timeout="300ms")
    assert f.get("/a/sleep?s=3", timeout=5).status == 504
    assert old.read_response().status == 200, "it began with five minutes"


def test_header_timeout(faucet):
    f = start(faucet)
    change(f, {"timeouts": {"header": "300ms"}})
    c = f.client()
    c.send("GET /a/x HT")
    began = time.monotonic()
    assert c.read_response(timeout=5).status == 408 and time.monotonic() - began < 3


def test_keepalive_timeout(faucet):
    f = start(faucet)
    change(f, {"timeouts": {"keepalive": "300ms"}})
    c = f.client()
    assert send_request(c, "/a/x") and c.read_response().status == 200
    assert c.wait_eof(4)


def test_body_timeout(faucet):
    f = start(faucet)
    change(f, {"timeouts": {"body": "300ms"}})
    c = f.client()
    c.send("POST /a/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
    assert c.read_response(timeout=5).status == 408


def test_upgrade(faucet):
    f = start(faucet, **COOKIE)
    ws = Socket(f)
    change(f, upgrade=[], **COOKIE)
    assert ws.alive()
    with pytest.raises(AssertionError):
        Socket(f)
    change(f, **COOKIE)
    assert Socket(f).alive() and ws.alive()


def test_shutdown_mode(faucet):
    f = start(faucet, {"shutdown": {"mode": "graceful", "timeout": "30s"}})
    change(f, {"shutdown": {"mode": "immediate"}})
    hold(f, "one")
    f.signal(signal.SIGTERM)
    began = time.monotonic()
    assert f.wait_exit() == 0 and time.monotonic() - began < 5


@pytest.mark.parametrize("settings", [
    {"buffer": "on"}, {"buffer": "off"}, {"start_timeout": "5s"}, {"drain_timeout": "1m"}, {"telemetry": {"version": "9"}},
    {"concurrency": "unlimited"},
], ids=str)
def test_other_hot_keys_of_an_app(faucet, settings):
    f = start(faucet)
    change(f, **settings)
    assert f.get("/a/x").status == 200
    change(f)


@pytest.mark.parametrize("top", [
    {"max_parallel_starts": 1}, {"timeouts": {"write": "5s", "connect": "1s", "stop": "1s"}}, {"shutdown": {"timeout": "1s"}},
    {"telemetry": {"pool_size": 4}}, {"limits": {"connections": 400}},
], ids=str)
def test_other_hot_keys_of_the_daemon(faucet, top):
    f = start(faucet)
    change(f, top)
    assert f.get("/a/x").status == 200
    change(f)


def test_ip_from(faucet, origin):
    o = origin()
    config = {"apps": {"a": upstream(o)}}
    f = faucet(config, origins=[o])
    forwarded = {"X-Forwarded-For": "198.51.100.7"}
    f.get("/a/before", forwarded)
    f.log_contains(r"\] 127\.0\.0\.1 \"GET /a/before ")
    f.reload({"ip_from": "x-forwarded-for", "trusted_proxies": ["127.0.0.0/8"], **config})
    f.get("/a/after", forwarded)
    f.log_contains(r"\] 198\.51\.100\.7 \"GET /a/after ")


# -- the log
def test_log_level(faucet):
    f = start(faucet)
    f.get("/a/first")
    f.log_contains("GET /a/first")
    change(f, {"log": {"level": "error"}})
    f.get("/a/second")
    change(f, {"log": {"level": "info"}})
    f.get("/a/third")
    f.log_contains("GET /a/third")
    assert "GET /a/second" not in f.log()


def test_log_format(faucet):
    f = start(faucet)
    change(f, {"log": {"format": "json"}})
    f.get("/a/first")
    line = f.log_contains(r"^\{.*GET /a/first.*$")[0]
    assert json.loads(line)["status"] == 200
    change(f)
    f.get("/a/second")
    f.log_contains(r"^\[.*GET /a/second.*$")


def test_log_file(faucet):
    f = start(faucet)
    one, two = f.dir + "/one.log", f.dir + "/two.log"
    change(f, {"log": {"file": "one.log"}})
    f.get("/a/first")
    until(lambda: "GET /a/first" in open(one).read(), 5)
    assert "GET /a/first" not in f.log()
    change(f, {"log": {"file": "two.log"}})
    f.get("/a/second")
    until(lambda: "GET /a/second" in open(two).read(), 5)
    assert "GET /a/second" not in open(one).read()
    change(f)
    f.get("/a/third")
    f.log_contains("GET /a/third")
    links = [os.readlink("/proc/%d/fd/%s" % (f.pid, n)) for n in os.listdir("/proc/%d/fd" % f.pid)]
    assert not [x for x in links if x.endswith(".log")], "the old files are closed"


def test_log_file_that_was_moved_away(faucet):
    """The same name, the same file: a reload does not reopen it; USR1 does."""
    f = start(faucet, {"log": {"file": "one.log"}})
    path = f.dir + "/one.log"
    change(f, {"log": {"file": "one.log"}}, body_size="1KiB")
    os.rename(path, path + ".old")
    f.signal(signal.SIGUSR1)
    until(lambda: os.path.exists(path), 5)
    change(f, {"log": {"file": "one.log"}})
    f.get("/a/after")
    until(lambda: "GET /a/after" in open(path).read(), 5)


def test_log_max_size(faucet):
    f = start(faucet, {"log": {"file": "one.log"}})
    change(f, {"log": {"file": "one.log", "max_size": "4KiB"}})
    c = f.client()
    for i in range(100):
        assert send_request(c, "/a/n%d" % i) and c.read_response().status == 200
    until(lambda: os.path.exists(f.dir + "/one.log.1"), 5)
    assert os.path.getsize(f.dir + "/one.log") < 8 << 10


def test_no_line_is_lost_between_two_files(faucet):
    f = start(faucet, {"log": {"file": "one.log"}})
    done = threading.Event()

    def ask():
        c = f.client()
        n = 0
        while not done.is_set() and n < 3000:
            assert send_request(c, "/a/n%d." % n) and c.read_response().status == 200
            n += 1
        f.asked = n
    t = threading.Thread(target=ask)
    t.start()
    for name in ("two.log", "three.log", "one.log", "two.log"):
        change(f, {"log": {"file": name}})
    done.set()
    t.join()

    def found():
        text = "".join(open(os.path.join(f.dir, n)).read() for n in ("one.log", "two.log", "three.log"))
        return len(re.findall(r"GET /a/n\d+\. ", text)) == f.asked
    until(found, 5, "%d lines in three files" % f.asked)


# -- telemetry: what the access log says of an exchange
def access(f, path):
    line = f.log_contains(r"^\{.*\"path\":\"%s\".*$|^\{.*GET /[^\"]*%s.*$" % (path, path))[0]
    return json.loads(line)


JSON_LOG = {"log": {"format": "json"}}


def test_namespace_and_version(faucet):
    f = start(faucet, {**JSON_LOG, "telemetry": {"namespace": "n1", "version": "1.0"}})
    f.get("/a/first")
    assert [access(f, "/first")[k] for k in ("namespace", "version")] == ["n1", "1.0"]
    change(f, {**JSON_LOG, "telemetry": {"namespace": "n2", "version": "1.10"}})
    f.get("/a/second")
    assert [access(f, "/second")[k] for k in ("namespace", "version")] == ["n2", "1.10"]
    change(f, {**JSON_LOG, "telemetry": {"namespace": "n2", "version": "1.10"}}, telemetry={"namespace": "own", "version": "7"})
    f.get("/a/third")
    f.get("/b/fourth")
    assert [access(f, "/third")[k] for k in ("namespace", "version")] == ["own", "7"]
    assert [access(f, "/fourth")[k] for k in ("namespace", "version")] == ["n2", "1.10"]


def test_exchange_keeps_the_snapshot_it_began_with(faucet):
    f = start(faucet, {**JSON_LOG, "telemetry": {"namespace": "old", "version": "1"}})
    c = hold(f, "one")
    change(f, {**JSON_LOG, "telemetry": {"namespace": "new", "version": "2"}}, route="/moved/")
    f.get("/moved/later")
    release(f, "one")
    assert c.read_response().status == 200
    later, held = access(f, "/later"), access(f, "/hold")
    assert [held[k] for k in ("namespace", "version", "route")] == ["old", "1", "/a/"]
    assert [later[k] for k in ("namespace", "version", "route")] == ["new", "2", "/moved/"]
    assert held["config"] < later["config"]


def test_kept_connection_is_of_the_new_snapshot(faucet):
    """A connection that idles across the reload has no exchange: its next request is of the new one."""
    f = start(faucet, {**JSON_LOG, "telemetry": {"version": "1"}})
    c = f.client()
    assert send_request(c, "/a/x") and c.read_response().status == 200
    change(f, {**JSON_LOG, "telemetry": {"version": "2"}})
    assert send_request(c, "/a/second") and c.read_response().status == 200
    assert access(f, "/second")["version"] == "2"


def test_everything_at_once(faucet):
    f = start(faucet, {**JSON_LOG}, workers=2)
    top = {"log": {"format": "json", "file": "x.log"}, "limits": {"header_size": "2KiB"}, "timeouts": {"header": "2s"}, "telemetry": {"version": "3"}}
    change(f, top, workers=2, route="/moved/", strategy="cookie-hash", body_size="1KiB", queue={"size": 3})
    assert cookie_of(f.get("/moved/x")) and f.post("/moved/x", b"x" * 2000).status == 413
    assert f.get("/moved/x", {"X": "y" * 3000}).status == 431
    until(lambda: '"version":"3"' in open(f.dir + "/x.log").read(), 5)


def test_socket_buffers_of_idle_clients_are_of_no_matter(faucet):
    """An idle client with half a head in our buffer: the limit of the new snapshot does not fail it."""
    f = start(faucet)
    c = f.client()
    c.send("GET /a/x HTTP/1.1\r\nHost: x\r\nX-Big: %s\r\n" % ("x" * 3000))
    time.sleep(0.1)
    change(f, {"limits": {"header_size": "1KiB"}})
    c.send("\r\n")
    try:
        assert c.read_response().status in (200, 431)
    except (ProtocolError, socket.error) as e:
        raise AssertionError("neither answered nor refused: %s" % e) from None


# -- what the process can carry
def test_more_connections_than_open_files_are_warned_of(faucet):
    """At the start, and at every reload, to the log and to who asked; not where the limit suffices."""
    def asking(connections):
        return {"limits": {"connections": connections}, "apps": {"a": backend()}}
    f = faucet(asking(1000), wrap=["prlimit", "--nofile=200:200"])
    f.log_contains(r"(?m)WARN.*limits\.connections: 1000 connections may need 20\d\d open files .* the limit is 200, .*LimitNOFILE=.*ulimit -n")
    done = f.reload(asking(20))
    assert "open files" not in done.stdout + done.stderr
    done = f.reload(asking("auto"))
    assert "open files" not in done.stdout + done.stderr
    f.log_contains(r"config 3 .* serves")
    assert f.log().count("open files") == 1
    done = f.reload(asking(300))
    assert re.search(r"limits\.connections: 300 connections may need \d+ open files", done.stdout + done.stderr)
    f.log_contains(r"WARN.*limits\.connections: 300 connections")
    assert f.get("/a/me").status == 200
