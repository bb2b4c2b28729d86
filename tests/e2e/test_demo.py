"""`make run`: contrib/dev/demo with its PostgreSQL, in a copy of what it needs, so that a developer's own demo is left alone."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import processes
from faucet import BIN, ROOT, SLOW, free_port
from wire import until

SMALL = "apps: { files: { type: static, dir: apps/landing, telemetry: { namespace: small } } }\n"


class Demo:
    def __init__(self, path, runtime, conf=None):
        self.runtime, self.root, self.port, self.process = runtime, path, free_port(), None
        self.log = os.path.join(path, "output")
        os.makedirs(os.path.join(path, "contrib", "dev"))
        self.script = shutil.copy(os.path.join(ROOT, "contrib", "dev", "demo"), os.path.join(path, "contrib", "dev"))
        shutil.copytree(os.path.join(ROOT, "conf"), os.path.join(path, "conf"))
        if conf:
            with open(os.path.join(path, "conf", "faucet.yaml"), "w") as f:
                f.write(conf)
        self.server = os.path.join(path, "build", "demo", "server")

    def env(self):
        return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.root, "LANG": "C.UTF-8",
                "XDG_RUNTIME_DIR": self.runtime, "FAUCET_LISTEN": "127.0.0.1:%d" % self.port, "PYTHONDONTWRITEBYTECODE": "1"}

    def start(self, *args):
        """In a session of its own, as at a terminal: Ctrl-C goes to all of it."""
        with open(self.log, "w") as log:
            self.process = subprocess.Popen([self.script, BIN, *args], cwd="/", env=self.env(), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        return self

    def output(self):
        with open(self.log) as f:
            return f.read()

    def wait_output(self, regex, timeout=60.0):
        def said():
            assert self.process.poll() is None, self.output()
            return re.search(regex, self.output(), re.M)
        return until(said, timeout * SLOW, "the demo says " + regex)

    def psql(self):
        """The command it prints, as text for a shell."""
        return self.wait_output(r"^  (psql .*)$")[1]

    def show(self, command):
        done = subprocess.run(["sh", "-c", command + " -A -t"], env=self.env(), capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def get(self, path):
        done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:%d%s" % (self.port, path)],
                              capture_output=True, text=True, timeout=30)
        return int(done.stdout)

    def status(self):
        done = subprocess.run([BIN, "status", "--json", "-c", self.root + "/conf/faucet.yaml"], env=self.env(), capture_output=True, text=True)
        return json.loads(done.stdout)

    def postmaster(self):
        with open(os.path.join(self.server, "data", "postmaster.pid")) as f:
            return int(f.readline())

    def living(self):
        """What runs in its directories: PostgreSQL has its data there, faucet and its workers are somewhere in the tree."""
        places = (self.root, os.path.realpath(self.server))
        found = []
        for pid in processes.pids():
            try:
                if os.readlink("/proc/%d/cwd" % pid).startswith(places):
                    found.append("%d %s" % (pid, processes.command_line(pid)))
            except OSError:
                pass
        return found

    def interrupt(self):
        """Ctrl-C; its exit status. Nothing of it is left."""
        os.killpg(self.process.pid, signal.SIGINT)
        status = self.process.wait(30 * SLOW)
        assert not self.living()
        return status

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)
        subprocess.run([self.script, "--clean"], env=self.env(), cwd="/", check=True)


@pytest.fixture
def demo():
    made, base = [], tempfile.mkdtemp(prefix="demo", dir="/tmp")
    os.chmod(base, 0o755)
    os.mkdir(base + "/r", 0o700)

    def make(conf=SMALL, under="d", mode=0o755):
        path = os.path.join(base, under)
        os.makedirs(path)
        os.chmod(path, mode)
        made.append(Demo(path, base + "/r", conf))
        return made[-1]
    yield make
    for one in made:
        one.close()
    shutil.rmtree(base)


def test_the_demo_shows_its_rows_and_stops_with_everything(demo):
    """The real one: a landing page, Shiny, Plumber, FastAPI."""
    d = demo(conf=None).start()
    command = d.psql()
    postmaster = d.postmaster()
    pages = {"landing": "/", "shiny": "/shiny/", "plumber": "/plumber/", "fastapi": "/fastapi/"}
    for page in pages.values():
        assert d.get(page) < 500
    until(lambda: set(pages) <= {line.split("|")[0] for line in d.show(command).splitlines()}, 20 * SLOW, "the printed command shows every app", 0.2)
    assert len(d.living()) > 5 and processes.alive(postmaster)
    assert d.interrupt() == 0
    assert not processes.alive(postmaster) and not os.path.exists(os.path.join(d.server, ".s.PGSQL.5432"))
    assert "no telemetry" not in d.output() and "queued 0" in d.output()


def test_without_telemetry(demo):
    lines = subprocess.run(["make", "-n", "run", "TELEMETRY=off"], cwd=ROOT, capture_output=True, text=True).stdout
    argument = re.search(r"^exec contrib/dev/demo \S+ ?(.*)$", lines, re.M)[1]
    d = demo().start(*argument.split())
    d.wait_output(r"http://127\.0\.0\.1:%d/files/" % d.port)
    assert d.get("/files/") == 200 and d.status()["telemetry"]["on"] is False
    assert not os.path.exists(os.path.join(d.root, "build", "demo")) and "psql" not in d.output()
    assert d.interrupt() == 0


def test_what_one_demo_left_the_next_one_sends(demo):
    d = demo().start()
    command = d.psql()
    os.kill(d.postmaster(), signal.SIGQUIT)
    until(lambda: not os.path.exists(os.path.join(d.server, "data", "postmaster.pid")), 10 * SLOW, "the server is gone")
    for _ in range(7):
        assert d.get("/files/") == 200
    assert d.interrupt() == 0
    assert "(kept on disk)" in d.output()
    d.start()
    assert d.psql() == command

    def shown():
        return sum(int(line.split("|")[3]) for line in d.show(command).splitlines())
    until(lambda: shown() >= 7, 20 * SLOW, "the rows of the first run", 0.2)
    assert [x["state"] for x in d.status()["telemetry"]["destinations"]] == ["used"] and "left from an earlier run" not in d.output()
    assert shown() == 7
    d.process.send_signal(signal.SIGTERM)  # to the script alone
    assert d.process.wait(30 * SLOW) == 0 and not d.living()


@pytest.mark.parametrize("where", ["long"] + (["closed"] if os.geteuid() == 0 else []))  # root's server is another user's
def test_where_the_server_cannot_be_in_build(demo, where):
    """A directory of a name that nobody could have made before; the next demo finds it, and nobody else can come in."""
    d = demo(under="x" * 80) if where == "long" else demo(mode=0o700)
    d.start()
    command = d.psql()
    place = os.readlink(d.server)
    assert re.fullmatch(r"/var/tmp/faucet-demo-\w{8}", place) and "host=%s " % place in command
    assert os.lstat(place).st_mode & 0o7777 == 0o700
    assert d.get("/files/") == 200
    until(lambda: "small" in d.show(command.replace("SELECT app", "SELECT namespace")), 20 * SLOW, "a row", 0.2)
    assert d.interrupt() == 0
    began = time.time()
    d.start()
    assert d.psql() == command and os.stat(os.path.join(place, "data", "PG_VERSION")).st_mtime < began
    assert d.interrupt() == 0
    if where == "long":  # when ours is gone, somebody else may have taken its name
        shutil.rmtree(place)
        os.symlink(os.path.join(d.root, "build"), place)
        d.start()
        assert d.psql() != command
        assert d.interrupt() == 0
        os.unlink(place)
        place = os.readlink(d.server)
    subprocess.run([d.script, "--clean"], env=d.env(), cwd="/", check=True)
    assert not os.path.exists(place) and not os.path.exists(os.path.join(d.root, "build", "demo"))


def test_two_demos_of_one_checkout(demo):
    """The second one leaves the first one's server alone."""
    d = demo().start()
    command = d.psql()
    other = subprocess.run([d.script, BIN], env=d.env(), cwd="/", capture_output=True, text=True, timeout=60)
    assert other.returncode == 1 and "no telemetry: another demo uses" in other.stderr  # and the port is taken
    assert d.get("/files/") == 200
    until(lambda: "files" in d.show(command), 20 * SLOW, "a row", 0.2)
    assert d.interrupt() == 0
