"""Databases that are down, killed, misconfigured; a faucet that is killed: every finished request is there exactly once, and the account is right."""
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import uuid

import pytest

from faucet import APPS, PYTHON, SLOW, backend
from pgbouncer import Bouncer
from postgres import Postgres, closed_port
from telemetry import Rows, account, accounts, destinations, full_database, seed_database, settings, wait_stored
from wire import ProtocolError, until


@pytest.fixture
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture
def rows(pg):
    return Rows(pg, full_database(pg, "faults"))


def tiny(**more):
    return {"command": [PYTHON, "-I", "-S", APPS + "/tiny.py", "{socket}"], **more}


def again(f):
    """Starts it once more, ready when it returns."""
    os.truncate(f.stdout_path, 0)
    f.expected_exit = 0
    f.start()


class Load:
    """Clients that ask and ask; `seen` has the uuid of each reply that came whole."""

    def __init__(self, f, clients=4, path="/a/x"):
        self.f, self.path, self.seen, self.failed, self.stopped = f, path, [], 0, False
        self.threads = [threading.Thread(target=self.ask, daemon=True) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def ask(self):
        wire = None
        while not self.stopped:
            try:
                wire = wire or self.f.client(5)
                wire.send("GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % self.path)
                response = wire.read_response()
                if response.status == 200:
                    self.seen.append(response["Faucet-Request-Uuid"])
            except (OSError, ProtocolError):
                self.failed += 1
                if wire:
                    wire.close()
                wire = None
                time.sleep(0.02)
        if wire:
            wire.close()

    def wait(self, n, timeout=30.0):
        """n more replies."""
        target = len(self.seen) + n
        until(lambda: len(self.seen) >= target, timeout * SLOW, "%d more replies" % n)

    def end(self):
        self.stopped = True
        for t in self.threads:
            t.join()
        return self.seen


def exactly_once(rows, seen):
    stored = [str(r["request_uuid"]) for r in rows.all()]
    assert len(stored) == len(set(stored)), "%d rows are there twice" % (len(stored) - len(set(stored)))
    missing = set(seen) - set(stored)
    assert not missing, "%d of %d replies have no row" % (len(missing), len(seen))
    return len(stored)


def test_a_database_that_is_down_at_first(pg, rows, faucet):
    pg.stop()
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
    seen = [f.get("/a/x")["Faucet-Request-Uuid"] for _ in range(50)]
    assert account(f)["queued"] == 50 and destinations(f)[0]["reachable"] is False and destinations(f)[0]["on_disk"] is True
    pg.start()
    assert wait_stored(f)["stored"] == 50
    exactly_once(rows, seen)


def test_kill_9_of_the_database_under_load(pg, rows, faucet):
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny(workers=2)}})
    load = Load(f)
    for _ in range(3):
        load.wait(200)
        pg.kill9()
        load.wait(200)
        pg.start()
    load.wait(200)
    seen = load.end()
    a = wait_stored(f, 60)
    assert a["stored"] == a["received"] == len(seen) == exactly_once(rows, seen) and a["dropped"] == 0


def test_terminated_connections_under_load(pg, rows, faucet):
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny(workers=2)}})
    load = Load(f)
    for _ in range(25):
        load.wait(20)
        pg.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", (rows.name,))
    seen = load.end()
    a = wait_stored(f, 60)
    assert a["stored"] == len(seen) == exactly_once(rows, seen) and a["dropped"] == 0


def test_kill_9_of_faucet_under_load(pg, rows, faucet):
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny(workers=2)}})
    load = Load(f)
    for _ in range(4):
        load.wait(200)
        f.kill9()
        again(f)
    load.wait(100)
    seen = load.end()
    wait_stored(f, 60)
    n = exactly_once(rows, seen)
    assert n >= len(seen)
    accounts(f)


def test_kill_9_of_faucet_while_the_database_is_down(pg, rows, faucet):
    pg.stop()
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
    seen = [f.get("/a/x")["Faucet-Request-Uuid"] for _ in range(30)]
    f.kill9()
    again(f)
    seen += [f.get("/a/x")["Faucet-Request-Uuid"] for _ in range(30)]
    a = account(f)
    assert a["recovered"] == 30 and a["received"] == 30 and a["queued"] == 60
    pg.start()
    wait_stored(f)
    assert exactly_once(rows, seen) == 60


def test_a_request_that_a_killed_faucet_was_answering(pg, rows, faucet):
    """A client that had the last byte has its row, also where faucet did not live to see how long it took."""
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": backend()}})
    c = f.client()
    c.send("GET /a/me HTTP/1.1\r\nHost: x\r\n\r\n")
    first = c.read_response()["Faucet-Request-Uuid"]
    f.kill9()
    again(f)
    row = rows.of(first)
    if row["error"] == "daemon_died":  # between the last byte and the note of how it went
        assert row["status"] is None and row["elapsed"] is None
    else:
        assert row["status"] == 200 and row["elapsed"] is not None and row["error"] is None


def test_wrong_password_and_missing_database(pg, rows, faucet):
    with Postgres(tcp=True, hba=["host all all 127.0.0.1/32 scram-sha-256"]) as strict:
        strict.query("ALTER ROLE postgres PASSWORD 'right'")
        strict_rows = Rows(strict, full_database(strict, "strict"))

        def config(password):
            return {"telemetry": {"postgres_string": strict.uri("strict", password=password), "flush_interval": "50ms"}, "apps": {"a": tiny()}}
        f = faucet(config("wr0ng-secret"))
        seen = [f.get("/a/x")["Faucet-Request-Uuid"]]
        f.log_contains("password authentication failed")
        f.reload(config("right"))  # the same database: the queue stays, another pool
        seen.append(f.get("/a/x")["Faucet-Request-Uuid"])
        assert wait_stored(f)["stored"] == 2
        exactly_once(strict_rows, seen)
        assert len(destinations(f)) == 1
        for text in (f.log(), str(f.status()), f.control("GET", "/metrics").text):
            assert "wr0ng-secret" not in text


def test_a_table_that_is_missing_is_mended(pg, faucet):
    pg.database("bare")
    rows = Rows(pg, "bare")
    f = faucet({"telemetry": settings(pg, "bare"), "apps": {"a": tiny()}})
    seen = [f.get("/a/x")["Faucet-Request-Uuid"] for _ in range(5)]
    f.log_contains("faucet db init")
    assert account(f)["queued"] == 5
    assert f.tool("db", "init").returncode == 0
    assert wait_stored(f, 60)["stored"] == 5
    exactly_once(rows, seen)


def test_only_the_seeds_table(pg, faucet):
    seed_database(pg, "seedonly")
    f = faucet({"telemetry": settings(pg, "seedonly"), "apps": {"a": tiny()}})
    seen = [f.get("/a/x")["Faucet-Request-Uuid"]]
    a = wait_stored(f)
    exactly_once(Rows(pg, "seedonly"), seen)
    assert a["dropped"] == 0
    assert account(f, "faucet_worker_events")["dropped"] > 0  # no_table: counted, not kept


def test_a_server_that_hangs_holds_nobody_up(pg, rows, faucet):
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
    f.get("/a/x")
    wait_stored(f)
    pg.pause()
    began = time.monotonic()
    seen = [f.get("/a/x")["Faucet-Request-Uuid"] for _ in range(100)]
    assert time.monotonic() - began < 5 * SLOW
    accounts(f)
    pg.resume()
    assert wait_stored(f, 60)["stored"] == 101
    exactly_once(rows, seen)


def test_stop_does_not_wait_for_a_table_that_takes_nothing(pg, rows, faucet):
    pg.query("CREATE ROLE clerk LOGIN")
    pg.query("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA public TO clerk", dbname=rows.name)
    f = faucet({"telemetry": {**settings(pg, rows.name), "postgres_string": pg.string(rows.name, user="clerk")}, "shutdown": {"timeout": "60s"},
                "apps": {"a": tiny()}})
    f.get("/a/x")
    wait_stored(f)
    pg.query("REVOKE INSERT ON faucet_http_events FROM clerk", dbname=rows.name)
    f.get("/a/x")
    until(lambda: "GRANT INSERT" in (destinations(f)[0].get("error") or ""), 10, "the table refuses rows")
    began = time.monotonic()
    assert f.stop(timeout=70) == 0
    assert time.monotonic() - began < 10 * SLOW
    assert "queued 1 (kept on disk)" in f.log()
    pg.query("GRANT INSERT ON faucet_http_events TO clerk", dbname=rows.name)
    again(f)
    assert wait_stored(f)["stored"] == 2
    assert len(rows.all()) == 2


def test_what_apps_call_a_request_uuid_fits_its_index(pg, rows):
    pg.query("INSERT INTO faucet_log_events (time, body) SELECT now(), jsonb_build_object('request_uuid', string_agg(md5(i::text), ''))"
             " FROM generate_series(1, 300) i", dbname=rows.name)
    plan = pg.query("SET enable_seqscan = off; EXPLAIN SELECT FROM faucet_log_events WHERE body ->> 'request_uuid' = 'x'", dbname=rows.name)
    assert "faucet_log_events_body_request" in str(plan)


def test_two_daemons_do_not_share_a_state_dir(pg, rows, faucet):
    state = os.path.join(tempfile.mkdtemp(dir="/tmp"), "s")
    config = {"state_dir": state, "telemetry": settings(pg, rows.name), "apps": {"a": tiny()}}
    faucet(config)
    other = faucet(config, start=False)
    assert other.run_to_end() == 1
    assert "state_dir" in other.log() and "in use by another faucet" in other.log()
    subprocess.run(["rm", "-rf", os.path.dirname(state)])


def test_without_a_place_on_disk(pg, rows, faucet):
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}}, env={"XDG_STATE_HOME": "/proc/nowhere"})
    f.log_contains("events wait in memory")
    row = rows.of(f.get("/a/x"))
    assert row["status"] == 200 and destinations(f)[0]["on_disk"] is False
    assert wait_stored(f)["stored"] == 1
    too_large = r"in memory, where it takes 64MiB at most, not the %s of telemetry\.queue_size; .*state_dir"
    f.log_contains(too_large % "256MiB")  # by default, too
    f.reload({"telemetry": settings(pg, rows.name, queue_size="1GiB"), "apps": {"a": tiny()}})
    f.log_contains(too_large % "1GiB")
    f.reload({"telemetry": settings(pg, rows.name, queue_size="64MiB"), "apps": {"a": tiny()}})
    assert len(re.findall(too_large % ".*", f.log())) == 2
    given = faucet({"state_dir": "/proc/nowhere", "telemetry": settings(pg, rows.name), "apps": {"a": tiny()}}, start=False)
    assert given.run_to_end() == 1 and "state_dir" in given.log()


def test_what_an_earlier_run_left_is_named(pg, rows, faucet):
    pg.stop()
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
    seen = [f.get("/a/x")["Faucet-Request-Uuid"] for _ in range(3)]
    f.stop()
    other = {"telemetry": settings(pg, "another"), "apps": {"a": tiny()}}
    f.write(other)
    again(f)
    left = [d for d in destinations(f) if d["state"] == "left"]
    assert len(left) == 1 and rows.name in left[0]["destination"] and left[0]["tables"]["faucet_http_events"]["queued"] == 3
    assert "left from an earlier run" in f.tool("status").stdout
    pg.start()
    f.reload({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
    wait_stored(f)
    exactly_once(rows, seen)


def test_pgbouncer_in_transaction_mode(pg, rows, faucet):
    """Four connections to the pooler share one to the server, which is lost under load."""
    with Bouncer(pg, pool_size=1) as bouncer:
        f = faucet({"telemetry": {"postgres_string": bouncer.string(rows.name), "flush_interval": "20ms", "pool_size": 4}, "apps": {"a": tiny(workers=2)}})
        load = Load(f)
        load.wait(1000)
        assert len(pg.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()", (rows.name,))) == 1
        load.wait(200)
        seen = load.end()
        a = wait_stored(f, 60)
        assert a["stored"] == len(seen) == exactly_once(rows, seen) and a["dropped"] == 0
        f.stop()
