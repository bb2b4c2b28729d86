"""Listeners across reloads: kept ones are the same descriptors, new ones are bound before anything changes, overlapping ones take turns."""
import errno
import os
import re
import socket
import stat
import time

import pytest

import processes
from faucet import free_port, upstream
from reloading import Traffic, send_request, settled
from wire import until

REUSEPORT = socket.SO_REUSEPORT


@pytest.fixture
def site(faucet, origin):
    o = origin()
    f = faucet(start=False, origins=[o])
    f.o = o

    def config(*listen, **more):
        return {"listen": list(listen) if len(listen) != 1 else listen[0], "apps": {"a": upstream(o)}, **more}
    f.config = config
    f.main = "127.0.0.1:%d" % f.port
    return f


def begin(f, *listen, **more):
    f.write(f.config(*(listen or (f.main,)), **more))
    f.start()


def listeners(f, port):
    """descriptor → inode, of those that listen on port in the daemon."""
    inodes = processes.listening(port)
    return {n: i for n, i in processes.sockets(f.pid).items() if i in inodes}


def serves(f, *address):
    return f.get("/a/x", address=address or None, timeout=5).status == 200


def refused(*address):
    try:
        socket.create_connection(address, 2).close()
        return False
    except ConnectionRefusedError:
        return True


def binds(host, port, flag):
    """Can somebody else listen there, too?"""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as s:
        if flag:
            s.setsockopt(socket.SOL_SOCKET, flag, 1)
        try:
            s.bind((host, port))
            s.listen(1)
            return True
        except OSError as e:
            assert e.errno == errno.EADDRINUSE, e
            return False


# -- kept
def test_kept_is_the_same_socket(site):
    f = site
    begin(f)
    before = listeners(f, f.port)
    assert len(before) == 1
    for n in range(5):
        f.reload(f.config(f.main, limits={"header_size": "%dKiB" % (20 + n)}))
        assert listeners(f, f.port) == before


def test_order_and_notation_do_not_matter(site):
    f = site
    other = free_port()
    begin(f, f.main, "127.0.0.1:%d" % other)
    before = {**listeners(f, f.port), **listeners(f, other)}
    assert len(before) == 2
    f.reload(f.config("127.0.0.1:%d" % other, f.main))
    assert {**listeners(f, f.port), **listeners(f, other)} == before


def test_no_connection_is_refused(site):
    f = site
    begin(f)
    with Traffic(f, ["/a/x"], keep=2, fresh=4) as traffic:
        for n in range(10):
            f.reload(f.config(f.main, limits={"header_size": "%dKiB" % (20 + n)}))
        until(lambda: traffic.count > 200)


def busy(f):
    """Two requests that a worker has: connections that are not closed to make room."""
    f.o.hold("/held")
    for _ in range(2):
        send_request(f.client(), "/a/held")
        f.o.take("/held")


def test_backlog_of_a_kept_one_is_kept(site):
    """limits.connections reached: who waits in the backlog is answered after the reload that makes room."""
    f = site
    begin(f, limits={"connections": 2})
    busy(f)
    waiting = [send_request(f.client(), "/a/x") for _ in range(3)]
    time.sleep(0.2)
    f.reload(f.config(f.main, limits={"connections": 10}))
    assert [c.read_response(timeout=5).status for c in waiting] == [200] * 3


# -- added and removed
def test_added_and_removed(site):
    f = site
    begin(f)
    kept, other = listeners(f, f.port), free_port()
    f.reload(f.config(f.main, "127.0.0.1:%d" % other))
    assert serves(f, "127.0.0.1", other) and serves(f) and listeners(f, f.port) == kept
    c = f.client(address=("127.0.0.1", other))
    assert send_request(c, "/a/x") and c.read_response().status == 200
    f.reload(f.config(f.main))
    until(lambda: refused("127.0.0.1", other), 3)
    assert not listeners(f, other) and listeners(f, f.port) == kept
    assert send_request(c, "/a/x") and c.read_response().status == 200, "a connection it accepted lives on"


def test_moves_to_another_port(site):
    f = site
    begin(f)
    old, f2 = f.port, free_port()
    f.reload(f.config("127.0.0.1:%d" % f2))
    assert serves(f, "127.0.0.1", f2) and refused("127.0.0.1", old) and not listeners(f, old)


def test_removed_one_takes_who_waited(site):
    """It accepts until EAGAIN before it closes: connections in its backlog are answered."""
    f = site
    other = free_port()
    begin(f, f.main, "127.0.0.1:%d" % other, limits={"connections": 2})
    busy(f)
    waiting = [send_request(f.client(address=("127.0.0.1", other)), "/a/x") for _ in range(3)]
    time.sleep(0.2)
    f.reload(f.config(f.main, limits={"connections": 20}))
    assert [c.read_response(timeout=5).status for c in waiting] == [200] * 3
    assert refused("127.0.0.1", other)


def test_unix_sockets(site):
    f = site
    begin(f)
    path = f.dir + "/l.sock"
    f.reload(f.config(f.main, "unix:" + path))
    assert f.get("/a/x", address=path).status == 200 and stat.S_ISSOCK(os.stat(path).st_mode)
    inode = os.stat(path).st_ino
    f.reload(f.config(f.main, "unix:" + path, limits={"header_size": "9KiB"}))
    assert os.stat(path).st_ino == inode and f.get("/a/x", address=path).status == 200
    f.reload(f.config(f.main))
    assert not os.path.exists(path), "its file goes with it"
    f.reload(f.config(f.main, "unix:" + path))
    assert f.get("/a/x", address=path).status == 200


def test_ipv6(site):
    f = site
    begin(f)
    f.reload(f.config(f.main, "[::1]:%d" % f.port))
    assert serves(f, "::1", f.port) and serves(f)
    f.reload(f.config(f.main))
    assert refused("::1", f.port) and serves(f)


def test_listen_of_the_start_stays(faucet, origin):
    """--listen beats the file at every reload."""
    o = origin()
    f = faucet(start=False, origins=[o])
    other = free_port()
    f.args = ["--listen", "127.0.0.1:%d" % f.port]
    f.write({"listen": "127.0.0.1:%d" % other, "apps": {"a": upstream(o)}})
    f.start()
    before = listeners(f, f.port)
    f.reload({"listen": "127.0.0.1:%d" % free_port(), "apps": {"a": upstream(o)}})
    assert listeners(f, f.port) == before and refused("127.0.0.1", other)


# -- overlapping
WIDER = [("127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1"), ("127.0.0.1", "[::]"), ("[::]", "127.0.0.1"), ("[::1]", "[::]"), ("[::]", "[::1]"),
         ("0.0.0.0", "[::]"), ("[::]", "0.0.0.0")]


@pytest.mark.parametrize("first,second", WIDER, ids=["%s to %s" % w for w in WIDER])
def test_overlap(site, first, second):
    f = site
    six = "::1" in first + second    # the fixture waits at 127.0.0.1
    begin(f, *([f.main] if "0.0.0.0" not in first and first != "127.0.0.1" else []), "%s:%d" % (first, f.port))
    extra = [f.main] if six else []
    f.reload(f.config(*extra, "%s:%d" % (second, f.port)))
    hosts = {"[::]": ["::1"], "[::1]": ["::1"]}.get(second, ["127.0.0.1"])
    for host in hosts:
        assert serves(f, host, f.port)
        assert not binds(host, f.port, 0)
        assert not binds(host, f.port, REUSEPORT), "somebody else could share the port"
    assert not binds(second.strip("[]"), f.port, REUSEPORT)
    assert processes.listening(f.port) == set(listeners(f, f.port).values()) and len(listeners(f, f.port)) == 1 + six


def test_overlap_and_back_many_times(site):
    f = site
    begin(f)
    narrow, wide = f.config(f.main), f.config("0.0.0.0:%d" % f.port)
    before = settled(f, "a")["descriptors"]
    for _ in range(10):
        for config in (wide, narrow):
            f.reload(config)
            assert serves(f)
            assert not binds("127.0.0.1", f.port, REUSEPORT) and not binds("0.0.0.0", f.port, REUSEPORT)
            assert len(listeners(f, f.port)) == 1
    assert settled(f, "a")["descriptors"] <= before + 1


def test_overlap_keeps_connections(site):
    f = site
    begin(f)
    c = f.client()
    assert send_request(c, "/a/x") and c.read_response().status == 200
    half = f.client()
    half.send("GET /a/x HTTP/1.1\r\nHo")
    for config in (f.config("0.0.0.0:%d" % f.port), f.config(f.main)):
        f.reload(config)
        assert send_request(c, "/a/x") and c.read_response().status == 200
    half.send("st: x\r\n\r\n")
    assert half.read_response().status == 200


def test_overlap_with_another_change_that_fails(site):
    """The old socket is as it was: it listens, and nobody may share its port."""
    f = site
    begin(f)
    before = listeners(f, f.port)
    bad = f.config("0.0.0.0:%d" % f.port)
    bad["apps"]["broken"] = {"command": ["/bin/sh", "-c", "exit 3", "{socket}"]}
    f.reload(bad, expect=1)
    assert listeners(f, f.port) == before and processes.listening(f.port) == set(before.values())
    assert not binds("127.0.0.1", f.port, REUSEPORT) and not binds("0.0.0.0", f.port, REUSEPORT)
    assert serves(f)


def test_second_daemon_is_refused_after_an_overlap(site, faucet, origin):
    f = site
    begin(f)
    f.reload(f.config("0.0.0.0:%d" % f.port))
    f.reload(f.config(f.main))
    other = faucet(start=False)
    other.port = f.port
    other.write({"apps": {"a": upstream(f.o)}})
    assert other.run_to_end() == 1
    assert serves(f)


def test_overlap_under_load(site):
    """Kept-alive connections see nothing of it. (A fresh one that comes in the instant of the change may be reset.)"""
    f = site
    begin(f)
    with Traffic(f, ["/a/x"], keep=4, fresh=0) as traffic:
        for _ in range(3):
            f.reload(f.config("0.0.0.0:%d" % f.port))
            f.reload(f.config(f.main))
        until(lambda: traffic.count > 50)


# -- taken
def test_taken_port_fails_the_reload(site):
    f = site
    begin(f)
    taken, free = free_port(), free_port()
    before, number = settled(f, "a"), f.config_number()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", taken))
        s.listen(1)
        done = f.reload(f.config("127.0.0.1:%d" % free, "127.0.0.1:%d" % taken, limits={"header_size": "1KiB"}), expect=1)
        assert re.search(r"127\.0\.0\.1:%d.*(?i:in use)" % taken, done.stdout + done.stderr), done
        f.log_contains(r"127\.0\.0\.1:%d.*(?i:in use)" % taken)
        assert settled(f, "a", like=before) == before and f.config_number() == number
        assert refused("127.0.0.1", free), "what was bound for it is let go"
        assert f.get("/a/x", {"X": "y" * 3000}).status == 200, "nothing else of that file counts"
    f.reload()
    assert serves(f, "127.0.0.1", taken) and refused("127.0.0.1", f.port)


@pytest.mark.parametrize("address", ["192.0.2.1:8080", "unix:/nonexistent/dir/x.sock", "127.0.0.1:1" if os.getuid() else "192.0.2.9:80"])
def test_address_that_cannot_be_bound(site, address):
    f = site
    begin(f)
    before = settled(f, "a")
    done = f.reload(f.config(f.main, address), expect=None)
    assert done.returncode in (1, 78) and address.replace("unix:", "") in done.stdout + done.stderr
    assert settled(f, "a", like=before) == before and serves(f)


def test_file_in_the_way(site):
    f = site
    begin(f)
    f.file("l.sock", "precious")
    assert f.reload(f.config(f.main, "unix:%s/l.sock" % f.dir), expect=None).returncode in (1, 78)
    assert open(f.dir + "/l.sock").read() == "precious" and serves(f)


# -- handed over
def test_inherited_socket_is_kept(site):
    """The socket that systemd holds: after a reload still that one, and it comes back when `listen` names it again."""
    f = site
    s = socket.socket()
    s.bind(("127.0.0.1", f.port))
    s.listen(50)
    inode = os.fstat(s.fileno()).st_ino
    f.write(f.config(f.main))
    script = f.file("activate.py", "import os, sys\nos.environ['LISTEN_PID'] = str(os.getpid())\nos.environ['LISTEN_FDS'] = '1'\nos.execv(sys.argv[1], sys.argv[1:])\n")
    f.wrap = ["/usr/bin/python3", "-c", "import os, sys; os.dup2(%d, 3); os.set_inheritable(3, True); os.execv(sys.argv[1], sys.argv[1:])" % s.fileno(),
              "/usr/bin/python3", script]
    f.spawn(pass_fds=[s.fileno()])
    f.log_contains("listening")
    until(lambda: serves(f), 10)
    assert set(listeners(f, f.port).values()) == {inode}
    f.reload(f.config(f.main, limits={"header_size": "9KiB"}))
    assert serves(f) and set(listeners(f, f.port).values()) == {inode}
    s.close()
