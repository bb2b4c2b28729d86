"""The one fixture: a faucet process in a short directory of its own.

    f = faucet({"apps": {...}})          # written as faucet.yaml, started, ready
    f.get("/x/").status
    c = f.client(); c.send("GET / HT"); …; c.read_response()

Its environment is made from nothing (no FAUCET_* of the developer's shell) and carries a mark by which every process of its tree is
found again. `check_end` is called by conftest.py after each test and holds what must be true of every daemon: exit 0, no process left,
no sanitizer report, a clean runtime directory.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid

import yaml

import processes
from wire import Wire, until

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
APPS = os.path.join(HERE, "apps")
BIN = os.path.abspath(os.environ.get("FAUCET_BIN", os.path.join(ROOT, "build", "faucet")))
PYTHON = "/usr/bin/python3"
SLOW = float(os.environ.get("E2E_SLOW", "3" if "/address/" in BIN or "/thread/" in BIN else "1"))  # sanitizers take their time
MEMORY_ROOM = 600 << 20 if SLOW > 1 else 0  # a sanitizer keeps freed memory for a while: what grows then says nothing
SANITIZER_REPORT = re.compile(r"AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|Assert error in|Missing errorhandling")


def _ports():
    """Ports below the ephemeral range, another slice for each pytest worker."""
    slice_ = int(re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "gw0")) or 0) % 8
    low = 16000 + 2000 * slice_ + (os.getpid() * 37) % 1500
    while True:
        for port in range(low, 16000 + 2000 * (slice_ + 1)):
            yield port
        low = 16000 + 2000 * slice_


_PORTS = _ports()


def free_port(host="127.0.0.1"):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in _PORTS:
        with socket.socket(family) as s:
            try:
                s.bind((host, port))
                return port
            except OSError:
                continue
    raise AssertionError


def backend(*more, **settings):
    """Settings of a command app that runs apps/backend.py on its Unix socket."""
    return {"command": [PYTHON, os.path.join(APPS, "backend.py"), "{socket}", *more], **settings}


def upstream(*origins, **settings):
    """Settings of an upstream app in front of Origins (or addresses)."""
    return {"upstream": [o if isinstance(o, str) else o.address for o in origins], **settings}


class Faucet:
    def __init__(self, config=None, *, args=(), env=None, listen=True, command="run", wrap=None):
        self.dir = tempfile.mkdtemp(prefix="f", dir="/tmp")
        self.port = free_port()
        self.mark = "E2E_MARK=" + uuid.uuid4().hex
        self.args, self.extra_env, self.command, self.wrap = list(args), dict(env or {}), command, wrap
        self.runtime, self.state = os.path.join(self.dir, "r"), os.path.join(self.dir, "s")
        os.mkdir(self.runtime, 0o700)
        os.mkdir(self.state, 0o700)
        self.conf = os.path.join(self.dir, "faucet.yaml")
        self.stdout_path, self.stderr_path = os.path.join(self.dir, "stdout"), os.path.join(self.dir, "stderr")
        self.process = None
        self.expected_exit = 0
        self.origins = []
        self.clients = []
        if config is not None:
            self.write(config, listen)

    # -- files
    def write(self, config, listen=True, name="faucet.yaml"):
        """A dict, or text in which @PORT@, @DIR@, @APPS@ and @PYTHON@ are put in."""
        if isinstance(config, dict):
            config = dict(config)
            if listen:
                config.setdefault("listen", "127.0.0.1:%d" % self.port)
            config = yaml.safe_dump(config, sort_keys=False, width=1000)
        for key, value in (("@PORT@", str(self.port)), ("@DIR@", self.dir), ("@APPS@", APPS), ("@PYTHON@", PYTHON)):
            config = config.replace(key, value)
        return self.file(name, config)

    def file(self, name, text="", mode=0o644):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    def replace(self, config, listen=True, name="faucet.yaml"):
        """The same, the way an editor does it: a new file, renamed over the old one."""
        os.rename(self.write(config, listen, name + ".new"), os.path.join(self.dir, name))

    def flip(self, target, name):
        """The symlink `name` leads to target from one instant to the next."""
        path = os.path.join(self.dir, name)
        os.symlink(target, path + ".new")
        os.rename(path + ".new", path)
        return path

    # -- the process
    def env(self):
        name, value = self.mark.split("=")
        env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": self.dir, "LANG": "C.UTF-8",
            "XDG_RUNTIME_DIR": self.runtime, "XDG_STATE_HOME": self.state, "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1", name: value,
        }
        env.update({k: v for k, v in os.environ.items() if k in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS")})
        env.update(self.extra_env)
        return {k: v for k, v in env.items() if v is not None}

    def spawn(self, *args, **kwargs):
        """Starts the daemon and returns at once."""
        argv = list(self.wrap or []) + [BIN, self.command]
        if self.command != "start":
            argv += ["-c", self.conf]
        argv += [*self.args, *args]
        options = {"stdout": open(self.stdout_path, "ab"), "stderr": open(self.stderr_path, "ab"), **kwargs}
        self.process = subprocess.Popen(argv, cwd=self.dir, env=self.env(), stdin=subprocess.DEVNULL, **options)
        for name in ("stdout", "stderr"):
            if hasattr(options[name], "close"):
                options[name].close()
        return self

    def start(self, *args, wait=True, timeout=60.0):
        """Starts it and returns when every app is ready (`--wait-ready` shows the URLs then), or with wait=False when it listens."""
        self.spawn(*(["--wait-ready"] if wait else []), *args)
        if wait:
            self.wait_stdout(r"https?://\S+:%d" % self.port, timeout)
        else:
            self.wait_listening(timeout)
        return self

    def run_to_end(self, *args, timeout=20.0):
        """A start that is expected to fail: the exit status."""
        self.spawn(*args)
        self.expected_exit = None
        return self.process.wait(timeout * SLOW)

    def tool(self, command, *args, env=None, conf=True, timeout=20.0, cwd=None):
        """Runs another faucet command over the same file; a CompletedProcess with text."""
        argv = [BIN, command] + (["-c", self.conf] if conf else []) + list(args)
        return subprocess.run(argv, cwd=cwd or self.dir, env={**self.env(), **(env or {})}, capture_output=True, text=True,
                              timeout=timeout * SLOW, stdin=subprocess.DEVNULL)

    # -- the operator's commands
    def hup(self):
        self.signal(signal.SIGHUP)

    def reload(self, config=None, *args, expect=0, timeout=60.0, listen=True):
        """`faucet reload`, after config (if any) was put in place; its CompletedProcess. expect: the exit status, or None."""
        if config is not None:
            self.replace(config, listen)
        done = self.tool("reload", *args, timeout=timeout)
        if expect is not None:
            assert done.returncode == expect, "faucet reload: exit %d\n%s%s" % (done.returncode, done.stdout, done.stderr)
        return done

    def status(self):
        """`faucet status --json`."""
        done = self.tool("status", "--json")
        assert done.returncode in (0, 1), done
        return json.loads(done.stdout)

    def config_number(self):
        value = self.status()["config"]
        return value["number"] if isinstance(value, dict) else value

    def control(self, method, target, timeout=60.0):
        """One request to the control socket; the Response."""
        paths = [p for p in self.leftovers() if p.endswith(".sock") and "/w/" not in p]
        assert len(paths) == 1, paths
        return self.request(method, target, address=paths[0], timeout=timeout)

    @property
    def pid(self):
        return self.process.pid

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=20.0):
        return self.process.wait(timeout * SLOW)

    def stop(self, timeout=20.0):
        """SIGTERM; the exit status."""
        if self.running:
            self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill9(self):
        self.expected_exit = -signal.SIGKILL
        self.process.kill()
        return self.process.wait(10)

    # -- its output
    def stderr(self):
        with open(self.stderr_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def stdout(self):
        with open(self.stdout_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    log = stderr

    def _wait_text(self, read, regex, timeout, what):
        pattern = re.compile(regex, re.M)
        deadline = time.monotonic() + timeout * SLOW
        while True:
            ended = not self.running
            found = pattern.search(read())
            if found:
                return found
            if ended:
                raise AssertionError("faucet exited (%s) before %s had %r" % (self.process.returncode, what, regex))
            if time.monotonic() > deadline:
                raise AssertionError("no %r in %s in %.0f s" % (regex, what, timeout))
            time.sleep(0.02)

    def log_contains(self, regex, timeout=10.0):
        """Waits for a line of the log; the match."""
        return self._wait_text(self.stderr, regex, timeout, "the log")

    def wait_stdout(self, regex, timeout=10.0):
        return self._wait_text(self.stdout, regex, timeout, "standard output")

    def access_lines(self, regex=r""):
        return [line for line in self.log().splitlines() if '" ' in line and " HTTP/" in line and re.search(regex, line)]

    # -- readiness
    def wait_listening(self, timeout=20.0):
        def listening():
            if not self.running:
                raise AssertionError("faucet exited with %s" % self.process.returncode)
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return True
            except OSError:
                return False
        until(listening, timeout * SLOW, "faucet listens")

    def wait_ready(self, app, path=None, timeout=60.0):
        """Polls the app over HTTP until its answer is not one of ours for a worker that is away; that reply."""
        path = path or "/%s/" % app

        def ready():
            response = self.get(path)
            return response if response.status not in (502, 503, 504) else None
        return until(ready, timeout * SLOW, "app %s answers" % app, step=0.05)

    # -- clients
    def client(self, timeout=20.0, rcvbuf=None, address=None):
        """A raw connection to the first listener (or to address)."""
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX)
        else:
            sock = socket.socket(socket.AF_INET6 if address and ":" in address[0] else socket.AF_INET)
        if rcvbuf:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        sock.settimeout(10)
        sock.connect(address or ("127.0.0.1", self.port))
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock, timeout * SLOW)
        self.clients.append(wire)
        return wire

    def request(self, method, target, headers=(), body=b"", host="localhost", timeout=20.0, address=None, version="1.1"):
        """One exchange on a connection of its own."""
        wire = self.client(timeout, address=address)
        try:
            body = body.encode() if isinstance(body, str) else body
            lines = ["%s %s HTTP/%s" % (method, target, version)]
            lines += ["Host: " + host] if host else []
            lines += ["%s: %s" % (n, v) for n, v in (headers.items() if isinstance(headers, dict) else headers)]
            if body or method in ("POST", "PUT", "PATCH"):
                lines.append("Content-Length: %d" % len(body))
            wire.send("\r\n".join(lines) + "\r\nConnection: close\r\n\r\n", body)
            return wire.read_response(method)
        finally:
            wire.close()

    def get(self, target, headers=(), **kwargs):
        return self.request("GET", target, headers, **kwargs)

    def post(self, target, body=b"", headers=(), **kwargs):
        return self.request("POST", target, headers, body, **kwargs)

    def url(self, path="/", scheme="http"):
        return "%s://127.0.0.1:%d%s" % (scheme, self.port, path)

    # -- processes
    def tree(self):
        """All living processes of this daemon, itself included."""
        return processes.marked(self.mark)

    def worker_pids(self, needle="apps/", app=None):
        """Processes below the daemon whose command line holds needle; or with app= the workers of that app, of any generation."""
        if app is not None:
            return processes.with_variable(self.tree(), "FAUCET_APP", app)
        return [p for p in processes.descendants(self.pid) if needle in processes.command_line(p) and processes.alive(p)]

    def rss_anon(self):
        return processes.rss_anon(self.pid)

    def descriptors(self):
        return processes.descriptors(self.pid)

    # -- the end
    def leftovers(self):
        """Files, sockets and pipes below the runtime directory."""
        return [os.path.join(base, name) for base, _, names in os.walk(self.runtime) for name in names]

    def check_end(self):
        """Stops what runs and returns what was wrong, a list of sentences."""
        wrong = []
        for wire in self.clients:
            wire.close()
        if self.process is not None:
            if self.running:
                self.signal(signal.SIGTERM)
                try:
                    self.process.wait(25 * SLOW)
                except subprocess.TimeoutExpired:
                    wrong.append("still runs 25 s after SIGTERM")
                    self.process.kill()
                    self.process.wait(10)
            elif self.expected_exit == 0 and self.process.returncode != 0:
                wrong.append("exited by itself")
            if self.expected_exit is not None and self.process.returncode != self.expected_exit:
                wrong.append("exit status %s, expected %s" % (self.process.returncode, self.expected_exit))
            try:
                until(lambda: not self.tree(), 5 * SLOW)
            except AssertionError:
                left = self.tree()
                wrong.append("processes left: " + "; ".join("%d %s" % (p, processes.command_line(p)) for p in left))
                for pid in left:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except OSError:
                        pass
            text = self.stderr() if os.path.exists(self.stderr_path) else ""
            report = SANITIZER_REPORT.search(text)
            if report:
                wrong.append("standard error has: " + text[max(0, report.start() - 200):report.start() + 3000])
            if self.expected_exit == 0 and self.leftovers():
                wrong.append("left in the runtime directory: %s" % self.leftovers())
        for origin in self.origins:
            if origin.broken:
                wrong.append("bytes at the backend that are no canonical HTTP: %s" % origin.broken[:3])
            origin.close()
        return wrong

    def dump(self, limit=12000):
        parts = []
        for name in (self.stdout_path, self.stderr_path):
            if os.path.exists(name):
                with open(name, "rb") as f:
                    text = f.read().decode("utf-8", "replace")
                parts.append("--- %s\n%s" % (os.path.basename(name), text[-limit:]))
        if os.path.exists(self.conf):
            with open(self.conf, "rb") as f:
                parts.append("--- faucet.yaml\n" + f.read().decode("utf-8", "replace")[:4000])
        if self.process is not None:
            parts.append("--- exit status %s" % self.process.returncode)
        return "\n".join(parts)

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)
