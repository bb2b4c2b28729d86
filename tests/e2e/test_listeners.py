"""Where it listens: several addresses, Unix sockets, IPv6, sockets handed over by systemd, and an address that is taken."""
import os
import re
import socket
import stat

import pytest

from faucet import BIN, Faucet, free_port, upstream
from wire import until


def test_several(faucet, origin):
    o = origin()
    f = faucet(start=False, origins=[o])
    second = free_port()
    path = f.dir + "/l.sock"
    f.write({"listen": ["127.0.0.1:%d" % f.port, "127.0.0.1:%d" % second, "[::1]:%d" % second, "unix:" + path], "apps": {"a": upstream(o)}})
    f.start()
    for address in (None, ("127.0.0.1", second), ("::1", second), path):
        assert f.get("/a/x", address=address).status == 200
    assert o.seen("/x")[2]["X-Forwarded-For"] == "::1"
    assert f.stop() == 0
    assert not os.path.exists(path), "the socket is removed at the end"


def test_ipv6_in_the_log(faucet, origin):
    o = origin()
    f = faucet(start=False, origins=[o])
    f.write({"listen": ["127.0.0.1:%d" % f.port, "[::]:%d" % free_port()], "apps": {"a": upstream(o)}})
    port = int(re.search(r"\[::\]:(\d+)", open(f.conf).read())[1])
    f.start()
    assert f.get("/a/six", address=("::1", port)).status == 200
    f.log_contains(r"\] ::1 \"GET /a/six ")
    try:
        assert f.get("/a/four", address=("127.0.0.1", port)).status == 200
        f.log_contains(r"\] 127\.0\.0\.1 \"GET /a/four ")       # v4-mapped is shown as v4
    except ConnectionRefusedError:
        pass                                                    # IPV6_V6ONLY is a choice too


def test_wildcard_shows_a_url_one_can_open(faucet, origin):
    o = origin()
    f = faucet(start=False, origins=[o])
    f.write({"listen": "0.0.0.0:%d" % f.port, "apps": {"a": upstream(o)}})
    f.start()
    assert f.get("/a/x").status == 200


def test_unix_socket_of_a_dead_daemon_is_taken_over(faucet, origin):
    o = origin()
    f = faucet(start=False, origins=[o])
    path = f.dir + "/l.sock"
    s = socket.socket(socket.AF_UNIX)
    s.bind(path)
    s.close()
    f.write({"listen": ["127.0.0.1:%d" % f.port, "unix:" + path], "apps": {"a": upstream(o)}})
    f.start()
    assert f.get("/a/x", address=path).status == 200
    assert stat.S_ISSOCK(os.stat(path).st_mode)


def test_unix_socket_of_a_living_daemon_is_not(faucet, origin):
    o = origin()
    f = faucet(start=False, origins=[o])
    path = f.dir + "/l.sock"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(5)
        f.write({"listen": ["127.0.0.1:%d" % f.port, "unix:" + path], "apps": {"a": upstream(o)}})
        assert f.run_to_end() == 1
        assert path in f.log()
        assert os.path.exists(path)
        socket.socket(socket.AF_UNIX).connect(path)


def test_file_in_the_way_is_kept(faucet, origin):
    o = origin()
    f = faucet(start=False, origins=[o])
    f.file("l.sock", "precious")
    f.write({"listen": ["127.0.0.1:%d" % f.port, "unix:%s/l.sock" % f.dir], "apps": {"a": upstream(o)}})
    assert f.run_to_end() == 1
    assert open(f.dir + "/l.sock").read() == "precious" and "l.sock" in f.log()


def test_port_in_use(faucet, origin):
    o = origin()
    f = faucet(start=False, origins=[o])
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", f.port))
        s.listen(5)
        f.write({"apps": {"a": upstream(o)}})
        assert f.run_to_end() == 1
    assert re.search(r"127\.0\.0\.1:%d.*(?i:in use)" % f.port, f.log()), f.log()
    assert not f.leftovers()


def test_two_daemons_never_share_a_port(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    other = faucet(start=False)
    other.port = f.port
    other.write({"apps": {"a": upstream(o)}})
    assert other.run_to_end() == 1
    assert f.get("/a/x").status == 200


def test_address_that_is_not_ours(faucet, origin):
    o = origin()
    f = faucet({"listen": "192.0.2.1:%d" % free_port(), "apps": {"a": upstream(o)}}, start=False, origins=[o])
    assert f.run_to_end() == 1
    assert "192.0.2.1" in f.log()


ACTIVATE = ("import os, sys\nn = int(sys.argv[1])\nos.environ['LISTEN_PID'] = str(os.getpid())\nos.environ['LISTEN_FDS'] = str(n)\n"
            "os.execv(sys.argv[2], sys.argv[2:])\n")


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_inherited(faucet, origin, kind):
    """LISTEN_FDS: the socket that systemd holds is used, not bound again."""
    o = origin()
    f = faucet(start=False, origins=[o])
    path = f.dir + "/l.sock"
    s = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
    s.bind(path if kind == "unix" else ("127.0.0.1", f.port))
    s.listen(50)
    address = "unix:" + path if kind == "unix" else "127.0.0.1:%d" % f.port
    f.write({"listen": address, "apps": {"a": upstream(o)}})
    script = f.file("activate.py", ACTIVATE)
    f.wrap = ["/usr/bin/python3", "-c", "import os, sys; os.dup2(%d, 3); os.set_inheritable(3, True); os.execv(sys.argv[1], sys.argv[1:])" % s.fileno(),
              "/usr/bin/python3", script, "1"]
    f.spawn(pass_fds=[s.fileno()])
    target = path if kind == "unix" else None

    def ready():
        try:
            return f.get("/a/x", address=target, timeout=5).status == 200
        except (ConnectionError, TimeoutError, FileNotFoundError):
            assert f.running, f.log()
            return False
    until(ready, 15, "it serves on the inherited socket")
    assert f.stop() == 0
    if kind == "unix":
        assert os.path.exists(path), "the socket belongs to systemd"
    s.close()


def test_inherited_is_not_for_us(faucet, origin):
    """LISTEN_PID of another process: the variables are somebody else's."""
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, start=False, env={"LISTEN_PID": "1", "LISTEN_FDS": "1"}, origins=[o])
    f.start()
    assert f.get("/a/x").status == 200


def test_the_class_cleans_up_after_itself():
    one = Faucet()
    assert os.path.isdir(one.dir) and BIN
    one.remove()
    assert not os.path.exists(one.dir)
