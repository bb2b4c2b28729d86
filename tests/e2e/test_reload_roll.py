"""Process keys: a new generation starts beside the old, traffic moves when it is ready; if it never is, nothing moved."""
import json
import os
import re
import subprocess
import threading
import time

import pytest

import processes
from faucet import APPS, PYTHON, upstream
from reloading import Socket, Traffic, backend, cookie_of, gen, me, send_request, settled
from test_balancing import hold
from wire import until


def gone(f, pids, seconds=5.0):
    until(lambda: not [p for p in pids if processes.alive(p)], seconds, "workers %s are gone" % (pids,))


def roll(f, settings, check=lambda: True):
    """Other settings for app a: other processes, app b's stay; check() sees the new one at once."""
    a, b = f.worker_pids(app="a"), f.worker_pids(app="b")
    assert a and b
    f.reload({"apps": {"a": settings, "b": backend()}})
    assert check()
    gone(f, a)
    assert f.worker_pids(app="a") and f.worker_pids(app="b") == b


def test_env(faucet):
    f = faucet({"apps": {"a": backend(gen=1), "b": backend()}})
    for n in (2, 3):
        roll(f, backend(gen=n), lambda: [gen(f) for _ in range(3)] == [str(n)] * 3)


def test_command(faucet):
    f = faucet({"apps": {"a": backend("mark=1"), "b": backend()}})
    roll(f, backend("mark=2"))
    assert "mark=2" in json.loads(f.get("/a/me").body)["argv"]


def test_dir(faucet):
    f = faucet(start=False)
    f.file("v1/x"), f.file("v2/x")
    f.write({"apps": {"a": backend(dir=f.dir + "/v1"), "b": backend()}})
    f.start()
    assert me(f).cwd == f.dir + "/v1"
    roll(f, backend(dir=f.dir + "/v2"))
    assert me(f).cwd == f.dir + "/v2"


def test_symlink_to_a_directory_is_flipped(faucet):
    """`ln -sfn`: the file is the same, the directory is another one."""
    f = faucet(start=False)
    f.file("v1/x"), f.file("v2/x")
    f.flip("v1", "current")
    f.write({"apps": {"a": backend(dir=f.dir + "/current"), "b": backend()}})
    f.start()
    pids, b = f.worker_pids(app="a"), f.worker_pids(app="b")
    f.reload()
    assert f.worker_pids(app="a") == pids, "nothing changed yet"
    subprocess.run(["ln", "-sfn", "v2", f.dir + "/current"], check=True)
    f.reload()
    assert me(f).cwd == f.dir + "/v2" and f.worker_pids(app="b") == b
    gone(f, pids)
    pids = f.worker_pids(app="a")
    f.flip("v1", "current")
    f.reload()
    assert me(f).cwd == f.dir + "/v1"
    gone(f, pids)


def test_directory_replaced_under_the_same_name(faucet):
    f = faucet(start=False)
    f.file("v/x")
    f.write({"apps": {"a": backend(dir=f.dir + "/v"), "b": backend()}})
    f.start()
    pids = f.worker_pids(app="a")
    os.rename(f.dir + "/v", f.dir + "/v.old")
    f.file("v/x")
    f.reload()
    assert me(f).cwd == f.dir + "/v"
    gone(f, pids)


def test_restart_txt(faucet):
    f = faucet(start=False)
    f.file("v/x")
    f.write({"apps": {"a": backend(dir=f.dir + "/v"), "b": backend()}})
    f.start()
    for when in (1_000_000_000, 1_000_000_001):
        pids = f.worker_pids(app="a")
        os.utime(f.file("v/restart.txt"), (when, when))
        f.reload()
        assert me(f).pid not in pids
        gone(f, pids)
        pids = f.worker_pids(app="a")
        f.reload()
        assert f.worker_pids(app="a") == pids, "once only"


def test_other_files_of_the_directory_are_of_no_matter(faucet):
    f = faucet(start=False)
    f.file("v/x")
    f.write({"apps": {"a": backend(dir=f.dir + "/v"), "b": backend()}})
    f.start()
    pids = f.worker_pids(app="a")
    f.file("v/y", "new"), f.file("v/x", "changed")
    f.reload()
    assert f.worker_pids(app="a") == pids


def test_dotenv(faucet):
    """.env is part of what a worker starts with."""
    f = faucet(start=False)
    f.file("v/.env", "GEN=one\n")
    f.write({"apps": {"a": backend(dir=f.dir + "/v"), "b": backend()}})
    f.start()
    assert gen(f) == "one"
    f.file("v/.env", "GEN=two\n")
    f.reload()
    assert gen(f) == "two"


def test_upstream_addresses(faucet, origin):
    one, two = origin(), origin()
    one.reply("/who", "200 OK", "one")
    two.reply("/who", "200 OK", "two")
    f = faucet({"apps": {"a": upstream(one)}}, origins=[one, two])
    one.hold("/held")
    c = send_request(f.client(), "/a/held")
    t = one.take("/held")
    f.reload({"apps": {"a": upstream(two)}})
    assert [f.get("/a/who").body for _ in range(4)] == [b"two"] * 4
    t.conn.reply("200 OK", "finished")
    t.next()
    assert c.read_response().body == b"finished"


def test_another_kind(faucet, origin):
    o = origin()
    o.reply("/who", "200 OK", "upstream")
    f = faucet({"apps": {"a": backend(), "b": backend()}}, origins=[o])
    f.file("www/who", "static")
    pids = f.worker_pids(app="a")
    f.reload({"apps": {"a": upstream(o), "b": backend()}})
    assert f.get("/a/who").body == b"upstream"
    gone(f, pids)
    f.reload({"apps": {"a": {"type": "static", "dir": f.dir + "/www"}, "b": backend()}})
    assert f.get("/a/who").body == b"static"
    f.reload({"apps": {"a": backend(gen=5), "b": backend()}})
    assert gen(f) == "5"


# -- when it moves
def test_traffic_moves_when_it_is_ready(faucet):
    """While the new one starts, the old one answers; no request waits for it or fails."""
    f = faucet({"apps": {"a": backend(gen=1)}})
    f.replace({"apps": {"a": backend("slow=1.5", gen=2)}})
    began, seen = time.monotonic(), []
    done = threading.Thread(target=f.reload)
    done.start()
    while done.is_alive():
        asked = time.monotonic()
        seen.append(gen(f))
        assert time.monotonic() - asked < 1
    assert time.monotonic() - began > 1.4, "faucet reload waits for the outcome"
    assert seen.count("1") > 5 and gen(f) == "2"
    assert seen == sorted(seen), "never back to the old one"


def test_in_flight_ends_on_the_old_one(faucet):
    f = faucet({"apps": {"a": backend(gen=1)}})
    pid = me(f).pid
    c = hold(f, "one")
    f.reload({"apps": {"a": backend(gen=2)}})
    assert gen(f) == "2" and processes.alive(pid)
    f.file("one.go")
    assert json.loads(c.read_response().body)["pid"] == pid
    gone(f, [pid])


def test_waiting_requests_are_answered(faucet):
    """Queued behind a busy worker that is being replaced: no one is refused; the new worker has room for them."""
    f = faucet({"apps": {"a": backend(gen=1, concurrency=1)}})
    held = hold(f, "one")
    waiting = [send_request(f.client(), "/a/me") for _ in range(5)]
    time.sleep(0.1)
    f.reload({"apps": {"a": backend(gen=2, concurrency=1)}})
    replies = [c.read_response(timeout=5) for c in waiting]
    assert [r.status for r in replies] == [200] * 5
    assert {json.loads(r.body)["gen"] for r in replies} == {"2"}, "the old worker is still busy"
    f.file("one.go")
    assert held.read_response().status == 200


def test_waiting_for_one_worker(faucet):
    """The same where a queue belongs to a sticky worker."""
    f = faucet({"apps": {"a": backend(gen=1, concurrency=1, strategy="cookie-hash")}})
    cookie = cookie_of(f.get("/a/x"))
    held = hold(f, "one")
    waiting = [send_request(f.client(), "/a/me", "Cookie: %s\r\n" % cookie) for _ in range(3)]
    time.sleep(0.1)
    f.reload({"apps": {"a": backend(gen=2, concurrency=1, strategy="cookie-hash")}})
    assert [c.read_response(timeout=5).status for c in waiting] == [200] * 3
    f.file("one.go")
    assert held.read_response().status == 200


def test_body_that_is_still_sent(faucet):
    """Half a body before, the rest after; buffered and streamed."""
    f = faucet({"apps": {"a": backend(gen=1), "limited": backend(gen=1, concurrency=1)}})
    halves = []
    for app in ("a", "limited"):
        c = f.client()
        c.send("POST /%s/count HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" % app, b"x" * 100000)
        halves.append(c)
    time.sleep(0.1)
    f.reload({"apps": {"a": backend(gen=2), "limited": backend(gen=2, concurrency=1)}})
    for c in halves:
        c.send(b"x" * 100000)
        assert json.loads(c.read_response().body)["bytes"] == 200000


def test_half_a_head(faucet):
    f = faucet({"apps": {"a": backend(gen=1)}})
    c = f.client()
    c.send("GET /a/me HTTP/1.1\r\nHo")
    time.sleep(0.1)
    f.reload({"apps": {"a": backend(gen=2)}})
    c.send("st: x\r\n\r\n")
    assert json.loads(c.read_response().body)["gen"] == "2"


def test_no_request_fails_under_load(faucet):
    f = faucet({"apps": {"a": backend(gen=0, workers=2), "b": backend()}})
    with Traffic(f, ["/a/x", "/b/x"]) as traffic:
        for n in range(1, 6):
            f.reload({"apps": {"a": backend(gen=n, workers=2), "b": backend()}})
        until(lambda: traffic.count > 100)


# -- when it never gets ready
NEVER = {
    "exits": (["exit=3", "cry=the database is not there"], r"the database is not there"),
    "deaf": (["deaf", "cry=waiting for godot"], r"start_timeout|in time|not ready|500 ?ms|0\.5 ?s"),
    "mute": (["mute"], r"start_timeout|in time|not ready|500 ?ms|0\.5 ?s"),
}


@pytest.mark.parametrize("how", sorted(NEVER))
def test_never_ready(faucet, how):
    options, words = NEVER[how]
    f = faucet({"timeouts": {"stop": "1s"}, "apps": {"sales": backend(gen=1, start_timeout="500ms"), "b": backend()}})
    me(f, "sales"), me(f, "b")
    number, before = f.config_number(), settled(f, ["sales", "b"])
    done = f.reload({"timeouts": {"stop": "1s"}, "apps": {"sales": backend(*options, gen=2, start_timeout="500ms"), "b": backend(gen=2)}}, expect=1)
    out = done.stdout + done.stderr
    assert "sales" in out and re.search(words, out), out
    f.log_contains(words), f.log_contains(r"(?i)(WARN|ERROR).*sales")
    assert me(f, "sales").gen == "1" and me(f, "b").gen is None, "all or nothing"
    assert settled(f, ["sales", "b"], like=before) == before and f.config_number() == number
    time.sleep(0.5)
    assert settled(f, ["sales", "b"], like=before) == before, "and it is not tried again behind one's back"


def test_command_that_cannot_be_run(faucet):
    f = faucet({"apps": {"a": backend(gen=1)}})
    assert f.get("/a/x").status == 200
    before = settled(f, "a")
    done = f.reload({"apps": {"a": {"command": ["/nonexistent/program", "{socket}"]}}}, expect=None)
    assert done.returncode in (1, 78) and "/nonexistent/program" in done.stdout + done.stderr
    assert gen(f) == "1" and settled(f, "a") == before


def test_one_of_several_workers_fails(faucet):
    """Three come up, one does not: the whole generation is taken back."""
    script = ("import os, sys; os.environ['FAUCET_WORKER_ID'] == '3' and sys.exit('number three fails'); "
              "os.execv('%s', ['%s', '%s/backend.py', sys.argv[1]])" % (PYTHON, PYTHON, APPS))
    f = faucet({"apps": {"a": backend(gen=1, workers=4)}})
    assert f.get("/a/x").status == 200
    before = settled(f, "a")
    done = f.reload({"apps": {"a": {"command": [PYTHON, "-c", script, "{socket}"], "workers": 4}}}, expect=1)
    assert "number three fails" in done.stdout + done.stderr
    assert settled(f, "a", like=before) == before and gen(f) == "1"


def test_new_app_that_never_gets_ready(faucet):
    f = faucet({"apps": {"a": backend(gen=1)}})
    assert f.get("/a/x").status == 200
    before = settled(f, "a")
    done = f.reload({"apps": {"a": backend(gen=1), "fresh": backend("exit=4", "cry=no such table")}}, expect=1)
    assert "fresh" in done.stdout + done.stderr and "no such table" in done.stdout + done.stderr
    assert f.get("/fresh/").status == 404 and settled(f, "a") == before


def test_mended(faucet):
    """After a failure the same file, once it can work, works."""
    f = faucet({"apps": {"a": backend(gen=1)}})
    flag = f.dir + "/mended"
    command = ["/bin/sh", "-c", "test -e %s && exec %s %s/backend.py $0; exit 1" % (flag, PYTHON, APPS), "{socket}"]
    f.reload({"apps": {"a": {"command": command, "env": {"GEN": "2"}}}}, expect=1)
    open(flag, "w").close()
    f.reload()
    assert gen(f) == "2"


# -- what is left
def test_generation_without_a_client_goes_at_once(faucet):
    f = faucet({"apps": {"a": backend(gen=1, drain_timeout="10m")}})
    c = f.client()
    assert send_request(c, "/a/x") and c.read_response().status == 200
    pids = f.worker_pids(app="a")
    f.reload({"apps": {"a": backend(gen=2, drain_timeout="10m")}})
    gone(f, pids, 3)
    assert send_request(c, "/a/me") and json.loads(c.read_response().body)["gen"] == "2", "the idle connection of the client is kept"


def test_ten_rolls_do_not_pile_up(faucet):
    f = faucet({"apps": {"a": backend(gen=0, workers=2), "b": backend()}})
    start = settled(f, "ab")
    for n in range(1, 11):
        f.reload({"apps": {"a": backend(gen=n, workers=2), "b": backend()}})
        assert len(f.worker_pids(app="a")) <= 4, "the last generation and the one that goes"
    end = settled(f, "ab")
    assert len(end["workers"]["a"]) == 2 and end["workers"]["b"] == start["workers"]["b"]
    assert len(end["tree"]) == len(start["tree"]) and end["descriptors"] <= start["descriptors"] + 1 and len(end["files"]) == len(start["files"])


def test_ten_rolls_with_a_live_tunnel(faucet):
    """One generation is held by it; the nine between are gone."""
    settings = {"strategy": "cookie-hash", "workers": 2}
    f = faucet({"apps": {"a": backend(gen=0, **settings)}})
    ws = Socket(f)
    pid = ws.pid()
    for n in range(1, 11):
        f.reload({"apps": {"a": backend(gen=n, **settings)}})
    until(lambda: len(f.worker_pids(app="a")) <= 3, 5, "two new workers and the one that is held")
    assert ws.pid() == pid
    ws.close()
    gone(f, [pid])
    assert len(f.worker_pids(app="a")) == 2


def test_stubborn_old_worker_is_killed(faucet):
    f = faucet({"timeouts": {"stop": "500ms"}, "apps": {"a": backend("noterm", gen=1)}})
    pids = f.worker_pids(app="a")
    f.reload({"timeouts": {"stop": "500ms"}, "apps": {"a": backend("noterm", gen=2)}})
    gone(f, pids, 5)
    assert gen(f) == "2"


def test_children_of_the_old_worker_go_too(faucet):
    """What a worker started in its own process group (as `uv run` and `quarto` do) ends with it."""
    script = "import subprocess, sys; subprocess.run(['%s', '%s/backend.py', sys.argv[1]])" % (PYTHON, APPS)

    def config(n):
        return {"apps": {"a": {"command": [PYTHON, "-c", script, "{socket}"], "env": {"GEN": str(n)}}}}
    f = faucet(config(1))
    pids = f.worker_pids("backend.py")
    assert len(pids) == 2
    f.reload(config(2))
    gone(f, pids)
    assert gen(f) == "2" and len(f.worker_pids("backend.py")) == 2


def test_max_parallel_starts(faucet):
    f = faucet(start=False)
    record = f.dir + "/record"

    def config(n, most):
        return {"max_parallel_starts": most, "apps": {"a": backend("slow=0.4", "record=" + record, gen=n, workers=4)}}
    f.write(config(1, 4))
    f.start()
    os.unlink(record)
    f.reload(config(2, 1))
    times = sorted(float(line.split()[1]) for line in open(record))
    assert len(times) == 4 and all(b - a > 0.35 for a, b in zip(times, times[1:])), times


def test_process_key_of_all_apps(faucet):
    """defaults.env: every app rolls, none fails a request."""
    def config(n):
        return {"defaults": {"env": {"GEN": str(n)}}, "apps": {"a": backend(), "b": backend(), "c": backend()}}
    f = faucet(config(1))
    with Traffic(f, ["/a/x", "/b/x", "/c/x"], keep=3, fresh=1):
        f.reload(config(2))
    assert [gen(f, app) for app in "abc"] == ["2"] * 3


def test_route_of_a_kind_that_learns_its_base_path(faucet):
    """FastAPI under a new route: its own links are right afterwards, whether that needed new processes or not."""
    f = faucet({"apps": {"api": {"dir": APPS + "/fastapi"}}})
    assert b"/api/openapi.json" in f.get("/api/docs").body
    f.reload({"apps": {"api": {"dir": APPS + "/fastapi", "route": "/moved/"}}})
    assert b"/moved/openapi.json" in f.get("/moved/docs").body and f.get("/api/docs").status == 404
