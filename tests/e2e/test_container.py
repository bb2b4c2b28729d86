"""As in a container: faucet is process 1 of a PID namespace, set up by its environment, reloaded by HUP."""
import json
import os
import re
import shlex
import shutil
import signal
import subprocess

import pytest

import processes
from faucet import BIN, ROOT, SLOW, backend
from postgres import Postgres
from telemetry import Rows, full_database, settings
from wire import until

NAMESPACE = ["/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def can_unshare():
    return subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0


pytestmark = pytest.mark.skipif(not can_unshare(), reason="PID namespaces cannot be made here")


class Container:
    """The daemon's own process as the host sees it; `unshare` is its parent and passes no signal on."""

    def __init__(self, f, *wrap):
        f.wrap = [*NAMESPACE, *wrap]
        self.f = f.start()
        self.pid, = processes.children(f.pid)
        assert processes.status(self.pid)["NSpid"].split()[-1] == "1"

    def run(self, *argv):
        """docker exec"""
        return subprocess.run(["/usr/bin/nsenter", "-t", str(self.pid), "-p", "-m", *argv], capture_output=True, text=True,
                              env=self.f.env(), timeout=20 * SLOW)

    def zombies(self):
        return [p for p in processes.children(self.pid) if processes.status(p).get("State", "")[:1] == "Z"]

    def stop(self):
        if self.f.running:
            os.kill(self.pid, signal.SIGTERM)
        return self.f.wait_exit()


@pytest.fixture
def container(faucet):
    made = []

    def make(config, *wrap, **kwargs):
        made.append(Container(faucet(config, start=False, **kwargs), *wrap))
        return made[-1]
    yield make
    for one in made:
        one.stop()


def test_orphans_are_reaped(container):
    c = container({"apps": {"a": backend()}})
    # left by a shell of `docker exec`: its parent is gone, process 1 inherits it
    for _ in range(3):
        assert c.run("/bin/sh", "-c", "sleep 1 > /dev/null 2>&1 &").returncode == 0
    until(lambda: len([p for p in processes.children(c.pid) if "sleep" in processes.command_line(p)]) > 0, 5 * SLOW,
          "process 1 has inherited one")
    until(lambda: not [p for p in processes.children(c.pid) if "sleep" in processes.command_line(p)] and not c.zombies(), 10 * SLOW,
          "they ended and were reaped")
    assert c.f.get("/a/").status == 200
    assert c.stop() == 0


def test_orphans_of_workers_are_the_keepers(container):
    c = container({"apps": {"a": {"command": ["sh", "-c", "(setsid sleep 0.2 &); exec " + " ".join(backend()["command"])]}}})
    everything = processes.descendants(c.pid)
    until(lambda: not [p for p in processes.descendants(c.pid) if processes.status(p).get("State", "")[:1] == "Z"], 10 * SLOW,
          "no zombie is left")
    assert len(everything) >= 2
    assert c.stop() == 0


def test_environment_and_hup(container):
    """No file needs to be edited: settings and ${VARIABLES} come from outside; HUP takes a new file."""
    c = container({"apps": {"a": backend()}}, env={"FAUCET_APPS_A_WORKERS": "3", "LEVEL": "debug"})
    assert len(c.f.worker_pids("backend.py")) == 3
    assert c.run("cat", "/proc/1/comm").stdout.strip() == "faucet"
    c.f.write({"log": {"level": "${LEVEL}"}, "apps": {"a": backend(), "b": backend()}})
    os.kill(c.pid, signal.SIGHUP)  # docker kill -s HUP
    until(lambda: c.f.get("/b/").status == 200, 20 * SLOW, "the new app answers")
    assert c.f.tool("config", "log.level").stdout.startswith("log.level: debug")
    assert c.stop() == 0


def test_everything_goes_with_process_1(container):
    c = container({"apps": {"a": backend()}})
    workers = c.f.worker_pids("backend.py")
    assert workers
    c.f.expected_exit = None
    os.kill(c.pid, signal.SIGKILL)
    c.f.wait_exit()
    until(lambda: not [p for p in workers if processes.alive(p)], 10 * SLOW, "the kernel ended the rest")


def dockerfile():
    """(the image's own environment, its volumes)"""
    with open(os.path.join(ROOT, "contrib", "docker", "Dockerfile")) as f:
        text = f.read().partition("\nFROM ")[2].partition("\nFROM ")[2]
    env = dict(pair.split("=", 1) for line in re.findall(r"^ENV (.*)$", text, re.M) for pair in shlex.split(line))
    return env, json.loads(re.search(r"^VOLUME (.*)$", text, re.M)[1])


def test_the_image_writes_to_its_volumes_alone():
    env, volumes = dockerfile()
    assert {env["STATE_DIRECTORY"], env["RUNTIME_DIRECTORY"], "/tmp"} == set(volumes)


def test_what_is_sent_to_the_engine_is_enough(tmp_path):
    """make has what it compiles (sql/ is put into the program) and what it installs."""
    with open(os.path.join(ROOT, "contrib", "docker", "Dockerfile.dockerignore")) as f:
        sent = re.findall(r"^!(\S+)$", f.read(), re.M)
    context, out = str(tmp_path / "src"), str(tmp_path / "out")
    for path in sent:
        os.makedirs(os.path.dirname(os.path.join(context, path)), exist_ok=True)
        shutil.copytree(os.path.join(ROOT, path), os.path.join(context, path)) if os.path.isdir(os.path.join(ROOT, path)) else \
            shutil.copy(os.path.join(ROOT, path), os.path.join(context, path))

    def make(*argv):
        env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
        done = subprocess.run(["make", *argv], cwd=context, env=env, capture_output=True, text=True, timeout=100 * SLOW)
        assert done.returncode == 0, done.stdout + done.stderr
    make("build/src/telemetry/schema_sql.o")
    shutil.copy(BIN, os.path.join(context, "build", "faucet"))
    make("-o", "all", "install", "PREFIX=/usr", "DESTDIR=" + out)
    assert subprocess.run([out + "/usr/bin/faucet", "--version"], capture_output=True).returncode == 0
    assert os.listdir(out + "/usr/share/faucet/sql")


def test_read_only_without_a_volume_for_events(container):
    """With the image's own environment: /run can be written to, nothing else can. faucet serves, and says where events wait."""
    env, _ = dockerfile()
    del env["FAUCET_LISTEN"]
    read_only = ["sh", "-c", 'mount -t tmpfs tmpfs /run && mount -o remount,bind,ro / && exec "$@"', "sh"]
    with Postgres() as pg:
        rows = Rows(pg, full_database(pg, "image"))
        c = container({"telemetry": settings(pg, rows.name), "apps": {"a": backend()}}, *read_only, env=env)
        assert c.run("touch", c.f.dir + "/x", env["STATE_DIRECTORY"]).returncode != 0
        warning = c.f.log_contains(r"WARN .*telemetry: events wait in memory and are lost when faucet is killed: %s: .*" % env["STATE_DIRECTORY"])
        assert "Read-only file system" in warning.group(0)
        assert rows.of(c.f.get("/a/me"))["status"] == 200
        telemetry = json.loads(c.run(BIN, "status", "--json").stdout)["telemetry"]
        assert telemetry["destinations"][0]["on_disk"] is False and telemetry["state_dir"] is None
        assert c.stop() == 0
        assert rows.all("faucet_config_events", "event = 'stop'")
