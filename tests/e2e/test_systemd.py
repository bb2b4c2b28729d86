"""The units of contrib/systemd, and what the daemon tells a service manager: sd_notify against a real datagram socket."""
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

import processes
from faucet import BIN, PYTHON, ROOT, SLOW, backend

UNITS = os.path.join(ROOT, "contrib", "systemd")
UCRED = struct.Struct("iII")


# -- the units

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """As `make install` writes them, for a prefix where the program is."""
    prefix = str(tmp_path_factory.mktemp("prefix"))
    done = subprocess.run(["make", "-s", "-o", "all", "install", "PREFIX=" + prefix, "FAUCET=" + BIN], cwd=ROOT, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return prefix


def analyze(*args):
    return subprocess.run(["systemd-analyze", "--no-pager", *args], capture_output=True, text=True, timeout=60 * SLOW)


def unit(prefix, name):
    return os.path.join(prefix, "lib", "systemd", "system", name)


def lines(path):
    """[(section, key, value)]"""
    found, section = [], None
    with open(path, encoding="utf-8") as f:
        for line in f.read().splitlines():
            if line.startswith("["):
                section = line.strip("[]")
            elif line and not line.startswith("#"):
                key, equals, value = line.partition("=")
                assert equals, line
                found.append((section, key, value))
    return found


def test_units_are_right(installed):
    for names in (["faucet.service"], ["faucet.socket"], ["faucet.service", "faucet.socket"]):
        done = analyze("verify", *[unit(installed, n) for n in names])
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_units_can_be_found_wrong(installed, tmp_path):
    """What the test above relies on: a slip is said."""
    wrong = tmp_path / "faucet.service"
    wrong.write_text(open(unit(installed, "faucet.service"), encoding="utf-8").read().replace("KillMode=mixed", "KilMode=mixed"))
    assert "KilMode" in analyze("verify", str(wrong)).stderr


def test_unit_is_hardened(installed):
    done = analyze("security", "--offline=yes", "--threshold=50", unit(installed, "faucet.service"))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    assert re.search(r"Overall exposure level for faucet\.service: \d\.\d", done.stdout)


def test_unit_says_what_it_promises(installed):
    service = {(s, k): v for s, k, v in lines(unit(installed, "faucet.service"))}
    program = installed + "/bin/faucet"
    assert {k: service["Service", k] for k in ("Type", "ExecStart", "ExecReload", "KillMode", "RestartPreventExitStatus", "OOMPolicy")} == {
        "Type": "notify", "ExecStart": program + " run -c /etc/faucet/faucet.yaml",
        "ExecReload": program + " reload -c /etc/faucet/faucet.yaml", "KillMode": "mixed", "RestartPreventExitStatus": "64 78",
        "OOMPolicy": "continue"}
    for key in ("WatchdogSec", "StateDirectory", "RuntimeDirectory", "TimeoutStopSec"):
        assert ("Service", key) in service
    # what would keep apps from running
    for key in ("MemoryDenyWriteExecute", "PrivateNetwork", "ProcSubset", "LimitNOFILE"):
        assert ("Service", key) not in service


def test_the_default_address_is_the_one_of_the_socket(faucet, installed):
    """A socket that is in no `listen:` would be closed: the unit passes the address that faucet listens on by default."""
    f = faucet({"apps": {"a": backend()}}, start=False, listen=False)
    address = dict((k, v) for _, k, v in lines(unit(installed, "faucet.socket")))["ListenStream"]
    assert f.tool("config", "listen").stdout.split("#")[0].strip() in ("listen: %s" % address, 'listen: ["%s"]' % address,
                                                                      "listen: [%s]" % address)


def test_notify_reload_drop_in(installed, tmp_path):
    shutil.copy(unit(installed, "faucet.service"), tmp_path)
    os.mkdir(tmp_path / "faucet.service.d")
    shutil.copy(os.path.join(UNITS, "notify-reload.conf"), tmp_path / "faucet.service.d")
    version = int(re.match(r"systemd (\d+)", analyze("--version").stdout)[1])
    done = analyze("verify", str(tmp_path / "faucet.service"))
    assert done.returncode == 0
    said = done.stderr.splitlines()
    if version >= 253:
        assert said == []
    else:  # both lines are ignored, and it still exits with 0
        assert len(said) == 2 and all("notify-reload.conf" in line for line in said), said
        assert "notify-reload" in said[0] and "ReloadSignal" in said[1]
    values = [(k, v) for _, k, v in lines(os.path.join(UNITS, "notify-reload.conf"))]
    assert values == [("Type", "notify-reload"), ("ReloadSignal", "SIGHUP"), ("ExecReload", "")]


# -- the protocol

class Manager:
    """systemd's side of $NOTIFY_SOCKET. `seen`: [(pid, {key: value})]"""

    def __init__(self, address):
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.seen = []

    def receive(self, timeout):
        self.socket.settimeout(timeout)
        try:
            data, control, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(UCRED.size))
        except (TimeoutError, BlockingIOError):
            return None
        pid = UCRED.unpack(control[0][2])[0]
        message = dict(line.split("=", 1) for line in data.decode("utf-8").split("\n"))
        self.seen.append((pid, message))
        return self.seen[-1]

    def wait(self, key, timeout=20.0):
        """The next message with that key; others before it are passed over."""
        deadline = time.monotonic() + timeout * SLOW
        while time.monotonic() < deadline:
            got = self.receive(max(0.01, deadline - time.monotonic()))
            if got and key in got[1]:
                return got[1]
        raise AssertionError("no %s in %.0f s; there were %r" % (key, timeout, self.seen))

    def drain(self):
        while self.receive(0):
            pass


@pytest.fixture
def manager(request, tmp_path):
    made = []

    def make(abstract=False):
        made.append(Manager("@faucet-e2e-%d-%d" % (os.getpid(), len(made)) if abstract else str(tmp_path / ("n%d" % len(made)))))
        return made[-1]
    yield make
    for one in made:
        one.socket.close()


def apps(**more):
    return {"apps": {"a": backend(**more)}}


@pytest.mark.parametrize("abstract", [False, True])
def test_start_reload_stop(faucet, manager, abstract):
    m = manager(abstract)
    f = faucet(apps(), start=False, env={"NOTIFY_SOCKET": m.address})
    f.start()
    ready = m.wait("READY")
    assert ready["READY"] == "1" and "1 app" in ready["STATUS"]

    before = time.clock_gettime(time.CLOCK_MONOTONIC)
    f.signal(signal.SIGHUP)
    reloading = m.wait("RELOADING")
    assert reloading["RELOADING"] == "1"
    assert before <= int(reloading["MONOTONIC_USEC"]) / 1e6 <= time.clock_gettime(time.CLOCK_MONOTONIC)
    assert "READY" not in reloading
    ready = m.wait("READY")
    assert ready["READY"] == "1" and "config 2" in ready["STATUS"]

    # one that fails is over as well, and says so
    f.write("apps: [\n")
    f.signal(signal.SIGHUP)
    m.wait("RELOADING")
    ready = m.wait("READY")
    assert "failed" in ready["STATUS"] and "config 2" in ready["STATUS"]

    f.signal(signal.SIGTERM)
    assert m.wait("STOPPING")["STOPPING"] == "1"
    assert f.wait_exit() == 0
    m.drain()
    order = [next(k for k in ("READY", "RELOADING", "STOPPING") if k in message)
             for _, message in m.seen if message.keys() & {"READY", "RELOADING", "STOPPING"}]
    assert order == ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"]
    assert all("STATUS" in message or "WATCHDOG" in message for _, message in m.seen)
    assert {pid for pid, _ in m.seen} == {f.pid}, "NotifyAccess=main takes messages of the main process only"


def test_reload_command_of_the_unit(faucet, manager):
    """ExecReload: synchronous, finds the daemon where RuntimeDirectory puts its socket, and its exit status is the reload's."""
    m = manager()
    f = faucet(apps(), start=False, env={"NOTIFY_SOCKET": m.address})
    f.extra_env["RUNTIME_DIRECTORY"] = f.runtime
    f.start()
    m.wait("READY")
    done = f.tool("reload")
    assert done.returncode == 0, done.stderr
    m.drain()
    kinds = [message for _, message in m.seen if "RELOADING" in message or "READY" in message]
    assert "RELOADING" in kinds[1] and "READY" in kinds[2], "both were sent before the command ended"
    f.write({"apps": {"a": {"command": ["/nonexistent/program"]}}})
    done = f.tool("reload")
    assert done.returncode == 78 and "/nonexistent/program" in done.stderr
    f.write("apps: {}\n")
    assert f.tool("reload").returncode == 78
    assert f.get("/a/").status == 200


def test_watchdog(faucet, manager):
    m = manager()
    f = faucet(apps(), start=False, env={"NOTIFY_SOCKET": m.address, "WATCHDOG_USEC": "400000"},
               wrap=["/bin/sh", "-c", 'WATCHDOG_PID=$$ exec "$@"', "sh"])
    f.start()
    began = time.monotonic()
    for _ in range(4):
        assert m.wait("WATCHDOG") == {"WATCHDOG": "1"}
    assert time.monotonic() - began < 10 * SLOW
    assert {pid for pid, message in m.seen if "WATCHDOG" in message} == {f.pid}

    f.signal(signal.SIGSTOP)  # a loop that does not turn says nothing
    try:
        deadline = time.monotonic() + 10
        while processes.status(f.pid)["State"][0] != "T" and time.monotonic() < deadline:
            time.sleep(0.01)
        m.drain()
        assert m.receive(0.6) is None
    finally:
        f.signal(signal.SIGCONT)
    m.wait("WATCHDOG")


def test_watchdog_of_another_process(faucet, manager):
    m = manager()
    f = faucet(apps(), start=False, env={"NOTIFY_SOCKET": m.address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": "1"})
    f.start()
    m.wait("READY")
    f.stop()
    m.drain()
    assert not [message for _, message in m.seen if "WATCHDOG" in message]


def test_nobody_at_the_socket(faucet, tmp_path):
    """A service manager that is gone, or a variable that is nonsense, keeps nothing from working."""
    for address in (str(tmp_path / "nobody"), "@nobody-%d" % os.getpid(), "vsock:2:3", "x" * 300):
        f = faucet(apps(), env={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "10000"})
        assert f.get("/a/").status == 200
        assert f.stop() == 0


ACTIVATE = """import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_a_socket_passed_by_systemd_survives_a_reload(faucet):
    """faucet.socket: the descriptor is used, kept when the file is read again, and still systemd's when faucet is gone."""
    with socket.socket() as listener:
        f = faucet(start=False)
        listener.bind(("127.0.0.1", f.port))
        listener.listen(64)
        f.write(apps())
        f.wrap = [PYTHON, "-c", ACTIVATE, str(listener.fileno())]
        f.spawn(pass_fds=[listener.fileno()])
        assert f.wait_ready("a").status == 200
        for _ in range(3):
            done = f.tool("reload")
            assert done.returncode == 0, done.stderr
            assert f.get("/a/").status == 200
        assert f.stop() == 0
        socket.create_connection(("127.0.0.1", f.port), 5).close()
