"""A database of a PostgreSQL, `faucet db` on it, and rows for it. Fixtures: server, one for a file of tests; db, an empty database for each
test; filled, one with the tables for all of a file, in which each test has its own namespace."""
import datetime as dt
import glob
import os
import re
import subprocess
import uuid

import psycopg2.extras
import pytest

from faucet import BIN, ROOT
from postgres import Postgres

SQL = sorted(glob.glob(os.path.join(ROOT, "sql", "*.sql")))
TABLES = ["faucet_http_events", "faucet_log_events", "faucet_worker_events", "faucet_session_events", "faucet_config_events", "faucet_gaps"]
NOON = dt.datetime(2026, 3, 1, 12, 0, tzinfo=dt.timezone.utc)


@pytest.fixture(scope="module")
def server():
    with Postgres() as pg:
        yield pg


class Database:
    def __init__(self, server):
        self.server, self.name = server, server.database("d" + uuid.uuid4().hex[:12])

    @property
    def string(self):
        return self.server.string(self.name)

    def query(self, sql, values=None, **kwargs):
        return self.server.query(sql, values, dbname=self.name, **kwargs)

    def faucet(self, *words, env=None, cwd="/", string=True, check=None):
        """`faucet db …`; a CompletedProcess with text."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("FAUCET_", "PG")) or k.endswith("SAN_OPTIONS")}
        if string:
            clean["FAUCET_TELEMETRY_POSTGRES_STRING"] = self.string if string is True else string
        done = subprocess.run([BIN, "db", *words], env={**clean, **(env or {})}, cwd=cwd, capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)
        assert check is None or done.returncode == check, done.stdout + done.stderr
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done

    def init(self, *words):
        return self.faucet("init", *words, check=0)

    def insert(self, table, rows):
        """Dicts; they need not have the same keys."""
        with self.server.connect(self.name) as connection, connection.cursor() as cursor:
            for row in rows:
                cursor.execute("INSERT INTO %s (%s) VALUES (%s)" % (table, ", ".join(row), ", ".join(["%s"] * len(row))), list(row.values()))

    def view(self, name, order=None, where="true", values=None, settings=None):
        """Its rows as dicts, numbers as Python has them."""
        connection = self.server.connect(self.name)
        try:
            with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                for key, value in (settings or {}).items():
                    cursor.execute("SELECT set_config(%s, %s, false)", (key, value))
                cursor.execute("SELECT * FROM %s WHERE %s%s" % (name, where, " ORDER BY " + order if order else ""), values)
                return [dict(r) for r in cursor.fetchall()]
        finally:
            connection.close()

    def shape(self):
        """Everything that applying twice must leave as it was."""
        return self.query("""SELECT c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
                             FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                             WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, a.attnum""")


@pytest.fixture
def db(server):
    return Database(server)


@pytest.fixture(scope="module")
def filled(server):
    """A database for the views; each test has its namespace."""
    database = Database(server)
    database.init()
    return database


def request(n, **more):
    """A request of app `sales`, worker 1, 100 ms, all of it in the app, n seconds after noon."""
    at = NOON + dt.timedelta(seconds=n)
    row = {"request_uuid": str(uuid.uuid4()), "namespace": "n", "version": "1.0", "target": "Worker::sales::1", "worker_route": "/sales/", "worker_id": 1,
           "ip_addr": "10.0.0.1", "method": "GET", "path": "/", "http_version": "HTTP/1.1", "status": 200, "user_agent": "curl/8", "elapsed": 100,
           "time": at, "app": "sales", "instance": "i", "generation": 1, "queue_us": 0, "total_us": 100_000, "first_byte_us": 50_000, **more}
    if "ms" in row:
        row["elapsed"], row["total_us"] = int(row["ms"]), int(row.pop("ms") * 1000)
    return row


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def aggregates():
    """The continuous aggregates of TimescaleDB: (name, query)."""
    found = re.findall(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) WITH \(timescaledb\.continuous[^)]*\) AS(.*?)WITH NO DATA;", read(next(p for p in SQL if "policies" in p)), re.S)
    assert [name for name, _ in found] == ["faucet_health_minutes", "faucet_performance_hours", "faucet_usage_days"]
    return found
