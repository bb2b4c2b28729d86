"""Apps with connection strings of their own: which share connections and a queue, and that none is sent in a weaker way than its string says."""
import os
import re
import uuid

import pytest

from postgres import Postgres, make_certificates
from telemetry import Rows, destinations, full_database, settings, wait_stored
from test_telemetry_faults import again, tiny
from wire import until


@pytest.fixture(scope="module")
def pg():
    with Postgres(tls=True) as server:
        yield server


@pytest.fixture
def rows(pg):
    return Rows(pg, full_database(pg, "s" + uuid.uuid4().hex[:12]))


def by_tcp(pg, rows, **more):
    return pg.string(rows.name, host="127.0.0.1", **more)


def own(string, namespace):
    return tiny(telemetry={"postgres_string": string, "namespace": namespace})


def names(f, state="used"):
    return sorted(d["destination"] for d in destinations(f) if d["state"] == state)


def test_each_distinct_string_has_its_connections(pg, rows, faucet):
    """Two spellings of one string share them; another application_name, and with it perhaps another role or schema, does not."""
    one = by_tcp(pg, rows, application_name="one", sslmode="disable")
    same = "postgresql://postgres@127.0.0.1:%d/%s?sslmode=disable&application_name=one" % (pg.port, rows.name)
    two = by_tcp(pg, rows, application_name="two", sslmode="disable")
    f = faucet({"telemetry": {**settings(pg, rows.name), "postgres_string": one, "pool_size": 1},
                "apps": {"a": tiny(), "b": own(same, "b"), "c": own(two, "c"), "d": own(two, "d")}})
    for app in "abcd":
        rows.of(f.get("/%s/x" % app))
    place = "127.0.0.1:%d/%s as postgres" % (pg.port, rows.name)
    assert names(f) == [place, place + " (2)"]
    assert len({d["directory"] for d in destinations(f)}) == 2
    wait_stored(f)
    found = pg.query("SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = %s AND application_name IN ('one', 'two') "
                     "GROUP BY 1 ORDER BY 1", (rows.name,))
    assert found == [("one", 1), ("two", 1)]
    f.log_contains(r"as postgres \(2\): a queue and connections of its own, since apps\.c\.telemetry\.postgres_string differs")
    assert "telemetry to %s (2): reachable" % place in f.tool("status").stdout
    series = [line.rpartition(" ")[0] for line in f.control("GET", "/metrics").text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series)) and any("(2)" in s for s in series)


def test_verify_full_beside_disable(pg, rows, faucet):
    plain = by_tcp(pg, rows, application_name="plain", sslmode="disable")
    strict = by_tcp(pg, rows, application_name="strict", sslmode="verify-full", sslrootcert=pg.ca)
    f = faucet({"telemetry": {**settings(pg, rows.name), "postgres_string": plain}, "apps": {"a": tiny(), "b": own(strict, "b")}})
    rows.of(f.get("/a/x"))
    rows.of(f.get("/b/x"))
    found = pg.query("SELECT DISTINCT application_name, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE datname = %s AND "
                     "application_name IN ('plain', 'strict') ORDER BY 1", (rows.name,))
    assert found == [("plain", False), ("strict", True)]


def test_what_was_asked_to_be_encrypted_is_not_sent_plain(faucet):
    """A server without TLS: what the first string asked for waits, over reload and restart, for a string that asks for no less."""
    with Postgres(tcp=True) as server:
        server_rows = Rows(server, full_database(server, "plainserver"))

        def config(sslmode):
            return {"telemetry": {**settings(server, "plainserver"), "postgres_string": by_tcp(server, server_rows, sslmode=sslmode)},
                    "apps": {"a": tiny()}}
        f = faucet(config("require"))
        secret = [f.get("/a/secret")["Faucet-Request-Uuid"] for _ in range(3)]
        f.log_contains("server does not support SSL, but SSL was required")
        f.reload(config("disable"))
        f.log_contains(r"since telemetry\.postgres_string asks for a weaker sslmode than what is queued for \S+/plainserver as postgres; those events")
        server_rows.of(f.get("/a/open"))
        place = "127.0.0.1:%d/plainserver as postgres" % server.port
        assert names(f) == [place + " (2)"] and names(f, "draining") == [place]
        f.stop()
        again(f)
        server_rows.of(f.get("/a/open"))
        assert names(f, "left") == [place] and re.search("telemetry to %s \\(left from an earlier run" % re.escape(place), f.tool("status").stdout)
        assert {r["path"] for r in server_rows.all()} == {"/open"}
        f.reload(config("require"))
        assert place in names(f)
        f.stop()
        server.stop()
        make_certificates(server.dir, owner=server.owner)
        server.settings.update({"ssl": "on", "ssl_cert_file": server.dir + "/server.crt", "ssl_key_file": server.dir + "/server.key"})
        server.start()
        again(f)
        server_rows.wait(3, where="path = '/secret'", timeout=40)
        assert {str(r["request_uuid"]) for r in server_rows.all(where="path = '/secret'")} == set(secret)
        f.stop()


def test_two_passwords_for_one_user(faucet):
    """One of them is wrong: nobody knows which, so each has its own way, and the wrong one is named."""
    with Postgres(tcp=True, hba=["host all all 127.0.0.1/32 scram-sha-256"]) as server:
        server.query("ALTER ROLE postgres PASSWORD 'right-secret'")
        server_rows = Rows(server, full_database(server, "guarded"))
        wrong, right = (server.uri("guarded", password=p) for p in ("wrong-secret", "right-secret"))
        f = faucet({"telemetry": {**settings(server, "guarded"), "postgres_string": wrong}, "apps": {"a": tiny(), "b": own(right, "b")}})
        f.get("/a/x")
        server_rows.of(f.get("/b/x"))
        f.log_contains("password authentication failed")
        by_name = {d["destination"]: d for d in destinations(f)}
        place = "127.0.0.1:%d/guarded as postgres" % server.port
        until(lambda: {d["destination"]: d for d in destinations(f)}[place + " (2)"]["reachable"], 20, "one is reachable")
        assert "password" in by_name[place]["error"] and by_name[place]["reachable"] is False
        assert by_name[place]["tables"]["faucet_http_events"]["queued"] == 1
        state = f.status()["telemetry"]["state_dir"]
        f.stop()
        kept = [os.path.join(base, name) for base, _, files in os.walk(state) for name in files]
        assert len([path for path in kept if path.endswith("/destination")]) == 2
        for path in kept:
            with open(path, "rb") as file:
                assert b"-secret" not in file.read(), path
        assert "-secret" not in f.log()
