"""The control socket and the commands that speak to it: what they show, whom they refuse, their exit statuses."""
import json
import os
import re
import stat
import subprocess

import pytest

import processes
from faucet import BIN, Faucet, backend
from wire import until

APPS = {"sales": backend(workers=2, telemetry={"namespace": "shop", "version": "1.4.2"}), "api": backend(host="api.example", route=["/v1/", "/v2/"]),
        "files": {"type": "static", "dir": "/tmp"}}


def socket_of(f):
    paths = [p for p in f.leftovers() if p.endswith(".sock") and "/w/" not in p]
    assert len(paths) == 1, paths
    return paths[0]


def curl(f, target, *more):
    return subprocess.run(["curl", "-sS", "--max-time", "20", "--unix-socket", socket_of(f), *more, "http://faucet" + target],
                          capture_output=True, text=True, timeout=30)


def app_of(status, name):
    return next(a for a in status["apps"] if a["name"] == name)


# -- status
def test_status_json(faucet):
    f = faucet({"apps": APPS})
    for _ in range(3):
        assert f.get("/sales/x").status == 200
    said = json.loads(f.tool("status", "--json").stdout)
    daemon, sales, api = said["daemon"], app_of(said, "sales"), app_of(said, "api")
    assert said["state"] == "ready" and daemon["pid"] == f.pid and daemon["config"] == 1 and daemon["file"] == f.conf
    assert daemon["listeners"] == ["127.0.0.1:%d" % f.port] and daemon["control"] == "unix:" + socket_of(f)
    assert daemon["requests"] >= 3 and re.fullmatch("[0-9a-f]{16}", daemon["hash"])
    assert (sales["type"], sales["state"], sales["namespace"], sales["version"]) == ("command", "ready", "shop", "1.4.2")
    assert sales["routes"] == ["/sales/"] and api["routes"] == ["/v1/", "/v2/"] and api["hosts"] == ["api.example"]
    assert sales["generation"] == sales["generations"] == 1 and sales["queue"] == {"length": 0, "size": 100}
    assert sorted(w["pid"] for w in sales["workers"]) == sorted(f.worker_pids(app="sales"))
    assert sum(w["requests"] for w in sales["workers"]) == 3
    for w in sales["workers"]:
        assert w["state"] == "ready" and w["restarts"] == 0 and not w["draining"] and w["uptime_s"] >= 0 and w["busy"] == 0
        assert abs(w["rss_kib"] - processes.rss(w["pid"]) / 1024) < 4096
    assert app_of(said, "files")["state"] == "ready" and app_of(said, "files")["workers"] == []


def test_status_table(faucet):
    f = faucet({"apps": APPS})
    done = f.tool("status")
    assert done.returncode == 0 and not done.stderr
    assert "pid %d" % f.pid in done.stdout and "127.0.0.1:%d" % f.port in done.stdout and f.conf in done.stdout
    assert re.search(r"(?m)^sales +command +ready +2/2 +1 +0/100 .* 1\.4\.2 +/sales/$", done.stdout), done.stdout
    assert "api.example/v1/ api.example/v2/" in done.stdout
    for pid in f.worker_pids(app="sales"):
        assert re.search(r"(?m)^sales +\d +%d +ready " % pid, done.stdout), done.stdout
    assert "\x1b" not in done.stdout and not re.search(r"(?m) $", done.stdout)


def test_memory_of_grandchildren_counts(faucet):
    """`uv run` and `quarto` are small parents of what has the memory."""
    f = faucet({"apps": {"a": {"command": ["/bin/sh", "-c", "'%s' '%s' \"$0\"; exit 0" % (backend()["command"][0], backend()["command"][1]), "{socket}"]}}})
    worker = app_of(f.status(), "a")["workers"][0]
    below = processes.descendants(worker["pid"])
    assert below and worker["rss_kib"] * 1024 > processes.rss(below[0]) > processes.rss(worker["pid"])


def test_status_says_what_is_not_ready(faucet):
    f = faucet({"apps": {"good": backend(), "bad": backend("exit=3")}}, wait=False)
    until(lambda: app_of(f.status(), "bad")["state"] == "backoff", 10)
    done = f.tool("status")
    assert done.returncode == 1 and re.search(r"(?m)^bad .*backoff", done.stdout)
    f.wait_ready("good")
    assert json.loads(f.tool("status", "--json").stdout)["state"] == "degraded"
    until(lambda: app_of(f.status(), "bad")["workers"][0]["restarts"] > 0, 10)


def test_status_of_what_is_under_way(faucet):
    f = faucet({"apps": {"a": backend(concurrency=1, queue={"size": 5})}})
    name = f.dir + "/h"
    wires = [f.client() for _ in range(3)]
    for w in wires:
        w.send("GET /a/hold?name=%s HTTP/1.1\r\nHost: x\r\n\r\n" % name)
    until(lambda: app_of(f.status(), "a")["queue"] == {"length": 2, "size": 5})
    said = f.status()
    assert app_of(said, "a")["leases"] == 1 and app_of(said, "a")["workers"][0]["busy"] == 1 and said["daemon"]["exchanges"] == 3
    open(name + ".go", "w").close()
    assert [w.read_response().status for w in wires] == [200] * 3
    until(lambda: f.status()["daemon"]["exchanges"] == 0)


# -- curl
def test_curl(faucet):
    f = faucet({"apps": APPS})
    assert json.loads(curl(f, "/status").stdout)["daemon"]["pid"] == f.pid
    plan = json.loads(curl(f, "/plan", "-X", "POST").stdout)
    assert plan["result"] == "done" and [r["action"] for r in plan["plan"]] == ["keep"] * 3
    reload = json.loads(curl(f, "/reload", "-d", "anything").stdout)
    assert reload["result"] == "done" and reload["config"] == 2 and reload["problems"] == [] and reload["why"] is None
    pids = f.worker_pids(app="api")
    restarted = json.loads(curl(f, "/apps/sales/restart", "-X", "POST").stdout)
    assert restarted["result"] == "done" and f.worker_pids(app="api") == pids
    head = curl(f, "/status", "-I").stdout
    assert head.startswith("HTTP/1.1 200 ") and "application/json" in head


def test_metrics(faucet):
    f = faucet({"apps": APPS})
    f.get("/sales/x")
    f.tool("reload")
    f.write("apps: [")
    f.tool("reload")
    head, _, text = curl(f, "/metrics", "-i").stdout.partition("\n\n")
    assert "text/plain; version=0.0.4" in head
    samples, seen, families = {}, set(), []
    for line in text.replace("\r", "").splitlines():
        if line.startswith("# TYPE "):
            families.append(line.split()[2])
            assert families.count(families[-1]) == 1
        elif not line.startswith("#"):
            name, value = re.fullmatch(r"(faucet_[a-z]+_[a-z_]+(?:\{[^{}]*\})?) (-?\d+)", line).groups()
            assert name not in seen and name.partition("{")[0] == families[-1]
            seen.add(name)
            samples[name] = int(value)
    assert samples["faucet_http_requests_total"] == 1
    assert samples['faucet_worker_up{app="sales",worker="2"}'] == 1
    assert samples['faucet_app_queue_length{app="sales"}'] == 0
    assert samples['faucet_config_reloads_total{result="done"}'] == 1 and samples['faucet_config_reloads_total{result="invalid"}'] == 1
    assert samples["faucet_config_last_reload_success"] == 0
    assert any(n.startswith("faucet_config_info{hash=") for n in samples)


# -- the socket
def test_modes_and_owner(faucet):
    f = faucet({"apps": {"a": backend()}})
    path = socket_of(f)
    s, d = os.lstat(path), os.stat(os.path.dirname(path))
    assert stat.S_ISSOCK(s.st_mode) and stat.S_IMODE(s.st_mode) == 0o600 and s.st_uid == os.getuid()
    assert stat.S_IMODE(d.st_mode) == 0o700
    f.stop()
    assert not os.path.exists(path)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_other_users_are_not_let_in(faucet):
    f = faucet({"apps": {"a": backend()}})
    os.chmod(f.dir, 0o755)
    os.chmod(f.runtime, 0o755)
    os.chmod(os.path.dirname(socket_of(f)), 0o755)
    done = subprocess.run([BIN, "status", "--control", "unix:" + socket_of(f)], capture_output=True, text=True, env=f.env(), user=65534, group=65534)
    assert done.returncode == 1 and "ermission" in done.stderr, done


def test_socket_of_a_killed_daemon_is_replaced(faucet):
    f = faucet({"apps": {"a": backend()}})
    path = socket_of(f)
    f.kill9()
    assert os.path.exists(path)
    assert f.tool("status").returncode == 3
    until(lambda: not f.tree(), 10)
    f.expected_exit = 0
    f.start(wait=False)
    assert socket_of(f) == path
    until(lambda: f.tool("status").returncode == 0, 20)


def test_socket_of_a_living_daemon_is_refused(faucet):
    f = faucet({"apps": {"a": backend()}})
    other = faucet({"control": "unix:" + socket_of(f), "apps": {"a": backend()}}, start=False)
    assert other.run_to_end() == 1
    assert re.search(r"control: .*in use", other.log()), other.log()
    assert f.tool("status").returncode == 0


def test_default_socket_that_cannot_be_had_is_a_warning(faucet):
    """Two daemons of one file: the second serves, and says that it cannot be reached."""
    f = faucet({"apps": {"a": backend()}})
    second = faucet({"apps": {"a": backend()}}, start=False, args=["--listen", "127.0.0.1:%d"], env={"XDG_RUNTIME_DIR": f.runtime})
    second.args[1] %= second.port
    second.conf = f.conf
    second.start(wait=False)
    second.log_contains(r"WARN .*no control socket.*control:")
    assert second.wait_ready("a").status == 200
    assert f.status()["daemon"]["pid"] == f.pid
    assert second.stop() == 0 and f.status()["daemon"]["pid"] == f.pid, "its end takes nothing away from the first"


def test_path_that_is_too_long(faucet):
    f = faucet({"apps": {"a": backend()}}, start=False)
    deep = os.path.join(f.dir, "x" * 60, "y" * 40)
    os.makedirs(deep, 0o700)
    f.extra_env["XDG_RUNTIME_DIR"] = deep
    f.start()
    f.log_contains(r"WARN .*no control socket.*107 bytes.*`control:`")
    assert f.get("/a/x").status == 200


# -- finding it
def test_control_key_is_found_also_in_a_broken_file(faucet):
    f = faucet("listen: 127.0.0.1:@PORT@\ncontrol: unix:c/own.sock\napps:\n  a: { command: [@PYTHON@, @APPS@/backend.py, '{socket}'] }\n", start=False)
    os.mkdir(f.dir + "/c", 0o700)
    f.start()
    assert f.tool("status").returncode == 0 and os.path.exists(f.dir + "/c/own.sock")
    with open(f.conf, "a") as out:
        out.write("  b: { workers: [ }\n")
    assert f.tool("status").returncode == 0
    assert f.tool("reload").returncode == 78
    assert f.tool("status", "--control", "unix:%s/c/own.sock" % f.dir, conf=False).returncode == 0
    assert f.tool("status", "--control", "unix:c/own.sock", conf=False).returncode == 0
    assert f.tool("status", conf=False, env={"FAUCET_CONTROL": "unix:%s/c/own.sock" % f.dir}).returncode == 0


def test_control_key_written_after_the_start(faucet):
    """The daemon still is where it was."""
    f = faucet({"apps": {"a": backend()}})
    f.write({"control": "unix:later.sock", "apps": {"a": backend()}})
    done = f.tool("reload")
    assert done.returncode == 0 and re.search(r"control.*restart", done.stdout), done


def test_only_one_daemon_is_found_without_a_file(faucet):
    f = faucet({"apps": {"a": backend()}})
    assert f.tool("status", conf=False, cwd="/").returncode == 0
    g = faucet({"apps": {"a": backend()}}, env={"XDG_RUNTIME_DIR": f.runtime})
    done = f.tool("status", conf=False, cwd="/")
    assert done.returncode == 64
    for path in os.listdir(f.runtime + "/faucet"):
        assert not path.endswith(".sock") or path in done.stderr
    assert f.status()["daemon"]["pid"] == f.pid and json.loads(f.tool("status", "-c", g.conf, "--json", conf=False).stdout)["daemon"]["pid"] == g.pid
    f.kill9()
    assert json.loads(f.tool("status", "--json", conf=False, cwd="/").stdout)["daemon"]["pid"] == g.pid, "a dead socket is no second daemon"


def test_daemon_under_systemd_is_found_by_its_file(faucet):
    """RUNTIME_DIRECTORY is the daemon's, not the operator's."""
    f = faucet({"apps": {"a": backend()}}, start=False)
    os.mkdir(f.runtime + "/faucet", 0o700)
    f.extra_env["RUNTIME_DIRECTORY"] = f.runtime + "/faucet"
    f.start()
    assert socket_of(f) == f.runtime + "/faucet/control.sock"
    del f.extra_env["RUNTIME_DIRECTORY"]
    assert f.tool("status").returncode == 0
    other = f.write({"apps": {"a": backend()}}, name="other.yaml")
    assert f.tool("status", "-c", other, conf=False).returncode == 3


def test_wrong_usage(faucet):
    f = faucet({"apps": {"sales": backend(), "api": backend(), "files": {"type": "static", "dir": "/tmp"}}})
    done = f.tool("restart", "sale")
    assert done.returncode == 64 and '"sales"' in done.stderr
    done = f.tool("restart", "sales/../api")
    assert done.returncode == 64 and "sales, api" in done.stderr
    assert f.tool("restart").returncode == 64
    assert f.tool("status", "sales").returncode == 64
    assert f.tool("reload", "--log-level", "debug").returncode == 64
    assert f.tool("status", "--control", "/no/unix").returncode == 64
    assert f.tool("status", "--force").returncode == 64
    assert f.tool("restart", "files").returncode == 1
    for command in ("reload", "plan", "status", "restart", "stop"):
        done = f.tool(command, "--help", conf=False)
        assert done.returncode == 0 and "--control" in done.stdout


def test_nobody_there(faucet):
    f = faucet({"apps": {"a": backend()}}, start=False)
    for command, status in (("status", 3), ("reload", 1), ("plan", 1), ("stop", 1)):
        done = f.tool(command)
        assert done.returncode == status and "not running" in done.stderr, done
        assert "error" in json.loads(f.tool(command, "--json").stdout)


# -- restart
def test_restart_replaces_the_workers_of_one_app(faucet):
    f = faucet({"apps": {"a": backend(workers=2), "b": backend()}})
    a, b = f.worker_pids(app="a"), f.worker_pids(app="b")
    done = f.tool("restart", "a")
    assert done.returncode == 0 and "a:" in done.stdout, done
    until(lambda: len(f.worker_pids(app="a")) == 2 and not set(f.worker_pids(app="a")) & set(a))
    assert f.worker_pids(app="b") == b and app_of(f.status(), "a")["generation"] == 2


def test_restart_that_fails_changes_nothing(faucet):
    f = faucet({"apps": {"a": {"command": ["/bin/sh", "-c", "test ! -e '%s' && exec '%s' '%s' \"$0\"; exit 4" % ("@DIR@/bad", *backend()["command"][:2]),
                                           "{socket}"]}}}, start=False)
    f.start()
    pids = f.worker_pids("backend.py")
    f.file("bad")
    done = f.tool("restart", "a")
    assert done.returncode == 1 and "status 4" in done.stderr, done
    assert f.worker_pids("backend.py") == pids and f.get("/a/x").status == 200


# -- stop
def test_stop_returns_when_the_daemon_is_gone(faucet):
    f = faucet({"apps": {"a": backend()}})
    done = f.tool("stop")
    assert done.returncode == 0 and f.process.poll() == 0 and not f.tree()
    assert f.tool("status").returncode == 3


def test_stop_says_what_it_waits_for(faucet):
    f = faucet({"apps": {"a": backend()}})
    name = f.dir + "/h"
    c = f.client()
    c.send("GET /a/hold?name=%s HTTP/1.1\r\nHost: x\r\n\r\n" % name)
    until(lambda: os.path.exists(name + ".began"))
    with subprocess.Popen([BIN, "stop", "-c", f.conf], env=f.env(), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as p:
        assert "requests: 1," in p.stderr.readline()
        said = f.status()
        assert said["state"] == "stopping" and said["daemon"]["listeners"] == []
        assert f.tool("reload").returncode != 0, "a daemon that stops takes nothing new on"
        again = curl(f, "/stop", "-X", "POST")
        assert json.loads(again.stdout)["result"] == "stopping" and p.poll() is None and f.running, "asking twice is no second signal"
        open(name + ".go", "w").close()
        assert c.read_response().status == 200
        assert p.wait(20) == 0 and f.process.poll() == 0


# -- who, and what the server refuses
def test_who_asked_is_in_the_log(faucet):
    f = faucet({"log": {"format": "json", "level": "debug"}, "apps": {"a": backend()}})
    f.tool("status")
    f.tool("plan")
    until(lambda: '"target":"/plan"' in f.log())
    lines = {x["target"]: x for x in map(json.loads, f.log().splitlines()) if "target" in x and x.get("uid") is not None}
    assert (lines["/plan"]["uid"], lines["/plan"]["gid"], lines["/plan"]["level"]) == (os.getuid(), os.getgid(), "info")
    assert lines["/status"]["level"] == "debug" and lines["/plan"]["pid"] > 0


@pytest.fixture(scope="module")
def quiet(module_faucet):
    return module_faucet({"apps": {"a": backend()}})


@pytest.mark.parametrize("method,target,status", [
    ("GET", "/", 404), ("GET", "/status/", 404), ("GET", "/nothing", 404), ("POST", "/apps//restart", 404), ("POST", "/apps/b/restart", 404),
    ("GET", "/reload", 405), ("GET", "/apps/a/restart", 405), ("POST", "/status", 405), ("DELETE", "/stop", 405),
    ("POST", "/reload?forced=1", 400), ("POST", "/stop?now", 400), ("GET", "/status?x", 400),
])
def test_refusals(quiet, method, target, status):
    response = quiet.control(method, target)
    assert response.status == status and json.loads(response.body)["error"] and response["Content-Type"] == "application/json"
    assert (response["Allow"] is not None) == (status == 405)
    assert quiet.running


def test_connection_is_kept(quiet):
    c = quiet.client(address=socket_of(quiet))
    for _ in range(3):
        c.send("GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
        assert json.loads(c.read_response().body)["daemon"]["pid"] == quiet.pid
    c.send("POST /plan HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello" "GET /nix HTTP/1.1\r\nHost: x\r\n\r\n" "POST /plan HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [c.read_response().status for _ in range(3)] == [200, 404, 200], "one after the other"
    c.send("GET /status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert c.read_response().status == 200 and c.wait_eof()


@pytest.mark.parametrize("bytes_,status", [
    (b"GET /status HTTP/1.1\r\n\r\n", 400), (b"GET /status HTTP/1.1\nHost: x\n\n", 400), (b"\x16\x03\x01\x02", 400),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20000 + b"\r\n\r\n", 431), (b"POST /plan HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413),
    (b"POST /plan HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"z" * 4096 + b"\r\n", None),
])
def test_requests_that_are_not_taken(quiet, bytes_, status):
    c = quiet.client(address=socket_of(quiet))
    c.send(bytes_)
    if status is None:
        for _ in range(17):
            c.send(b"1000\r\n" + b"z" * 4096 + b"\r\n")
        status = 413
    assert c.read_response().status == status and c.wait_eof()
    assert quiet.tool("status").returncode == 0


def test_large_body_is_told_so_however_it_is_sent(quiet):
    body = os.path.join(quiet.dir, "body")
    with open(body, "wb") as out:
        out.truncate(20 << 20)
    for more in ([], ["-H", "Expect:"], ["-H", "Transfer-Encoding: chunked"]):
        done = curl(quiet, "/plan", "-w", "%{http_code}", "-o", "/dev/null", "--data-binary", "@" + body, *more)
        assert done.stdout == "413", done


def test_half_a_request_is_not_waited_for(quiet):
    c = quiet.client(address=socket_of(quiet), timeout=30)
    c.send("GET /status HTTP/1.1\r\nHos")
    assert c.read_response().status == 408 and c.wait_eof()


def test_thirty_two_clients(quiet):
    for w in quiet.clients:
        w.close()
    assert quiet.tool("status").returncode == 0, "all of these are noticed first"
    wires = [quiet.client(address=socket_of(quiet)) for _ in range(32)]
    for w in wires:
        w.send("GET /status HTTP/1.1\r\nHost: x\r\n\r\n")
    assert {w.read_response().status for w in wires} == {200}
    one_more = quiet.client(address=socket_of(quiet))
    assert one_more.read_response().status == 503 and one_more.wait_eof()
    wires.pop().close()
    until(lambda: quiet.tool("status").returncode == 0, what="there is room again")
    for w in wires:
        w.close()


def test_client_that_leaves_in_the_middle(quiet):
    before = quiet.descriptors()
    for text in ("", "GET /sta", "GET /status HTTP/1.1\r\nHost: x\r\n\r\n", "POST /reload HTTP/1.1\r\nHost: x\r\n\r\n"):
        for _ in range(8):
            c = quiet.client(address=socket_of(quiet))
            c.send(text)
            c.close()
    until(lambda: quiet.descriptors() <= before, 5, "no descriptor is left")
    assert quiet.tool("status").returncode == 0


def test_dropped_app_without_process_is_named(faucet):
    f = faucet({"apps": {"old": {"type": "static", "dir": "/tmp"}, "a": {"type": "static", "dir": "/tmp"}}}, wait=False)
    f.write({"apps": {"a": {"type": "static", "dir": "/tmp"}}})
    done = f.tool("reload")
    assert done.returncode == 0 and re.search(r"(?m)^old +drop ", done.stdout), done


def test_forced_reload_that_leaves_no_app(faucet):
    f = faucet({"apps": {"a": backend()}})
    f.write({"apps": {}})
    done = f.tool("reload")
    assert done.returncode == 78 and "--force" in done.stderr, done
    assert "refused without --force" in f.tool("plan").stdout
    assert f.get("/a/x").status == 200
    assert f.tool("reload", "--force").returncode == 0
    until(lambda: f.get("/a/x").status == 404)
