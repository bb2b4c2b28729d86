"""Telemetry switched on and off, for the daemon and for one app; where its settings come from; TLS; hosts that answer too little."""
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import uuid
from urllib.parse import quote

import pytest

from faucet import APPS, PYTHON, SLOW, backend
from postgres import Postgres, closed_port, make_certificates
from telemetry import Rows, account, accounts, destinations, full_database, settings, wait_stored
from wire import frame_bytes, until

KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.fixture(scope="module")
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture
def rows(pg):
    return Rows(pg, full_database(pg, "r" + uuid.uuid4().hex[:12]))


def tiny(**more):
    return {"command": [PYTHON, "-I", "-S", APPS + "/tiny.py", "{socket}"], **more}


def paths(rows):
    return [r["path"] for r in rows.all()]


# ---- on and off by reload -----------------------------------------------------------------------------------------------------

def web_socket(f):
    c = f.client()
    c.send("GET /a/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n" % KEY)
    assert c.read_response().status == 101
    return c


def close_web_socket(c):
    c.send(frame_bytes(8, b"\x03\xe8", mask=b"abcd"))
    assert c.read_frame()[0] == 8
    c.close()


def test_on_by_reload(faucet, pg, rows):
    """What began before stays unobserved; what begins afterwards, workers' ends included, has its row."""
    off = {"apps": {"a": backend()}}
    f = faucet(off)
    early, name = f.client(), os.path.join(f.dir, "hold")
    early.send("GET /a/hold?name=%s HTTP/1.1\r\nHost: x\r\n\r\n" % name)
    until(lambda: os.path.exists(name + ".began"), 10, "the worker has it")
    session = web_socket(f)
    pids = f.worker_pids(app="a")
    assert f.get("/a/me").status == 200 and os.listdir(f.state) == []
    f.reload({**off, "telemetry": settings(pg, rows.name, namespace="on")})
    assert f.worker_pids(app="a") == pids and f.status()["telemetry"]["on"] is True
    row = rows.of(f.get("/a/after"))
    assert row["namespace"] == "on" and row["config"] == 2
    open(name + ".go", "w").close()
    assert early.read_response().status == 200
    close_web_socket(session)
    late = web_socket(f)
    close_web_socket(late)
    assert len(rows.wait(1, "faucet_session_events")) == 1
    f.get("/a/die?status=4")
    assert rows.wait(1, "faucet_worker_events", "event = 'crashed'")[0]["exit_code"] == 4
    assert len(rows.wait(1, "faucet_worker_events", "event = 'ready'")) == 1
    wait_stored(f)
    assert paths(rows) == ["/after", "/ws", "/die"] and len(rows.all("faucet_session_events")) == 1
    event, = rows.all("faucet_config_events")
    assert (event["event"], event["config"], event["result"]) == ("reload", 2, "done")
    f.reload(off)
    assert f.get("/a/me").status == 200
    f.log_contains("no longer configured and closed")
    assert f.status()["telemetry"]["on"] is False
    f.reload({**off, "telemetry": settings(pg, rows.name)})
    rows.of(f.get("/a/again"))
    assert paths(rows) == ["/after", "/ws", "/die", "/again"]


def test_a_reload_that_finds_state_dir_taken(faucet, pg, rows):
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        state = os.path.join(directory, "s")
        holder = faucet({"state_dir": state, "telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
        f = faucet({"state_dir": state, "apps": {"b": tiny()}})
        pids = f.worker_pids(app="b")
        on = {"state_dir": state, "telemetry": settings(pg, rows.name), "apps": {"b": tiny(), "c": tiny()}}
        done = f.reload(on, expect=1)
        assert "state_dir: %s: in use by another faucet, process %d" % (state, holder.pid) in done.stdout + done.stderr
        assert f.config_number() == 1 and f.status()["telemetry"]["on"] is False
        assert f.worker_pids(app="b") == pids and f.worker_pids(app="c") == []
        assert f.get("/b/x").status == 200 and f.get("/c/x").status == 404
        rows.of(holder.get("/a/x"))
        assert holder.stop() == 0
        f.reload(on)
        assert rows.of(f.get("/c/x"))["app"] == "c" and f.config_number() == 2


# ---- where the settings come from ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["variable", "file variable", "file key", "interpolation", "flag", "short flag", "--set", "flag over variable"])
def test_run_is_told_where_by(faucet, pg, rows, how):
    """Each of the ways of README reaches the database that it names, although the file names another."""
    string = pg.string(rows.name) + " password=s3cret-word"
    f = faucet(start=False)
    elsewhere = "host=127.0.0.1 port=%d user=nobody dbname=nowhere" % closed_port()
    telemetry = {"postgres_string": elsewhere, "flush_interval": "50ms"}
    secret = f.file("secret", string + "\n", mode=0o600)
    if how == "variable":
        f.extra_env = {"FAUCET_TELEMETRY_POSTGRES_STRING": string, "FAUCET_TELEMETRY_NAMESPACE": "told", "FAUCET_TELEMETRY_VERSION": "5"}
    elif how == "file variable":
        f.extra_env = {"FAUCET_TELEMETRY_POSTGRES_STRING_FILE": secret}
        f.args = ["--telemetry-namespace", "told", "--telemetry-version", "5"]
    elif how == "file key":
        telemetry = {"postgres_string_file": "secret", "flush_interval": "50ms", "namespace": "told", "version": "5"}
    elif how == "interpolation":
        f.extra_env = {"DATABASE_URL": string, "NAME": "told"}
        telemetry = {"postgres_string": "${DATABASE_URL:-}", "flush_interval": "50ms", "namespace": "${NAME}", "version": "5"}
    else:
        flag = {"short flag": "--pg-con-string", "--set": "--set"}.get(how, "--telemetry-postgres-string")
        f.args = [flag, ("telemetry.postgres_string=" if how == "--set" else "") + string, "--telemetry-namespace=told", "--set", "telemetry.version=5"]
        if how == "flag over variable":
            f.extra_env = {"FAUCET_TELEMETRY_POSTGRES_STRING": elsewhere, "FAUCET_TELEMETRY_NAMESPACE": "beaten"}
    f.write({"telemetry": telemetry, "apps": {"a": backend()}})
    f.start()
    response = f.get("/a/env")
    row = rows.of(response)
    assert (row["namespace"], row["version"], row["app"]) == ("told", "5", "a")
    assert "s3cret-word" not in response.text and "s3cret-word" not in f.log() + str(f.status())
    f.reload()
    assert rows.of(f.get("/a/me"))["config"] == 2
    assert len(destinations(f)) == 1


def test_a_secret_is_read_again_at_reload(faucet, pg, rows):
    other = Rows(pg, full_database(pg, "r" + uuid.uuid4().hex[:12]))
    f = faucet(start=False)
    secret = f.file("secret", pg.string(rows.name))
    f.extra_env = {"FAUCET_TELEMETRY_POSTGRES_STRING_FILE": secret}
    f.write({"telemetry": {"flush_interval": "50ms"}, "apps": {"a": tiny()}})
    f.start()
    rows.of(f.get("/a/x"))
    f.file("secret", pg.string(other.name))
    f.reload()
    other.of(f.get("/a/y"))
    assert paths(rows) == ["/x"] and paths(other) == ["/y"]


# ---- one app ------------------------------------------------------------------------------------------------------------------

def test_an_app_switches_it_off(faucet, pg, rows):
    def config(**b):
        return {"telemetry": settings(pg, rows.name), "apps": {"a": backend(), "b": backend(concurrency=1, queue={"size": 0}, **b)}}
    quiet = {"telemetry": {"postgres_string": ""}}
    f = faucet(config(**quiet))
    assert f.get("/b/print?stderr=1&text=" + quote('{{ faucet_event }}: {"level": "Info", "message": "not for telemetry"}')).status == 200
    f.log_contains(r"INFO +Worker::b::1\] not for telemetry")
    name = os.path.join(f.dir, "hold")
    c = f.client()
    c.send("GET /b/hold?name=%s HTTP/1.1\r\nHost: x\r\n\r\n" % name)
    until(lambda: os.path.exists(name + ".began"), 10, "the worker has it")
    assert f.get("/b/refused").status == 503  # our own answers for that app are its affair, too
    open(name + ".go", "w").close()
    assert c.read_response().status == 200
    f.get("/b/die")
    f.wait_ready("b", "/b/me")
    rows.of(f.get("/a/me")), rows.of(f.get("/nowhere"))
    wait_stored(f)
    assert sorted(paths(rows)) == ["/me", "/nowhere"]
    assert {r["app"] for r in rows.all("faucet_worker_events")} == {"a"} and rows.all("faucet_log_events") == []
    f.reload(config())
    assert rows.of(f.get("/b/me"))["app"] == "b"
    f.reload(config(**quiet))
    f.get("/b/me"), rows.of(f.get("/a/last"))
    assert len(rows.all(where="app = 'b'")) == 1


@pytest.mark.parametrize("where", ["defaults", "set"])
def test_every_app_switches_it_off(faucet, pg, rows, where):
    """What the daemon answers for nobody, and what becomes of its configuration, is stored all the same."""
    more = {"defaults": {"telemetry": {"postgres_string": ""}}} if where == "defaults" else {}
    args = ["--set", "apps.*.telemetry.postgres_string="] if where == "set" else []
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}, **more}, args=args)
    assert f.get("/a/x").status == 200
    rows.of(f.get("/nowhere"))
    rows.wait(1, "faucet_config_events", "event = 'boot'")
    wait_stored(f)
    assert paths(rows) == ["/nowhere"] and rows.all("faucet_worker_events") == []


def test_only_one_app_has_it(faucet, pg, rows):
    f = faucet({"telemetry": {"flush_interval": "50ms"}, "apps": {"a": tiny(), "b": tiny(telemetry={"postgres_string": pg.string(rows.name)})}})
    assert f.get("/a/x").status == 200 and f.get("/nowhere").status == 404
    assert rows.of(f.get("/b/x"))["app"] == "b"
    wait_stored(f)
    assert len(rows.all()) == 1 and rows.all("faucet_config_events") == []
    assert {r["app"] for r in rows.wait(1, "faucet_worker_events", "event = 'ready'")} == {"b"}


# ---- TLS ----------------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def tls():
    with Postgres(tls=True, hba=["hostnossl all all all reject", "hostssl all all all trust"]) as server:
        yield server


@pytest.fixture
def secure(tls):
    return Rows(tls, full_database(tls, "r" + uuid.uuid4().hex[:12]))


@pytest.fixture(scope="module")
def other_authority():
    directory = tempfile.mkdtemp(dir="/tmp")
    yield make_certificates(directory)
    shutil.rmtree(directory)


def encrypted(tls, rows):
    """Which of faucet's connections to that database are."""
    return [ssl for ssl, in tls.query("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE datname = %s AND application_name = 'faucet'",
                                      (rows.name,))]


def over_tls(tls, rows, host="localhost", **string):
    return {"telemetry": {"postgres_string": tls.string(rows.name, host=host, **string), "flush_interval": "50ms"}, "apps": {"a": tiny()}}


def with_settings(config, **telemetry):
    return {**config, "telemetry": {**config["telemetry"], **telemetry}}


def test_verify_full_by_settings(faucet, tls, secure):
    """telemetry.sslmode and telemetry.sslcert beat what the string says."""
    config = with_settings(over_tls(tls, secure, sslmode="disable", sslrootcert="/nowhere.crt"), sslmode="verify-full", sslcert=tls.ca)
    f = faucet(config)
    assert secure.of(f.get("/a/x"))["status"] == 200
    assert encrypted(tls, secure) == [True]


def test_verify_full_by_the_string(faucet, tls, secure):
    f = faucet(over_tls(tls, secure, sslmode="verify-full", sslrootcert=tls.ca))
    assert secure.of(f.get("/a/x"))["status"] == 200
    assert encrypted(tls, secure) == [True]


@pytest.mark.parametrize("wrong, said", [("authority", "certificate verify failed"), ("name", "does not match host name"),
                                         ("plain", "pg_hba.conf rejects connection")])
def test_a_reload_mends_what_verification_refuses(faucet, tls, secure, other_authority, wrong, said):
    """Nothing is sent to a server that is not the one; what was queued meanwhile arrives when a reload says how to know it."""
    good = with_settings(over_tls(tls, secure), sslmode="verify-full", sslcert=tls.ca)
    bad = {"authority": with_settings(good, sslcert=other_authority),
           "name": with_settings(over_tls(tls, secure, host="db.example", hostaddr="127.0.0.1"), sslmode="verify-full", sslcert=tls.ca),
           "plain": with_settings(good, sslmode="disable")}[wrong]
    f = faucet(bad)
    uuids = [f.get("/a/x")["Faucet-Request-Uuid"] for _ in range(3)]
    f.log_contains(said)
    assert secure.all() == [] and encrypted(tls, secure) == []
    assert account(f)["queued"] == 3 and destinations(f)[0]["reachable"] is False
    f.reload(good)
    uuids.append(f.get("/a/x")["Faucet-Request-Uuid"])
    if wrong == "name":  # another host is another destination, whose queue waits for it
        assert secure.of(uuids[3])["config"] == 2
        assert [a["queued"] for t, a in accounts(f, "draining") if t == "faucet_http_events"] == [3]
    else:
        assert wait_stored(f)["stored"] == 4 and sorted(str(r["request_uuid"]) for r in secure.all()) == sorted(uuids)
    assert set(encrypted(tls, secure)) == {True}


# ---- hosts that answer too little ---------------------------------------------------------------------------------------------

class SaysYes:
    """A server that agrees to TLS with the one byte `S` and never says another word."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.hellos = 0
        self.pending = set()
        self.thread = threading.Thread(target=self.accept)
        self.thread.start()

    def accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer:
            request = peer.recv(8, socket.MSG_WAITALL)
            assert request == b"\0\0\0\x08\x04\xd2\x16\x2f", request  # SSLRequest
            peer.sendall(b"S")
            if peer.recv(65536):  # the ClientHello
                self.hellos += 1
                self.pending.add(peer)
                try:
                    while peer.recv(65536):
                        pass
                except OSError:
                    pass
                self.pending.discard(peer)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def ask_until(f, over, n):
    """Requests one after the other until over() is true, and n at least; how many there were before it was."""
    c, asked, meanwhile = f.client(), 0, None
    while meanwhile is None or asked < n:
        c.send("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.read_response().status == 200
        c.received.clear()
        asked += 1
        if meanwhile is None and asked % 10 == 0 and over():
            meanwhile = asked
    return asked, meanwhile


def is_stored(rows):
    """Is the first row there? Asked over one connection."""
    connection = rows.pg.connect(rows.name)
    cursor = connection.cursor()

    def look():
        cursor.execute("SELECT EXISTS (SELECT FROM faucet_http_events)")
        return cursor.fetchone()[0]
    return look


MANY = 300  # requests; one blocking handshake, or one blocking look-up, would let through one or none


def test_a_peer_that_agrees_to_tls_and_then_is_silent(faucet, pg, rows):
    """No request waits for a handshake; the second host is used when the first has had its time."""
    peer = SaysYes()
    try:
        string = "host=127.0.0.1,%s port=%d,%d user=postgres dbname=%s sslmode=require connect_timeout=5" % (pg.dir, peer.port, pg.port, rows.name)
        f = faucet({"telemetry": {"postgres_string": string, "flush_interval": "50ms"}, "apps": {"a": tiny()}})
        until(lambda: peer.pending, 20, "the handshake has begun")
        stored = is_stored(rows)
        asked, meanwhile = ask_until(f, lambda: not peer.pending, MANY)
        assert meanwhile >= MANY, "%d requests were answered while the handshake hung" % meanwhile
        until(stored, 20 * SLOW, "the second host has rows")
        assert wait_stored(f)["stored"] == asked == len(rows.all())
        assert destinations(f)[0]["host"].startswith(pg.dir)
        tried = peer.hellos
        pg.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND application_name = 'faucet'", (rows.name,))
        f.get("/a/x")
        assert wait_stored(f)["stored"] == asked + 1 and peer.hellos == tried  # the host that works is the first one now
    finally:
        peer.close()


def silent_name_server():
    """A UDP socket on port 53 of some loopback address, on which questions pile up."""
    for last in range(1, 255):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            server.bind(("127.53.%d.%d" % (os.getpid() % 250, last), 53))
            return server
        except OSError as e:
            server.close()
            if e.errno == 13:
                break
    return None


OTHER_RESOLV_CONF = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", 'mount --bind "$0" /etc/resolv.conf && exec "$@"']


def can_mount():
    return subprocess.run([*OTHER_RESOLV_CONF, "/etc/resolv.conf", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="mount namespaces cannot be made here; tests/unit/telemetry/test_pool_silence.c has the same of the pool alone")
def test_a_name_server_that_is_silent(faucet, pg, rows):
    with silent_name_server() as server:
        server.setblocking(False)
        f = faucet(start=False)
        f.wrap = [*OTHER_RESOLV_CONF, f.file("resolv.conf", "nameserver %s\n" % server.getsockname()[0])]
        string = "host=db.faucet.test,%s port=5432,%d user=postgres dbname=%s connect_timeout=5" % (pg.dir, pg.port, rows.name)
        f.write({"telemetry": {"postgres_string": string, "flush_interval": "50ms"}, "apps": {"a": tiny()}})
        f.start()

        def asked_for_it():
            try:
                return b"\2db\6faucet\4test\0" in server.recv(512)
            except BlockingIOError:
                return False
        until(asked_for_it, 20, "the name is asked for")
        stored = is_stored(rows)
        assert not stored()
        asked, meanwhile = ask_until(f, stored, MANY)
        assert meanwhile >= MANY, "%d requests were answered while the name was looked up" % meanwhile
        assert wait_stored(f)["stored"] == asked == len(rows.all())
        assert destinations(f)[0]["host"].startswith(pg.dir)
        f.log_contains("connected to " + pg.dir)
