"""A reload that fails, at whatever step, leaves everything as it was and says where the mistake is."""
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time

import pytest

import processes
from faucet import free_port
from reloading import Socket, Traffic, backend, me, send_request, settled
from test_balancing import hold
from wire import until

WHERE = r"faucet\.yaml:%d:\d+: "


def good(**more):
    return {"shutdown": {"timeout": "3s"}, "apps": {"a": backend(gen=1, strategy="cookie-hash"), "b": backend()}, **more}


class Before:
    """Everything that can be seen of a daemon with something of each kind alive in it: an idle client, half a request, a running one, a tunnel."""

    def __init__(self, f):
        self.f = f
        self.idle = f.client()
        assert send_request(self.idle, "/a/x") and self.idle.read_response().status == 200
        self.half = f.client()
        self.half.send("GET /a/me HTTP/1.1\r\nHo")
        self.held = hold(f, "held")
        self.ws = Socket(f)
        self.ws_pid = self.ws.pid()
        me(f)
        self.number = f.config_number()
        self.look = settled(f, "ab")

    def holds(self):
        now = settled(self.f, "ab", 15, like=self.look)
        assert now == self.look
        assert self.f.config_number() == self.number
        assert self.ws.pid() == self.ws_pid
        assert send_request(self.idle, "/a/x") and self.idle.read_response().status == 200
        assert me(self.f).gen == "1" and self.f.get("/new/").status == 404

    def ends(self):
        """What was begun before all of it ends well."""
        self.half.send("st: x\r\n\r\n")
        assert self.half.read_response().status == 200
        self.f.file("held.go")
        assert self.held.read_response().status == 200
        assert self.ws.alive()


def text(f, apps, top=""):
    return "listen: 127.0.0.1:%d\n%s\napps:\n  a: { command: ['@PYTHON@', '@APPS@/backend.py', '{socket}'], env: { GEN: '2' } }\n%s" % (f.port, top, apps)


WRONG = {  # what is wrong, the line, what must be said
    "syntax": ("  new: { command: [x, \n", None, r"."),
    "tab": ("\tnew: 1\n", 5, r"(?i)tab|character|indent"),
    "unknown key": ("  new: { command: ['{socket}'], worker: 3 }\n", 5, r"worker.*workers"),
    "bad value": ("  new: { command: ['{socket}'], workers: many }\n", 5, r"workers.*(?i:number)"),
    "out of range": ("  new: { command: ['{socket}'], workers: 0 }\n", 5, r"workers.*1"),
    "directory gone": ("  new: { dir: /nonexistent/dir }\n", 5, r"/nonexistent/dir"),
    "two routes": ("  new: { command: [x, '{socket}'], route: /a/ }\n", 5, r"/a/"),
    "bad name": ("  New: { command: [x, '{socket}'] }\n", 5, r"New"),
    "variable": ("  new: { command: [x, '{socket}'], env: { X: '${NOT_SET:?set it}' } }\n", 5, r"set it"),
    "duplicate": ("  a: { command: [x, '{socket}'] }\n", 5, r"\ba\b"),
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_wrong_file(faucet, what):
    f = faucet(good())
    b = Before(f)
    apps, line, words = WRONG[what]
    f.replace(text(f, apps))
    at = WHERE % line if line else r"faucet\.yaml:\d+:\d+: "
    done = f.reload(expect=78)
    out = done.stdout + done.stderr
    assert re.search(at, out) and re.search(words, out), out
    f.log_contains(r"(?m)^\[\S+ ERROR .*" + at)
    b.holds()
    f.hup()
    until(lambda: len(re.findall(r"(?m)^\[\S+ ERROR .*" + at, f.log())) >= 2, 10, "HUP says so in the log")
    b.holds()
    b.ends()


def test_every_mistake_at_once(faucet):
    f = faucet(good())
    f.replace(text(f, "  one: { command: [x, '{socket}'], workrs: 3 }\n  two: { command: [x, '{socket}'], workers: no }\n", "limts: {}"))
    out = f.reload(expect=78)
    out = out.stdout + out.stderr
    assert all(re.search(WHERE % n, out) for n in (2, 5, 6)), out


def test_mistake_in_an_included_file(faucet):
    f = faucet(start=False)
    base = "include: apps.d/*.yaml\n"
    f.file("apps.d/one.yaml", "apps: {}\n")
    f.write(text(f, "", base))
    f.spawn("--wait-ready")
    f.wait_listening()
    f.file("apps.d/two.yaml", "apps:\n  two: { command: [x, '{socket}'],\n    workrs: 3 }\n")
    done = f.reload(expect=78)
    assert "two.yaml:" in done.stdout + done.stderr


def test_file_is_gone(faucet):
    f = faucet(good())
    b = Before(f)
    os.rename(f.conf, f.conf + ".away")
    # the control socket is found without the file too: its place does not hang on what is in it
    done = f.reload(expect=None)
    assert done.returncode == 78 and "faucet.yaml" in done.stdout + done.stderr, done
    f.hup()
    until(lambda: len(re.findall(r"(?m)^\[\S+ ERROR .*faucet\.yaml", f.log())) >= 2, 10)
    os.rename(f.conf + ".away", f.conf)
    b.holds()
    b.ends()


def test_file_that_may_not_be_read_is_a_directory(faucet):
    f = faucet(good())
    b = Before(f)
    os.rename(f.conf, f.conf + ".away")
    os.mkdir(f.conf)
    f.hup()
    f.log_contains(r"(?m)^\[\S+ ERROR .*faucet\.yaml")
    os.rmdir(f.conf)
    os.rename(f.conf + ".away", f.conf)
    b.holds()
    b.ends()


def test_directory_of_an_app_goes(faucet):
    """The app is not changed in the file, its directory is no more."""
    f = faucet(start=False)
    f.file("v/x")
    config = {"apps": {"a": backend(gen=1, strategy="cookie-hash", dir=f.dir + "/v"), "b": backend()}}
    f.write(config)
    f.start()
    b = Before(f)
    shutil.rmtree(f.dir + "/v")
    done = f.reload(expect=78)
    assert re.search(r"faucet\.yaml:\d+:\d+: .*%s/v" % f.dir, done.stdout + done.stderr), done
    b.holds()
    b.ends()


def changed(**apps):
    """A file that would change all there is: hot, process, new app; and the fault of the test."""
    return {"shutdown": {"timeout": "3s"}, "limits": {"header_size": "2KiB"}, "apps": {"a": backend(gen=2, strategy="cookie-hash"), "b": backend(workers=2), "new": backend(), **apps}}


def test_port_taken(faucet):
    f = faucet(good())
    b = Before(f)
    taken = free_port()
    with socket.socket() as s:
        s.bind(("127.0.0.1", taken))
        s.listen(1)
        config = changed()
        config["listen"] = ["127.0.0.1:%d" % f.port, "127.0.0.1:%d" % taken]
        done = f.reload(config, expect=1)
        assert "127.0.0.1:%d" % taken in done.stdout + done.stderr
        b.holds()
    b.ends()
    f.reload()
    assert me(f).gen == "2"


def test_worker_never_ready(faucet):
    f = faucet(good())
    b = Before(f)
    done = f.reload(changed(bad=backend("exit=5", "cry=this is why")), expect=1)
    assert "bad" in done.stdout + done.stderr and "this is why" in done.stdout + done.stderr
    b.holds()
    b.ends()


def test_log_file_that_cannot_be_opened(faucet):
    f = faucet(good())
    b = Before(f)
    done = f.reload({**changed(), "log": {"file": "/nonexistent/dir/x.log"}}, expect=None)
    assert done.returncode in (1, 78) and "/nonexistent/dir/x.log" in done.stdout + done.stderr
    b.holds()
    b.ends()


def test_socket_directory_is_gone(faucet):
    """Workers of the new generation find no place for their sockets."""
    f = faucet(good())
    where = {os.path.dirname(p) for p in f.leftovers() if "/w/" in p}
    assert len(where) == 1
    where = where.pop()
    b = Before(f)
    os.rename(where, where + ".away")
    done = f.reload(changed(), expect=1)
    assert done.stdout + done.stderr
    os.rename(where + ".away", where)
    b.holds()
    b.ends()
    f.reload()
    assert me(f).gen == "2"


def limit(pid, soft):
    """The soft limit of descriptors of a process, from outside; what it was."""
    before, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    return before


def test_out_of_descriptors_at_every_step(faucet):
    """The limit is set so that the reload runs out of descriptors at its first, second, third … one, until it has enough."""
    f = faucet(good())
    b = Before(f)
    used = max(int(n) for n in os.listdir("/proc/%d/fd" % f.pid)) + 1
    config = changed()
    config["listen"] = ["127.0.0.1:%d" % f.port, "127.0.0.1:%d" % free_port()]
    f.replace(config)
    failures = 0
    for room in range(2, 60):
        was = limit(f.pid, used + room)
        try:
            done = f.reload(expect=None, timeout=30)
        except subprocess.TimeoutExpired:
            done = None     # no descriptor for the asker himself: then nobody can be answered
        finally:
            limit(f.pid, was)
        if done is not None and done.returncode == 0:
            break
        if done is None:
            until(lambda: me(f).gen in ("1", "2"), 10)
            if me(f).gen == "2":
                f.replace(good())
                f.reload()
                pytest.fail("committed after the asker had gone: room %d" % room)
        else:
            failures += 1
            assert done.returncode in (1, 78), done     # unreadable is 78
            assert re.search(r"(?i)too many open files|descriptor", done.stdout + done.stderr + f.log()[-3000:]), done
        b.holds()
    assert failures >= 2 and me(f).gen == "2" and me(f, "new").pid
    b.ends()


def test_keeper_out_of_descriptors(faucet):
    f = faucet(good())
    b = Before(f)
    keeper = [p for p in processes.children(f.pid) if processes.children(p)][0]
    was = limit(keeper, 4)
    done = f.reload(changed(), expect=1)
    assert done.stdout + done.stderr
    limit(keeper, was)
    b.holds()
    b.ends()
    f.reload()
    assert me(f).gen == "2"


def test_many_failures_leave_nothing(faucet):
    f = faucet(good())
    b = Before(f)
    for n in range(15):
        f.reload(changed(bad=backend("exit=5")), expect=1)
        f.replace("apps: [")
        f.reload(expect=78)
    b.holds()
    b.ends()
    f.reload(changed())
    assert me(f).gen == "2"


def test_no_request_fails_while_reloads_fail(faucet):
    f = faucet(good())
    with Traffic(f, ["/a/x", "/b/x"]) as traffic:
        for n in range(5):
            f.reload(changed(bad=backend("exit=5")), expect=1)
            f.replace("apps: [")
            f.reload(expect=78)
        until(lambda: traffic.count > 50)


def test_one_line_for_each_reload(faucet):
    """In the log: which config, and that it was a reload; for a failed one, too."""
    f = faucet(good(log={"format": "json"}))

    def lines():
        found = [json.loads(x) for x in f.log().splitlines()]
        return [x for x in found if x["source"] == "faucet" and re.search(r"(?i)\breload(ed)?\b", x["message"])
                and re.search(r"(?i)config \d+", x["message"])]
    start = len(lines())
    f.reload({**good(log={"format": "json"}), "limits": {"header_size": "2KiB"}})
    until(lambda: len(lines()) >= start + 1, 5, "a line about the reload, with the number of the configuration")
    f.replace("apps: [")
    f.reload(expect=78)
    until(lambda: len(lines()) >= start + 2, 5, "one about that which failed and which configuration still serves")


# -- what cannot change while it runs
@pytest.mark.parametrize("key,value", [("state_dir", "other-state"), ("control", "unix:other.sock")])
def test_what_needs_a_restart_is_said(faucet, key, value):
    f = faucet(good())
    pids = f.worker_pids(app="b")
    f.replace({**good(), key: value, "limits": {"header_size": "2KiB"}})
    # the file names another control socket now; the one that is there is asked
    f.hup()
    f.log_contains(r"(?m)^\[\S+ WARN .*\b%s\b.*restart" % key)
    until(lambda: f.get("/a/x", {"X": "y" * 4000}).status == 431, 5, "everything else takes effect")
    assert f.worker_pids(app="b") == pids
    assert not os.path.exists(f.dir + "/other.sock")


def test_secret_file_is_read_again(faucet):
    f = faucet(good(), start=False)
    secret = f.file("secret", "")
    f.extra_env["FAUCET_TELEMETRY_POSTGRES_STRING_FILE"] = secret
    f.start()
    os.unlink(secret)
    done = f.reload(expect=78)
    assert "FAUCET_TELEMETRY_POSTGRES_STRING_FILE" in done.stdout + done.stderr
    f.file("secret", "")
    f.reload()


# -- the command itself
def test_nobody_there(faucet):
    f = faucet(good(), start=False)
    done = f.tool("reload")
    assert done.returncode == 1 and re.search(r"(?i)not running|no such|connect", done.stderr + done.stdout), done
    assert f.tool("status").returncode == 3


def test_reload_json(faucet):
    f = faucet(good())
    f.replace(changed())
    said = json.loads(f.reload(None, "--json").stdout)
    flat = json.dumps(said)
    assert re.search(r'"a"', flat) and re.search(r"roll", flat) and re.search(r"resize", flat) and re.search(r"start", flat), said
    f.replace(text(f, "  x: { workrs: 1 }\n"))
    done = f.reload(None, "--json", expect=78)
    flat = json.dumps(json.loads(done.stdout))
    assert "faucet.yaml:5:" in flat and "workrs" in flat


def test_reload_table(faucet):
    """Per app what happened and the key that forced it."""
    f = faucet({"apps": {"keep": backend(), "hot": backend(), "resize": backend(), "roll": backend(), "drop": backend()}})
    out = f.reload({"apps": {"keep": backend(), "hot": backend(body_size="1KiB"), "resize": backend(workers=2), "roll": backend(gen=1), "start": backend()}}).stdout
    for app, key in (("keep", ""), ("hot", "body_size"), ("resize", "workers"), ("roll", "env"), ("start", ""), ("drop", "")):
        assert re.search(r"(?m)^\W*%s\b.*\b%s\b.*%s" % (app, app, key), out), (app, out)


def test_plan_changes_nothing(faucet):
    f = faucet(good())
    b = Before(f)
    f.replace(changed(bad=backend("exit=1")))
    done = f.tool("plan")
    assert done.returncode == 0 and re.search(r"(?m)\ba\b.*roll.*env", done.stdout) and re.search(r"(?m)\bb\b.*resize.*workers", done.stdout), done
    said = json.loads(f.tool("plan", "--json").stdout)
    assert "roll" in json.dumps(said)
    f.replace(text(f, "  x: { workrs: 1 }\n"))
    assert f.tool("plan").returncode == 78
    b.holds()
    b.ends()


def test_who_asked_is_logged(faucet):
    f = faucet(good())
    f.reload()
    f.log_contains(r"(?i)uid %d\b" % os.getuid())
    f.hup()
    f.log_contains(r"SIGHUP|Hangup")


def test_asker_who_leaves(faucet):
    """`faucet reload` is interrupted: the reload goes on."""
    f = faucet(good())
    f.replace({"apps": {"a": backend("slow=1", gen=2), "b": backend()}})
    p = subprocess.Popen([os.path.realpath("/proc/%d/exe" % f.pid), "reload", "-c", f.conf], env=f.env(), cwd=f.dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: len(f.worker_pids(app="a")) == 2, 10)
    p.send_signal(signal.SIGINT)
    p.wait(10)
    until(lambda: me(f).gen == "2", 10)
    time.sleep(0.2)
    assert f.running
