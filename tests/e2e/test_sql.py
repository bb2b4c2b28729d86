"""sql/ and `faucet db` against a real PostgreSQL: applied twice, onto the seed's table, with partitions and roles; every view with known
rows and the answers a person would work out by hand."""
import datetime as dt
import glob
import os
import re
import subprocess
import uuid

import psycopg2
import psycopg2.extras
import pytest

from faucet import BIN, ROOT
import postgres
from postgres import Postgres, closed_port

SQL = sorted(glob.glob(os.path.join(ROOT, "sql", "*.sql")))
SEED = """CREATE TABLE faucet_http_events (
    request_uuid UUID, namespace TEXT, version TEXT, target TEXT, worker_route TEXT, worker_id INT, ip_addr INET, method TEXT, path TEXT,
    query_params TEXT, http_version TEXT, status SMALLINT, user_agent TEXT, elapsed BIGINT, time TIMESTAMPTZ NOT NULL);"""
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


# ---- making the tables -------------------------------------------------------------------------------------------------

def test_init_twice(db):
    db.init("--roles")
    first = db.shape()
    tables = {r[0] for r in first}
    assert set(TABLES) <= tables
    db.insert("faucet_http_events", [request(0)])
    again = db.init("--roles")
    assert db.shape() == first and db.query("SELECT count(*) FROM faucet_http_events") == [(1,)]
    assert again.stderr == ""  # no NOTICE about what is there already


def test_psql_alone_makes_the_same(db, server):
    other = Database(server)
    db.init("--roles")
    for path in SQL:
        if "option" not in path or "roles" in path:
            server.psql("-f", path, dbname=other.name)
    assert db.shape() == other.shape()


def test_print_is_the_files(db, server):
    done = db.faucet("init", "--print", "--partitions", "--roles", string=None, check=0)
    for path in SQL:
        assert (open(path).read() in done.stdout) == ("timescale" not in path), path
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", db.string], input=done.stdout, text=True, check=True, capture_output=True, timeout=60)
    db.faucet("check", "--strict", check=0)


def test_two_at_once(db):
    argv = [BIN, "db", "init", "--telemetry-postgres-string", db.string]
    running = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd="/") for _ in range(4)]
    for process in running:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out


def test_seeds_table_gets_the_rest(db):
    db.query(SEED)
    row = request(0)
    for key in ("app", "instance", "generation", "queue_us", "total_us", "first_byte_us"):
        del row[key]
    db.insert("faucet_http_events", [row])
    done = db.faucet("check", check=0)  # the bare table is enough, and what is missing is said
    assert "15 of 28 columns" in done.stdout and "faucet_log_events is missing" in done.stdout and "mend: faucet db init" in done.stdout
    db.faucet("check", "--strict", check=1)
    db.init()
    db.faucet("check", "--strict", check=0)
    columns = [r[0] for r in db.query("SELECT column_name FROM information_schema.columns WHERE table_name = 'faucet_http_events' ORDER BY ordinal_position")]
    assert columns[:15] == re.findall(r"(\w+) [A-Z]+(?: NOT NULL)?[,)]", SEED.split("(", 1)[1])
    assert columns[15] == "app" and len(columns) == 28
    health = db.view("faucet_health")  # rows of the original's table have their app by the target
    assert [(r["app"], r["requests"], r["p50_ms"]) for r in health] == [("sales", 1, 100.0)]


def test_a_failing_file_changes_nothing(db):
    db.query("CREATE TABLE faucet_gaps (time TIMESTAMPTZ NOT NULL)")  # no column that the views need
    db.query("ALTER TABLE faucet_gaps ADD COLUMN dropped TEXT")
    done = db.faucet("init", check=1)
    assert re.search(r"0\d_\w+\.sql: ", done.stderr), done.stderr
    assert [r[0] for r in db.query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")] == ["faucet_gaps"]


DOCS = [os.path.join(ROOT, path) for path in ("docs/telemetry.md", "docs/es/telemetria.md")]
KINDS = dict(zip(["HTTP", "LOG", "WORKER", "SESSION", "CONFIG", "GAP"], TABLES))
TYPES = {"uuid": "UUID", "text": "TEXT", "integer": "INT", "bigint": "BIGINT", "smallint": "SMALLINT", "inet": "INET", "jsonb": "JSONB",
         "timestamp with time zone": "TIMESTAMPTZ", "double precision": "DOUBLE PRECISION"}
SHORT = {"INT4": "INT", "INT8": "BIGINT", "INT2": "SMALLINT", "FLOAT8": "DOUBLE PRECISION"}


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def defined_columns():
    """columns.def: table → {column: (type, whether it is in the original faucet's table, meaning)}."""
    text, tables = read(os.path.join(ROOT, "src/telemetry/columns.def")), {table: {} for table in TABLES}
    rows = re.findall(r'^(%s)\((\w+),\s*(\w+),\s*(SEED|MORE),\s*((?:"[^"]*"\s*)+)\)$' % "|".join(KINDS), text, re.M)
    assert len(rows) == len(re.findall(r"^(?:%s)\(" % "|".join(KINDS), text, re.M))
    for kind, name, type_, seed, meaning in rows:
        tables[KINDS[kind]][name] = (SHORT.get(type_, type_), kind == "HTTP" and seed == "SEED", "".join(re.findall('"([^"]*)"', meaning)))
    return tables


def documented_columns(doc):
    """The tables of a document: table → [(column, type, starred, meaning)]."""
    tables = {}
    for table, rest in re.findall(r"^### `(faucet_\w+)`\n(.*?)(?=^#)", read(doc) + "\n#", re.M | re.S):
        tables[table] = [(name, type_, star == " ★", meaning.replace("&lt;", "<").replace("&gt;", ">"))
                         for name, star, type_, meaning in re.findall(r"^\| `(\w+)`( ★)? \| ([A-Z ]+) \| (.+) \|$", rest, re.M)]
    return tables


def test_columns_mean_the_same_everywhere(filled):
    """columns.def, the database with its comments, and the English document say the same of every column; the Spanish one has the same
    columns and types in the same order, and names the same fixed words."""
    defined = defined_columns()
    english, spanish = map(documented_columns, DOCS)
    for table in TABLES:
        stored = filled.query("SELECT attname, format_type(atttypid, NULL), col_description(attrelid, attnum) FROM pg_attribute "
                              "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum", (table,))
        assert [(name, TYPES[type_], defined[table][name][1], meaning) for name, type_, meaning in stored] == english[table], table
        assert {name: row for name, *row in map(list, english[table])} == {name: list(row) for name, row in defined[table].items()}, table
        assert [row[:3] for row in spanish[table]] == [row[:3] for row in english[table]], table
        for (name, _, _, meaning), (_, _, _, here) in zip(english[table], spanish[table]):
            words = re.findall(r"\b[a-z]+(?:_[a-z]+)+\b|\btelemetry\.\w+|\bNULL\b|Worker::<app>::<id>|\b\d\d\d\b", meaning)
            assert len(here) > 3 and [word for word in words if word not in here] == [], (table, name, here)


def test_everything_has_a_comment(filled):
    relations = filled.query("SELECT relname, obj_description(oid) FROM pg_class WHERE relkind IN ('v', 'r') AND relname LIKE 'faucet%'")
    assert len(relations) == 16 + 6 and all(text for _, text in relations), relations
    for doc in DOCS:
        assert [name for name, _ in relations if "`%s`" % name not in read(doc)] == []


def test_every_column_of_a_view_is_explained(filled):
    """By a comment of its own, or, where it is handed on as it is, by that of the table's column."""
    columns = filled.query("SELECT c.relname, a.attname, col_description(a.attrelid, a.attnum) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid "
                           "WHERE c.relkind = 'v' AND c.relname LIKE 'faucet%' AND a.attnum > 0")
    handed_on = {name for table in defined_columns().values() for name in table}
    assert len(columns) > 200
    assert [(view, name) for view, name, text in columns if not text and name not in handed_on] == []
    of = {(view, name): text for view, name, text in columns}
    for view in ("faucet_versions", "faucet_version_endpoints"):  # these two say in numbers what decides
        assert "10 %" in of["faucet_versions", "verdict"] and "30 requests" in of["faucet_versions", "verdict"] and of[view, "verdict"]
    assert not {view for view, name, text in columns if name == "endpoint" and not text}


# ---- the questions of the documents, with their answers --------------------------------------------------------------------

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
ANA, BEN = {"ip_addr": "10.0.0.1", "user_agent": FIREFOX}, {"ip_addr": "10.0.0.2", "user_agent": CHROME}
SCRIPT = {"ip_addr": "10.0.0.9", "user_agent": "python-requests/2.31"}
QUOTED = "0195563e-2f00-7a1b-9c3d-5e6f708192a3"  # by the user of whom the document tells
CUT = "01955622-b880-7d4e-8f21-6a7b8c9d0e1f"     # whose session was cut


def on(day, clock):
    """2 or 3 March 2026, "9:30:15"."""
    return dt.datetime(2026, 3, day, *map(int, clock.split(":")), tzinfo=dt.timezone.utc)


def shop(db):
    """Two days of app `sales` with two workers. Monday, version 1.4.1: Ana orders, Ben reads reports, a script fetches a list; worker 2
    crashes at 9:40. Tuesday, version 1.4.2: orders are slower, reports faster; at 10:00 three exports fill both workers; at 11:00 the daemon
    is killed, at 13:00 the queue on disk is full."""
    second = dt.timedelta(seconds=1)

    def row(at, who, path, ms, worker=1, **more):
        monday = at.day == 2
        return request(0, **{"time": at, "namespace": "shop", "version": "1.4.1" if monday else "1.4.2", "generation": 1 if monday else 2, "instance": "web1",
                             "worker_id": worker, "target": "Worker::sales::%d" % worker, "path": path, "request_bytes": 0, "response_bytes": 2000, "ms": ms,
                             **who, **more})
    refused = {"namespace": "faucet", "version": None, "generation": None, "worker_id": None, "target": "faucet", "worker_route": None, "status": 503,
               "error": "queue_full", "queue_us": None, "first_byte_us": None}
    lost = {"status": None, "elapsed": None, "total_us": None, "request_bytes": None, "response_bytes": None, "first_byte_us": None, "error": "daemon_died"}
    opened = [row(on(2, "9:00:00"), ANA, "/websocket", 3, status=101, response_bytes=0), row(on(2, "9:10:00"), BEN, "/websocket", 3, 2, status=101, response_bytes=0,
              request_uuid=CUT), row(on(3, "9:00:00"), ANA, "/websocket", 3, status=101, response_bytes=0)]
    rows = opened + [row(on(2, "12:00:00") + 60 * i * second, SCRIPT, "/orders.csv", 20) for i in range(5)]
    for day, order, report in ((2, 100, 800), (3, 150, 700)):
        rows += [row(on(day, "9:00:00") + 10 * i * second, ANA, "/orders/%d" % (100 * day + i), order + i, 1 + i % 2) for i in range(40)]
        rows += [row(on(day, "9:30:00") + 30 * i * second, BEN, "/report", report, 1 + (i % 4 == 1), response_bytes=90_000) for i in range(35)]
    rows.append(row(on(2, "9:40:00"), BEN, "/orders", 1200, 2, method="POST", request_uuid=QUOTED, status=502, error="worker_closed", request_bytes=300))
    rows += [row(on(3, "10:00:00"), BEN, "/export", 55_000, 1), row(on(3, "10:00:00"), BEN, "/export", 55_000, 2),
             row(on(3, "10:00:05"), BEN, "/export", 105_000, 1, queue_us=50_000_000),
             *[row(on(3, "10:00:30"), who, "/sales/export", 1, **refused) for who in (ANA, BEN)],
             {**row(on(3, "11:00:00"), ANA, "/orders/350", 0), **lost}]
    db.insert("faucet_http_events", rows)
    own = {"namespace": "shop", "app": "sales", "instance": "web1"}
    db.insert("faucet_log_events", [{**own, "time": on(2, "9:40:01"), "event_id": str(uuid.uuid4()), "level": "Error", "event_type": "database",
                                     "message": "no room for order 412", "request_uuid": QUOTED, "worker_id": 2, "generation": 1}])
    for worker, generation, pid, version, *events in (
            (1, 1, 101, "1.4.1", (2, "8:59:50", "started"), (2, "8:59:58", "ready"), (3, "8:00:06", "stopped")),
            (2, 1, 102, "1.4.1", (2, "8:59:50", "started"), (2, "8:59:59", "ready"), (2, "9:40:01", "crashed")),
            (2, 1, 103, "1.4.1", (2, "9:40:02", "started"), (2, "9:40:06", "ready"), (3, "8:00:06", "stopped")),
            (1, 2, 201, "1.4.2", (3, "8:00:00", "started"), (3, "8:00:05", "ready")),
            (2, 2, 202, "1.4.2", (3, "8:00:00", "started"), (3, "8:00:05", "ready")),
            (1, 1, 301, "1.4.2", (3, "11:00:10", "started"), (3, "11:00:15", "ready")),
            (2, 1, 302, "1.4.2", (3, "11:00:10", "started"), (3, "11:00:15", "ready"))):
        db.insert("faucet_worker_events", [{**own, "worker_id": worker, "generation": generation, "pid": pid, "version": version, "event_id": str(uuid.uuid4()),
                                            "time": on(day, clock), "event": event, **({"stderr_tail": "cannot allocate vector of size 2.1 Gb"} if event == "crashed" else {})}
                                           for day, clock, event in events])
    for user, day, began, ended, word, worker, http in ((ANA, 2, "9:00:00", "9:20:00", "client_closed", 1, opened[0]), (BEN, 2, "9:10:00", "9:40:01", "worker_gone", 2, opened[1]),
                                                        (ANA, 3, "9:00:00", "9:05:00", "worker_closed", 1, opened[2])):
        db.insert("faucet_session_events", [{**own, "request_uuid": http["request_uuid"], "version": http["version"], "generation": http["generation"],
                                             "worker_id": worker, "target": http["target"], "worker_route": "/sales/", "ip_addr": user["ip_addr"], "began": on(day, began),
                                             "time": on(day, ended), "seconds": (on(day, ended) - on(day, began)).total_seconds(), "bytes_up": 10_000,
                                             "bytes_down": 250_000, "ended": word}])
    daemon = {"namespace": "faucet", "instance": "web1", "event_id": str(uuid.uuid4())}
    db.insert("faucet_config_events", [{**daemon, "time": on(2, "8:59:49"), "event": "boot", "took_us": 200_000}, {**daemon, "time": on(3, "8:00:06"), "event": "reload"},
                                       {**daemon, "time": on(3, "11:00:09"), "event": "boot", "took_us": 200_000}])
    db.insert("faucet_gaps", [{**daemon, "time": on(3, "13:05:00"), "table_name": "faucet_http_events", "reason": "full", "began": on(3, "13:00:00"),
                               "ended": on(3, "13:04:30"), "dropped": 120}])


def aggregates():
    """The continuous aggregates of TimescaleDB: (name, query)."""
    found = re.findall(r"CREATE MATERIALIZED VIEW IF NOT EXISTS (\w+) WITH \(timescaledb\.continuous[^)]*\) AS(.*?)WITH NO DATA;", read(SQL[-1]), re.S)
    assert [name for name, _ in found] == ["faucet_health_minutes", "faucet_performance_hours", "faucet_usage_days"]
    return found


@pytest.fixture(scope="module")
def shop_db(server):
    """In it, the aggregates are plain tables of what their queries say."""
    db = Database(server)
    db.init()
    shop(db)
    db.query("CREATE FUNCTION time_bucket(width INTERVAL, at TIMESTAMPTZ) RETURNS TIMESTAMPTZ LANGUAGE sql IMMUTABLE AS "
             "'SELECT to_timestamp(floor(extract(epoch FROM at) / extract(epoch FROM width)) * extract(epoch FROM width))'")
    for name, query in aggregates():
        db.query("CREATE TABLE %s AS %s" % (name, query))
    return db


def worked_questions(doc):
    """Of a document: (query, answer) each."""
    return re.findall(r"^```sql\n((?:(?!```).*\n)*)```\n\n```text\n((?:(?!```).*\n)*)```$", read(doc), re.M)


def cells(text):
    """psql's table, however wide it is."""
    return [[cell.strip() for cell in line.split("|")] for line in text.splitlines() if set(line) - set("-+ ")]


def view_of(query):
    return re.search(r"FROM (faucet_\w+)", query)[1]


ENGLISH = worked_questions(DOCS[0])


@pytest.mark.parametrize("query, answer", ENGLISH, ids=[view_of(query) for query, _ in ENGLISH])
def test_worked_question(shop_db, server, query, answer):
    said = server.psql("-P", "footer=off", "-c", query, dbname=shop_db.name).stdout
    assert cells(said) == cells(answer) and len(cells(answer)) > 1, said


def test_a_worked_question_for_every_view(filled):
    views = {name for name, in filled.query("SELECT relname FROM pg_class WHERE relkind = 'v' AND relname LIKE 'faucet%'")}
    assert sorted(view_of(query) for query, _ in ENGLISH) == sorted(views | {name for name, _ in aggregates()})
    assert worked_questions(DOCS[1]) == ENGLISH  # the Spanish document asks the same, and has the same answers


@pytest.mark.parametrize("doc", DOCS)
def test_other_statements_of_the_documents(db, doc):
    """Those without an answer: they can be said."""
    db.init("--roles")
    blocks = [b for b in re.findall(r"^```sql\n(.*?)^```", read(doc), re.M | re.S) if b not in [query for query, _ in worked_questions(doc)]]
    assert len(blocks) >= 3
    for block in blocks:
        for role in ("faucet_daemon", "faucet_analyst"):  # roles are the server's, and both documents make them
            block = block.replace(role, role + "_" + db.name)
        db.query(block)


# ---- the views ------------------------------------------------------------------------------------------------------------

# As faucet stores a request that it had only reserved when it was killed: the app had answered, what the client took is not known.
RESERVED = {"status": None, "elapsed": None, "total_us": None, "first_byte_us": None, "request_bytes": None, "response_bytes": None, "error": "daemon_died"}


def test_view_requests(filled):
    own = {"namespace": "requests"}
    filled.insert("faucet_http_events", [
        request(0, **own, path="/orders/17/items/0123456789abcdef", queue_us=30_000, ms=130.5), request(1, **own, status=404, path="/Orders/abc", worker_route="/"),
        request(2, **own, status=503, error="queue_full", worker_id=None, worker_route=None, target="faucet", path="/sales/x", queue_us=None, first_byte_us=None, ms=2),
        request(3, **own, queue_us=70_000, **RESERVED), request(4, **own, app=None, target="Worker::old::3", total_us=None, queue_us=None, elapsed=9),
        request(5, **own, app=None, target="faucet", worker_id=None, worker_route=None, path=None, method=None, status=400)])
    rows = filled.view("faucet_requests", "time", "namespace = 'requests'")
    assert [(r["app"], r["endpoint"], r["ms"], r["queue_ms"], r["app_ms"], r["first_byte_ms"], r["failed"]) for r in rows] == [
        ("sales", "/sales/orders/:n/items/:hex", 130.5, 30, 100.5, 50, False), ("sales", "/Orders/abc", 100, 0, 100, 50, False),
        ("sales", "/sales/x", 2, None, 2, None, True), ("sales", "/sales/", None, 70, None, None, True), ("old", "/sales/", 9, None, 9, 50, False),
        (None, None, 100, 0, 100, 50, False)]


def test_view_health(filled):
    """A request of which only the reservation was found is a request and an error; no percentile has it, since its time is not known."""
    filled.insert("faucet_http_events", [request(i, namespace="health", ms=10 * (i + 1)) for i in range(10)] + [
        request(20, namespace="health", status=500, ms=1000), request(21, namespace="health", **RESERVED),
        request(22, namespace="health", status=499, ms=55), request(60, namespace="health", ms=7), request(61, namespace="health", version="1.1", ms=9)])
    rows = filled.view("faucet_health", "minute, version", "namespace = 'health'")
    assert [(r["version"], r["minute"], r["requests"], float(r["per_second"]), r["errors"], float(r["error_percent"]), r["client_left"]) for r in rows] == [
        ("1.0", NOON, 13, 0.22, 2, 15.38, 1), ("1.0", NOON + dt.timedelta(minutes=1), 1, 0.02, 0, 0, 0),
        ("1.1", NOON + dt.timedelta(minutes=1), 1, 0.02, 0, 0, 0)]
    assert rows[0]["p50_ms"] == 57.5 and rows[0]["p95_ms"] == pytest.approx(505) and rows[0]["p99_ms"] == pytest.approx(901)
    assert rows[1]["p99_ms"] == 7


def test_view_usage(filled):
    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
    edge = chrome + " Edg/126.0"
    day = NOON.replace(hour=0)
    rows = [request(0, path="/orders/17"), request(1, path="/orders/18", ip_addr="10.0.0.2", status=500),
            request(2, path="/orders/3f1e2d3c-0000-4000-8000-00000000abcd/items/5"), request(3, path="/session/0123456789abcdef0123/dataobj/x"),
            request(4, path="/websocket", status=101, user_agent=chrome), request(5, user_agent=edge, request_bytes=5, response_bytes=7),
            request(6, user_agent="Googlebot/2.1"), request(7, user_agent=None), request(8, user_agent="libcurl/7.88 r-curl/5.0 httr/1.4"),
            request(9, user_agent="python-requests/2.31"), request(86400, response_bytes=3)]
    filled.insert("faucet_http_events", [{**r, "namespace": "usage"} for r in rows])
    usage = filled.view("faucet_usage", "day", "namespace = 'usage'")
    assert [(r["day"], r["requests"], r["users"], r["sessions"], r["request_bytes"], r["response_bytes"]) for r in usage] == [
        (day, 10, 8, 1, 5, 7), (day + dt.timedelta(days=1), 1, 1, 0, None, 3)]
    endpoints = {r["endpoint"]: r for r in filled.view("faucet_usage_endpoints", None, "namespace = 'usage' AND day = %s", (day,))}
    assert {e: r["requests"] for e, r in endpoints.items()} == {"/sales/orders/:n": 2, "/sales/orders/:uuid/items/:n": 1, "/sales/session/:hex/dataobj/x": 1,
                                                              "/sales/websocket": 1, "/sales/": 5}
    assert endpoints["/sales/orders/:n"]["users"] == 2 and endpoints["/sales/orders/:n"]["error_percent"] == 50
    agents = {r["agent"]: (r["requests"], r["users"]) for r in filled.view("faucet_usage_agents", None, "namespace = 'usage' AND day = %s", (day,))}
    assert agents == {"curl": (4, 2), "Chrome": (1, 1), "Edge": (1, 1), "bot": (1, 1), "none": (1, 1), "R": (1, 1), "Python": (1, 1)}
    users = {(r["ip_addr"], r["user_agent"]): r for r in filled.view("faucet_usage_users", None, "namespace = 'usage' AND day = %s", (day,))}
    assert len(users) == 8
    assert [users["10.0.0.1", "curl/8"][k] for k in ("requests", "sessions", "first_seen", "last_seen")] == [3, 0, NOON, NOON + dt.timedelta(seconds=3)]
    assert [users["10.0.0.1", chrome][k] for k in ("requests", "sessions")] == [1, 1] and users["10.0.0.2", "curl/8"]["requests"] == 1
    assert (usage[0]["app"], endpoints["/sales/websocket"]["method"], users["10.0.0.1", None]["app"]) == ("sales", "GET", "sales")


def test_view_troubleshooting(filled):
    good, bad, refused, died = (request(i, namespace="trouble") for i in range(4))
    bad.update(status=502, error="worker_closed", ms=2000)
    bad["elapsed"], bad["total_us"] = 2000, 2_000_000
    del bad["ms"]
    refused.update(status=503, error="queue_full", worker_id=None, target="faucet", worker_route=None)
    died.update(RESERVED)
    filled.insert("faucet_http_events", [good, bad, refused, died])
    log = {"namespace": "trouble", "target": "Worker::sales::1", "event_type": "sql", "app": "sales"}
    filled.insert("faucet_log_events", [
        {**log, "time": NOON + dt.timedelta(seconds=2.5), "event_id": str(uuid.uuid4()), "level": "Error", "message": "third", "parent_event_id": bad["request_uuid"]},
        {**log, "time": NOON + dt.timedelta(seconds=1.5), "event_id": str(uuid.uuid4()), "level": "Info", "message": "first", "request_uuid": bad["request_uuid"]},
        {**log, "time": NOON + dt.timedelta(seconds=2), "event_id": str(uuid.uuid4()), "level": "Warn", "message": "second",
         "body": '{"request_uuid": "%s", "n": 1}' % bad["request_uuid"]},
        {**log, "time": NOON, "event_id": str(uuid.uuid4()), "level": "Info", "message": "of the good one", "request_uuid": good["request_uuid"]},
        {**log, "time": NOON, "event_id": str(uuid.uuid4()), "level": "Info", "message": "of none", "body": '"text"'}])
    worker = {"namespace": "trouble", "app": "sales", "instance": "i", "generation": 1, "worker_id": 1}
    filled.insert("faucet_worker_events", [
        {**worker, "time": NOON + dt.timedelta(seconds=3), "event": "crashed", "detail": "was killed by signal 9 (Killed)", "signal": 9, "stderr_tail": "last words"},
        {**worker, "time": NOON + dt.timedelta(seconds=3), "event": "crashed", "worker_id": 2}, {**worker, "time": NOON + dt.timedelta(seconds=3), "event": "crashed",
                                                                                                 "generation": 2}, {**worker, "time": NOON + dt.timedelta(seconds=60), "event": "crashed"},
        {**worker, "time": NOON + dt.timedelta(seconds=3), "event": "crashed", "instance": "j"}, {**worker, "time": NOON + dt.timedelta(seconds=2), "event": "ready"}])
    rows = filled.view("faucet_troubleshooting", "time", "namespace = 'trouble'")
    assert [str(r["request_uuid"]) for r in rows] == [bad["request_uuid"], refused["request_uuid"], died["request_uuid"]]
    assert [(e["message"], e["level"]) for e in rows[0]["log_events"]] == [("first", "Info"), ("second", "Warn"), ("third", "Error")]
    assert [(e["event"], e["stderr"]) for e in rows[0]["worker_events"]] == [("crashed", "last words")]
    assert rows[1]["log_events"] is None and rows[1]["worker_events"] is None and rows[1]["error"] == "queue_full"
    assert rows[2]["status"] is None


def test_view_capacity(filled):
    at = lambda s: NOON + dt.timedelta(seconds=s)  # noqa: E731
    own = {"namespace": "capacity", "app": "capacity", "instance": "c"}
    filled.insert("faucet_config_events", [{"namespace": "capacity", "instance": "c", "time": at(-1000), "event": "boot"},
                                           {"namespace": "capacity", "instance": "c", "time": at(300), "event": "boot"}])
    worker = {**own, "generation": 1, "version": "1"}
    filled.insert("faucet_worker_events", [
        {**worker, "worker_id": 1, "pid": 11, "time": at(-500), "event": "started"}, {**worker, "worker_id": 1, "pid": 11, "time": at(-490), "event": "ready"},
        {**worker, "worker_id": 2, "pid": 12, "time": at(-10), "event": "started"}, {**worker, "worker_id": 2, "pid": 12, "time": at(0), "event": "ready"},
        {**worker, "worker_id": 2, "pid": 12, "time": at(90), "event": "crashed"}])
    filled.insert("faucet_http_events", [
        request(0, **own, ms=30_000), request(10, **own, worker_id=2, ms=10_000),           # two at once from 10 to 20
        request(20, **own, worker_id=2, queue_us=0, ms=20_000), request(25, **own, queue_us=5_000_000, ms=65_000),  # in a worker from 30 to 90
        request(30, **{**own, "namespace": "daemon"}, worker_id=None, status=503, error="queue_full", ms=0),
        request(400, **{**own, "namespace": "daemon"}, worker_id=None, status=503, error="no_worker", ms=0)])
    lives = filled.view("faucet_worker_lives", "worker_id", "namespace = 'capacity'")
    assert [(r["worker_id"], r["ready_at"], r["ended_at"], r["ended_by"]) for r in lives] == [
        (1, at(-490), at(300), "faucet restarted"), (2, at(0), at(90), "crashed")]
    rows = filled.view("faucet_capacity", "minute", "app = 'capacity'")
    assert [(r["minute"], r["requests"], float(r["concurrency"]), r["peak_concurrency"], r["workers"] and float(r["workers"]),
             r["utilisation_percent"] and float(r["utilisation_percent"]), r["refused"]) for r in rows] == [
        (at(0), 4, 1.5, 2, 2.0, 75.0, 1),      # 30 + 10 + 20 + 30 s of work of 120
        (at(60), 0, 0.5, 1, 1.5, 33.3, 0),     # 30 s of 90: the second worker lived for half of it
        (at(360), 0, 0.0, 0, None, None, 1)]
    assert rows[0]["namespace"] == "capacity" and rows[0]["mean_queue_ms"] == 1250 and rows[0]["max_queue_ms"] == 5000
    assert rows[1]["mean_queue_ms"] is None


def test_view_worker_lives(filled):
    at = lambda s: NOON + dt.timedelta(seconds=s)  # noqa: E731
    own = {"namespace": "lives", "app": "lives", "instance": "lives", "version": "1", "generation": 1, "worker_id": 1, "pid": 8}

    def events(*events, **more):
        filled.insert("faucet_worker_events", [{**own, **more, "time": at(s), "event": event} for s, event in events])
    filled.insert("faucet_config_events", [{"instance": "lives", "time": at(s), "event": "boot", "took_us": 4_000_000} for s in (4, 1003)])
    events((1, "started"), (3, "ready"), (50, "ready"), (60, "crashed"))          # in the middle it refused connections: one life
    events((61, "started"), (70, "ready"), pid=9)                                 # the boot that ended at 1003 began at 999
    events((1001, "started"), (1002, "ready"), (1100, "killed"), (1101, "crashed"))  # as in a container, the same numbers again
    events((5, "started"), (6, "crashed"), (7, "backoff"), worker_id=2, pid=10)   # never ready
    events((2000, "started"), (2001, "ready"), (2002, "ready"), generation=2, pid=11)
    events((1, "started"), (2, "ready"), instance="other", pid=12)
    rows = filled.view("faucet_worker_lives", "ready_at, pid DESC", "namespace = 'lives'")
    assert [(r["instance"], r["generation"], r["pid"], r["ready_at"], r["ended_at"], r["ended_by"]) for r in rows] == [
        ("other", 1, 12, at(2), None, None), ("lives", 1, 8, at(3), at(60), "crashed"), ("lives", 1, 9, at(70), at(999), "faucet restarted"),
        ("lives", 1, 8, at(1002), at(1100), "killed"), ("lives", 2, 11, at(2001), None, None)]


def test_view_capacity_without_worker_events(filled):
    own = {"namespace": "bare", "app": "bare", "instance": None}
    filled.insert("faucet_http_events", [request(0, **own, ms=30_000), request(0, **own, worker_id=2, ms=15_000), request(58, **own, ms=2000)])
    rows = filled.view("faucet_capacity", "minute", "app = 'bare'")
    assert [(r["requests"], float(r["workers"]), float(r["utilisation_percent"]), r["peak_concurrency"], r["instance"]) for r in rows] == [(3, 2, 39.2, 2, None)]


def test_view_performance(filled):
    own = {"namespace": "performance"}
    filled.insert("faucet_http_events", [request(i, **own, path="/slow/%d" % i, ms=1000, queue_us=250_000) for i in range(3)]
                  + [request(i, **own, path="/fast", ms=ms) for i, ms in enumerate((100, 200, 450))]
                  + [request(9, **own, path="/websocket", status=101), request(9, **own, worker_id=None, path="/none", ms=9000)])
    rows = filled.view("faucet_performance", "p95_ms DESC", "namespace = 'performance'")
    assert [(r["endpoint"], r["requests"], r["p50_ms"], r["max_ms"], r["mean_queue_ms"], r["mean_app_ms"], float(r["queue_percent"]), float(r["share_percent"]))
            for r in rows] == [("/sales/slow/:n", 3, 1000, 1000, 250, 750, 25.0, 75.0), ("/sales/fast", 3, 200, 450, 0, 250, 0.0, 25.0)]
    assert rows[1]["p95_ms"] == pytest.approx(425) and rows[0]["mean_first_byte_ms"] == 50
    assert [(r["p95_queue_ms"], r["p95_app_ms"]) for r in rows] == [(250, 750), (0, pytest.approx(425))]
    filled.insert("faucet_http_events", [request(9, namespace="queued", ms=1000 + 100 * i, queue_us=100_000 * i) for i in range(11)])
    row = filled.view("faucet_performance", None, "namespace = 'queued'")[0]
    assert (row["mean_queue_ms"], row["p95_queue_ms"], row["p95_app_ms"], row["p95_ms"]) == (500, pytest.approx(950), 1000, pytest.approx(1950))


def test_view_load(filled):
    own = {"namespace": "load"}
    filled.insert("faucet_http_events", [request(i, **own) for i in range(6)] + [request(i, **own, worker_id=2, target="Worker::sales::2") for i in range(3)]
                  + [request(7, **own, worker_id=3, status=500), request(8, **own, worker_id=3, status=101, ms=20), request(3600, **own, worker_id=3)])
    rows = filled.view("faucet_load", "hour, worker_id", "namespace = 'load'")
    assert [(r["worker_id"], r["requests"], float(r["share_percent"]), float(r["even_percent"]), float(r["busy_seconds"]), r["errors"], r["sessions"])
            for r in rows] == [(1, 6, 54.5, 33.3, 0.6, 0, 0), (2, 3, 27.3, 33.3, 0.3, 0, 0), (3, 2, 18.2, 33.3, 0.12, 1, 1), (3, 1, 100.0, 100.0, 0.1, 0, 0)]
    assert [r["p95_app_ms"] for r in rows] == [100, 100, pytest.approx(96), 100] and {r["generation"] for r in rows} == {1}  # 20 and 100 ms: 96


def test_view_versions(filled):
    own = {"namespace": "versions"}
    rows = [request(i, **own, version="1.4.1", path="/a", ms=100) for i in range(40)]
    rows += [request(100 + i, **own, version="1.4.2", path="/a", ms=150 + (1000 if i == 0 else 0), queue_us=0, status=500 if i < 4 else 200) for i in range(40)]
    rows += [request(200 + i, **own, version="1.4.3", path="/a", ms=5100, queue_us=5_000_000) for i in range(40)]  # the queue is not the app's fault
    rows += [request(300 + i, **own, version="1.4.4", path="/a", ms=100) for i in range(5)]
    rows += [request(400 + i, **own, version="1.4.2", path="/b", ms=10) for i in range(3)]
    filled.insert("faucet_http_events", rows)
    versions = filled.view("faucet_versions", "first_seen", "namespace = 'versions'")
    assert [(r["version"], r["previous_version"], r["requests"], r["verdict"]) for r in versions] == [
        ("1.4.1", None, 40, "first"), ("1.4.2", "1.4.1", 43, "slower"), ("1.4.3", "1.4.2", 40, "faster"), ("1.4.4", "1.4.3", 5, "too few")]
    assert versions[1]["p50_ms"] == 150 and versions[1]["p50_change_percent"] == 50 and float(versions[1]["error_percent"]) == 9.3
    assert versions[1]["previous_error_percent"] == 0 and versions[2]["p95_ms"] == pytest.approx(100)
    assert [r["p95_change_percent"] and float(r["p95_change_percent"]) for r in versions] == [None, 50.0, -33.3, 0.0]
    assert [((r["first_seen"] - NOON).seconds, (r["last_seen"] - NOON).seconds) for r in versions] == [(0, 39), (100, 402), (200, 239), (300, 304)]
    endpoints = filled.view("faucet_version_endpoints", "endpoint, version", "namespace = 'versions'")
    assert [(r["endpoint"], r["version"], r["previous_version"], r["verdict"]) for r in endpoints] == [
        ("/sales/a", "1.4.1", None, "first"), ("/sales/a", "1.4.2", "1.4.1", "slower"), ("/sales/a", "1.4.3", "1.4.2", "faster"),
        ("/sales/a", "1.4.4", "1.4.3", "too few"), ("/sales/b", "1.4.2", None, "first")]
    number = lambda v: v if v is None else round(float(v), 3)  # noqa: E731
    assert [tuple(number(r[k]) for k in ("requests", "previous_requests", "error_percent", "previous_error_percent", "p95_ms", "previous_p95_ms", "p95_change_percent"))
            for r in endpoints] == [(40, None, 0, None, 100, None, None), (40, 40, 10, 0, 150, 100, 50), (40, 40, 0, 10, 100, 150, -33.3), (5, 40, 0, 0, 100, 100, 0),
                                    (3, None, 0, None, 10, None, None)]


@pytest.mark.parametrize("p95, n, verdict", [(111, 30, "slower"), (110, 30, "same"), (100, 30, "same"), (90, 30, "same"), (89, 30, "faster"), (300, 29, "too few")])
def test_verdict(filled, p95, n, verdict):
    own = {"namespace": "verdict %d %d" % (p95, n)}
    filled.insert("faucet_http_events", [request(i, **own, ms=100) for i in range(30)] + [request(100 + i, **own, version="2", ms=p95) for i in range(n)])
    for view in ("faucet_versions", "faucet_version_endpoints"):
        assert [r["verdict"] for r in filled.view(view, "version", "namespace = %s", (own["namespace"],))] == ["first", verdict]


def test_view_sessions(filled):
    at = lambda s: NOON + dt.timedelta(seconds=s)  # noqa: E731
    begun = request(0, namespace="sessions", status=101, path="/websocket", user_agent="Firefox/127")
    filled.insert("faucet_http_events", [begun])
    own = {"namespace": "sessions", "app": "sales", "version": "1", "instance": "i", "worker_route": "/sales/", "worker_id": 1, "target": "Worker::sales::1"}
    filled.insert("faucet_session_events", [
        {**own, "request_uuid": begun["request_uuid"], "ip_addr": "10.0.0.1", "began": at(0), "time": at(100), "seconds": 100, "bytes_up": 10, "bytes_down": 20,
         "ended": "client_closed"},
        {**own, "request_uuid": str(uuid.uuid4()), "ip_addr": "10.0.0.2", "began": at(50), "time": at(350), "seconds": 300, "bytes_up": 1, "bytes_down": 2,
         "ended": "drain_timeout"},
        {**own, "request_uuid": str(uuid.uuid4()), "ip_addr": "10.0.0.2", "began": at(350), "time": at(86450), "seconds": 86100, "bytes_up": 0, "bytes_down": 0,
         "ended": "worker_gone"}])
    rows = filled.view("faucet_sessions", "began", "namespace = 'sessions'")
    assert [(r["seconds"], r["ended"], r["cut"]) for r in rows] == [(100, "client_closed", False), (300, "drain_timeout", True), (86100, "worker_gone", True)]
    assert (rows[1]["began"], rows[1]["ended_at"], rows[1]["bytes_up"], rows[1]["bytes_down"]) == (at(50), at(350), 1, 2)
    assert rows[0]["user_agent"] == "Firefox/127" and rows[0]["path"] == "/sales/websocket" and rows[1]["user_agent"] is None
    daily = filled.view("faucet_sessions_daily", "day", "namespace = 'sessions'")
    assert [(r["sessions"], r["users"], r["peak_open"], r["median_seconds"], float(r["hours"]), r["bytes_up"], r["bytes_down"], r["cut"]) for r in daily] == [
        (3, 2, 2, 300, 24.03, 11, 22, 2)]
    assert daily[0]["p95_seconds"] == pytest.approx(77520)  # of 100, 300 and 86100: nine tenths of the way from the second to the third


def test_cut_sessions(filled):
    """Whatever word a session ended with: it was cut unless the client or the app ended it."""
    words = re.findall(r'^CLOSE\(\w+, "(\w+)"', read(os.path.join(ROOT, "src/net/close_reason.def")), re.M)
    assert {"client_closed", "worker_closed", "worker_gone", "worker_error", "drain_timeout", "shutdown"} < set(words)
    filled.insert("faucet_session_events", [{"namespace": "cut", "app": "cut", "began": NOON, "time": NOON, "seconds": 0, "ended": word} for word in [*words, None]])
    rows = {r["ended"]: r["cut"] for r in filled.view("faucet_sessions", None, "namespace = 'cut'")}
    closed = {"client_closed", "client_reset", "client_error", "worker_closed", "tunnel_ended"}
    assert rows == {None: None, **{word: word not in closed for word in words}}
    assert filled.view("faucet_sessions_daily", None, "namespace = 'cut'")[0]["cut"] == len(words) - len(closed)


def test_view_completeness(filled):
    at = lambda s: NOON + dt.timedelta(seconds=s)  # noqa: E731
    filled.insert("faucet_http_events", [request(i, instance="complete", namespace="complete") for i in range(96)]
                  + [request(9, instance="complete", namespace="complete", **RESERVED)])
    filled.insert("faucet_log_events", [{"time": NOON, "instance": "complete", "message": "x"}])
    gap = {"instance": "complete", "table_name": "faucet_http_events", "time": at(900)}
    filled.insert("faucet_gaps", [{**gap, "reason": "full", "began": at(100), "ended": at(160), "dropped": 2},
                                  {**gap, "reason": "bad_row", "began": at(200), "ended": at(200), "dropped": 1},
                                  {**gap, "reason": "full", "began": at(86400), "ended": at(86500), "dropped": 7}])
    rows = filled.view("faucet_completeness", "day, table_name", "instance = 'complete'")
    assert [(r["table_name"], r["stored"], r["dropped"], float(r["complete_percent"]), r["unfinished"], r["reasons"]) for r in rows] == [
        ("faucet_http_events", 97, 3, 97.0, 1, "bad_row, full"), ("faucet_log_events", 1, 0, 100.0, 0, None), ("faucet_http_events", 0, 7, 0.0, 0, "full")]
    assert (rows[0]["first_missing"], rows[0]["last_missing"]) == (at(100), at(200))


def test_since_bounds_every_view(db):
    """Of app and faucet `old` nothing has happened since, but for a worker that lives on; of `new` all has."""
    db.init()
    now = dt.datetime.now(dt.timezone.utc)
    for name, then in (("old", now - dt.timedelta(days=3)), ("new", now - dt.timedelta(minutes=5))):
        own = {"app": name, "instance": name, "time": then}
        db.insert("faucet_http_events", [request(0, **own, status=500)])
        db.insert("faucet_log_events", [own])
        db.insert("faucet_session_events", [{**own, "began": then, "seconds": 0}])
        db.insert("faucet_config_events", [{**own, "event": "boot"}])
        db.insert("faucet_gaps", [{"instance": name, "time": then, "table_name": "faucet_http_events", "reason": "full", "dropped": 1}])
        db.insert("faucet_worker_events", [{**own, "pid": pid, "time": then + dt.timedelta(seconds=s), "event": event}
                                           for pid in (1, 2) for s, event in enumerate(["started", "ready", "crashed"][:3 - (pid == 2)], 1)])
    views = [name for name, in db.query("SELECT viewname FROM pg_views WHERE viewname LIKE 'faucet%' ORDER BY 1")]
    assert len(views) == 16
    for view in views:
        names = lambda **more: {r.get("app") or r.get("instance") for r in db.view(view, **more)}  # noqa: E731,B023
        assert names() == {"old", "new"}, view
        since = db.view(view, settings={"faucet.since": "1 hour"})
        assert {r.get("app") or r.get("instance") for r in since} == ({"new"} if view != "faucet_worker_lives" else {"old", "new"}), view
        assert all(r["pid"] == 2 for r in since if r.get("app") == "old")
    db.query("INSERT INTO faucet_http_events (time) SELECT now() - n * INTERVAL '1 minute' FROM generate_series(1, 50000) AS n")
    db.query("ANALYZE faucet_http_events")
    plan = db.query("EXPLAIN SELECT * FROM faucet_health", settings={"faucet.since": "1 hour"})
    assert "faucet_http_events_time" in str(plan), plan


def test_since_knows_the_workers_from_before(db):
    """A worker that has been ready for long is one of those that could answer."""
    db.init()
    now = dt.datetime.now(dt.timezone.utc).replace(second=0, microsecond=0)
    db.insert("faucet_worker_events", [{"app": "sales", "instance": "i", "worker_id": w, "pid": w, "time": now - dt.timedelta(days=3, seconds=-s), "event": event}
                                       for w in (1, 2) for s, event in enumerate(["started", "ready"])])
    db.insert("faucet_http_events", [request(0, time=now - dt.timedelta(minutes=5), ms=30_000)])
    row = db.view("faucet_capacity", settings={"faucet.since": "1 hour"})[0]
    assert (row["workers"], row["utilisation_percent"]) == (2, 25)


# ---- partitions --------------------------------------------------------------------------------------------------------------

def partitions(db, table="faucet_http_events"):
    return sorted(r[0] for r in db.query("SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE inhparent = %s::regclass", (table,)))


def day_name(days, table="faucet_http_events"):
    return table + (dt.datetime.now(dt.timezone.utc) + dt.timedelta(days=days)).strftime("_%Y%m%d")


def test_partitions_of_a_new_database(db):
    db.init("--partitions", "--roles")
    expected = [day_name(i) for i in range(8)] + ["faucet_http_events_default"]
    assert partitions(db) == expected
    first = db.shape()
    db.init("--partitions")
    db.init()
    assert db.shape() == first
    now = dt.datetime.now(dt.timezone.utc)
    db.insert("faucet_http_events", [request(0, time=now), request(0, time=now - dt.timedelta(days=40)), request(0, time=now + dt.timedelta(days=30))])
    assert db.query("SELECT tableoid::regclass::text FROM faucet_http_events ORDER BY time") == [
        ("faucet_http_events_default",), (day_name(0),), ("faucet_http_events_default",)]
    done = db.query("SELECT action, relation, affected FROM faucet_maintain(ahead => 9) WHERE relation LIKE 'faucet_http%' ORDER BY relation")
    assert done == [("created", day_name(-40), 1), ("created", day_name(8), 0), ("created", day_name(9), 0), ("created", day_name(30), 1)]
    assert db.query("SELECT count(*) FROM ONLY faucet_http_events_default") == [(0,)]
    assert db.query("SELECT * FROM faucet_maintain(ahead => 9)") == []
    assert db.query("SELECT action, relation FROM faucet_maintain(ahead => 9, keep => '30 days')") == [("dropped", day_name(-40))]
    assert db.query("SELECT count(*) FROM faucet_http_events") == [(2,)]
    db.faucet("check", "--strict", check=0)
    indexes = db.query("SELECT count(*) FROM pg_indexes WHERE tablename = %s", (day_name(3),))
    assert indexes == [(3,)]


def test_partitions_of_a_table_with_rows(db):
    db.init("--roles")
    now = dt.datetime.now(dt.timezone.utc)
    db.insert("faucet_http_events", [request(i, time=now - dt.timedelta(days=i)) for i in range(3)])
    db.query("GRANT SELECT ON faucet_http_events TO faucet_writer")
    rights = db.query("SELECT grantee, privilege_type FROM information_schema.role_table_grants WHERE table_name = 'faucet_http_events' "
                      "AND grantee LIKE 'faucet%' ORDER BY 1, 2")
    before = db.view("faucet_usage", "day")
    db.init("--partitions")
    assert db.view("faucet_usage", "day") == before  # the views look at the new table, and it has the old rows
    db.insert("faucet_http_events", [request(0, time=now + dt.timedelta(days=2), namespace="later")])
    assert len(db.view("faucet_usage")) == len(before) + 1
    names = partitions(db)
    assert "faucet_http_events_before" in names and day_name(0) not in names and day_name(1) in names
    assert db.query("SELECT grantee, privilege_type FROM information_schema.role_table_grants WHERE table_name = 'faucet_http_events' "
                    "AND grantee LIKE 'faucet%' ORDER BY 1, 2") == rights
    first = db.shape()
    db.init("--partitions", "--roles")
    assert db.shape() == first
    db.faucet("check", "--strict", check=0)
    assert ("dropped", "faucet_http_events_before") not in db.query("SELECT action, relation FROM faucet_maintain(keep => '1 day')")
    assert db.query("SELECT count(*) FROM faucet_http_events") == [(4,)]  # a partition goes as a whole, when its last day is old


def test_maintenance_without_partitions(db):
    db.init()
    now = dt.datetime.now(dt.timezone.utc)
    db.insert("faucet_http_events", [request(0, time=now), request(0, time=now - dt.timedelta(days=40))])
    assert db.query("SELECT * FROM faucet_maintain()") == []
    assert db.query("SELECT action, relation, affected FROM faucet_maintain(keep => '30 days')") == [("deleted rows", "faucet_http_events", 1)]
    with pytest.raises(psycopg2.Error, match="longer than nothing"):
        db.query("SELECT * FROM faucet_maintain(keep => '0')")


def test_check_says_when_maintenance_is_due(db):
    db.init("--partitions")
    db.query('DROP TABLE "%s"' % day_name(1))
    done = db.faucet("check", check=0)
    assert "no partition for tomorrow" in done.stdout and "faucet_maintain()" in done.stdout
    db.query("DROP TABLE faucet_http_events_default")
    assert "default partition" in db.faucet("check", check=1).stdout
    db.query("SELECT * FROM faucet_maintain()")
    db.faucet("check", "--strict", check=0)


# ---- TimescaleDB, where it is not ------------------------------------------------------------------------------------------------

def test_timescale_is_said_to_be_missing(db, server):
    done = db.faucet("init", "--timescale", "--keep", "90 days", check=1)
    assert "TimescaleDB is not" in done.stderr and db.shape() == []
    db.init()
    first = db.shape()
    done = server.psql("-f", next(p for p in SQL if "timescale" in p), dbname=db.name)
    assert "WARNING" in done.stderr and "TimescaleDB is not in this database" in done.stderr and db.shape() == first


# ---- TimescaleDB, where it is: Debian has no package of it ------------------------------------------------------------------------

def with_timescale():
    """The directory of a PostgreSQL's programs that has the extension: FAUCET_TEST_TIMESCALE, or an installed one; None."""
    installed = [os.path.dirname(p) for p in glob.glob("/usr/lib/postgresql/*/bin/postgres")
                 if os.path.exists("/usr/share/postgresql/%s/extension/timescaledb.control" % p.split("/")[4])]
    return os.environ.get("FAUCET_TEST_TIMESCALE") or next(iter(installed), None)


@pytest.fixture(scope="module", params=["timescale", "apache"])
def timescale(request):
    """(a server with it, its licence). Jobs run when the test says so."""
    if with_timescale() is None:
        pytest.skip("no server here has TimescaleDB (FAUCET_TEST_TIMESCALE names the directory of one's programs)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(postgres, "_bin", with_timescale)
        with Postgres(settings={"shared_preload_libraries": "timescaledb", "timescaledb.license": request.param, "timescaledb.telemetry_level": "off",
                                "timescaledb.max_background_workers": "0"}) as pg:
            yield pg, request.param


@pytest.fixture
def hyper(timescale):
    """A database with the extension in a schema where nobody looks by himself, and requests of five months in a plain table."""
    db = Database(timescale[0])
    db.query("CREATE SCHEMA elsewhere; CREATE EXTENSION timescaledb SCHEMA elsewhere")
    db.init()
    start = dt.datetime.now(dt.timezone.utc).replace(minute=0, second=0, microsecond=0) - dt.timedelta(days=150)
    db.insert("faucet_http_events", [request(0, time=start + dt.timedelta(days=i), path="/orders/%d" % i, ms=10 + i, status=500 if i % 7 == 0 else 200,
                                             request_bytes=1, response_bytes=i) for i in range(150)])
    return db


PAIRS = {"faucet_health_minutes": "faucet_health", "faucet_usage_days": "faucet_usage"}


def run(db, job):
    db.query("CALL elsewhere.run_job(%d)" % job)


def jobs(db):
    """(what, of which relation) → (job, its configuration). Of an aggregate older versions name the table behind it."""
    return {(what, view or table): (job, config) for what, table, view, job, config in db.query(
        "SELECT j.proc_name, j.hypertable_name, a.view_name, j.job_id, j.config FROM timescaledb_information.jobs j LEFT JOIN "
        "timescaledb_information.continuous_aggregates a ON j.hypertable_name IN (a.view_name, a.materialization_hypertable_name) WHERE j.hypertable_name <> ''")}


def test_timescale(hyper, timescale):
    """Hypertables with the rows that were there, under either licence; saying it again changes nothing."""
    db, (server, licence) = hyper, timescale
    before = {view: sorted(db.view(view), key=str) for view in ("faucet_health", "faucet_usage", "faucet_performance", "faucet_versions")}
    done = db.init("--timescale", "--roles")
    assert ("Apache licence" in done.stderr) == (licence == "apache") and (done.stderr == "") == (licence == "timescale"), done.stderr
    assert {t for t, in db.query("SELECT hypertable_name FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'")} == set(TABLES)
    assert db.query("SELECT count(*) > 20 FROM timescaledb_information.chunks WHERE hypertable_name = 'faucet_http_events'") == [(True,)]
    assert {view: sorted(db.view(view), key=str) for view in before} == before
    first, known = db.shape(), jobs(db)
    db.init("--timescale", "--roles")
    db.init()
    assert db.shape() == first and jobs(db) == known
    assert bool(known) == (licence == "timescale")
    assert "TimescaleDB hypertable" in db.faucet("init", "--partitions", check=1).stderr and db.shape() == first
    for name, role in (("w_" + db.name, "faucet_writer"), ("r_" + db.name, "faucet_reader")):
        db.query('CREATE ROLE "%s" LOGIN IN ROLE %s' % (name, role))
    db.faucet("check", "--strict", string=server.string(db.name, "w_" + db.name), check=0)
    for table in TABLES:
        db.query("INSERT INTO %s (time) VALUES (now())" % table, user="w_" + db.name)
    assert db.query("SELECT count(request_uuid) FROM faucet_http_events WHERE time > now() - INTERVAL '9 days'", user="w_" + db.name) == [(8,)]
    views = [v for v, in db.query("SELECT viewname FROM pg_views WHERE viewname LIKE 'faucet%'")]
    assert len(views) == (19 if licence == "timescale" else 16)
    for view in views:
        db.query("SELECT * FROM %s" % view, user="r_" + db.name)


def test_timescale_roles_after_it(hyper, timescale):
    """Newer versions grant no rights on columns of what is to be compressed; that is said, and the rest is done."""
    db, (server, licence) = hyper, timescale
    db.init("--timescale")
    done = db.init("--roles")
    db.query('CREATE ROLE "w_%s" LOGIN IN ROLE faucet_writer' % db.name)
    db.query("INSERT INTO faucet_http_events (time) VALUES (now())", user="w_" + db.name)
    strict = db.faucet("check", "--strict", string=server.string(db.name, "w_" + db.name))
    assert ("may store some twice" in done.stderr) == (strict.returncode == 1) and (licence == "timescale" or done.stderr == "")
    db.faucet("check", string=server.string(db.name, "w_" + db.name), check=0)


def test_timescale_keep(hyper, timescale):
    """Under either licence old rows go; under Apache's by faucet_maintain(), and `db init` says so."""
    db, (_, licence) = hyper, timescale
    done = db.init("--timescale", "--keep", "90 days")
    assert ("SELECT * FROM faucet_maintain(keep => '90 days') once a day" in done.stderr) == (licence == "apache")
    (action, relation, chunks), = db.query("SELECT action, relation, affected FROM faucet_maintain(keep => '90 days')")
    assert (action, relation) == ("dropped chunks", "faucet_http_events") and chunks >= 7
    assert db.query("SELECT count(*) BETWEEN 90 AND 97 FROM faucet_http_events") == [(True,)]
    assert db.query("SELECT * FROM faucet_maintain(keep => '90 days')") == []


def test_timescale_aggregates(hyper, timescale):
    """They say what the views say: before they are worked out, after, with what came late, compressed; and still when retention dropped the rows."""
    db, (_, licence) = hyper, timescale
    if licence == "apache":
        db.init("--timescale")
        assert not {name for name, _ in aggregates()} & {name for name, *_ in db.shape()}
        return
    db.init("--timescale")

    def same():
        for aggregate, view in PAIRS.items():
            assert sorted(db.view(aggregate), key=str) == sorted(db.view(view), key=str), aggregate
        hours = db.view("faucet_performance_hours", "hour")
        assert [(r["endpoint"], r["requests"], r["p50_ms"], r["p95_ms"], r["max_ms"], r["mean_queue_ms"], r["mean_app_ms"]) for r in hours] == [
            ("/sales/orders/:n", 1, m, m, m, 0, m) for m in range(10, 160)]
    same()  # all of it worked out now
    known = jobs(db)
    refresh = [known["policy_refresh_continuous_aggregate", name][0] for name in (*PAIRS, "faucet_performance_hours")]
    assert all("start_offset" not in config or config["start_offset"] is None for (what, _), (_, config) in known.items() if "refresh" in what)
    for job in refresh:
        run(db, job)
    same()  # worked out in advance, also what was there before the aggregates
    late = dt.datetime.now(dt.timezone.utc) - dt.timedelta(days=140, minutes=5)
    db.insert("faucet_http_events", [request(0, time=late, worker_id=None)])
    for job in refresh:
        run(db, job)
    same()  # with what came late
    run(db, known["policy_compression", "faucet_http_events"][0])
    assert db.query("SELECT count(*) > 15 FROM timescaledb_information.chunks WHERE hypertable_name = 'faucet_http_events' AND is_compressed") == [(True,)]
    db.insert("faucet_http_events", [request(0, time=late, worker_id=None)])
    for job in refresh:
        run(db, job)
    same()  # and compressed
    everything = {name: sorted(db.view(name), key=str) for name in (*PAIRS, "faucet_performance_hours")}
    db.init("--timescale", "--keep", "100 days")
    db.init("--timescale", "--keep", "90 days")
    db.init("--timescale")  # does not forget it
    known = jobs(db)
    assert {table: config["drop_after"] for (what, table), (_, config) in known.items() if what == "policy_retention"} == dict.fromkeys(TABLES, "90 days")
    assert {config["start_offset"] for (what, _), (_, config) in known.items() if "refresh" in what} == {"89 days"}
    for _ in range(2):
        run(db, known["policy_retention", "faucet_http_events"][0])
        assert db.query("SELECT count(*) BETWEEN 90 AND 97 FROM faucet_http_events") == [(True,)]
        for job in refresh:
            run(db, job)
        assert {name: sorted(db.view(name), key=str) for name in everything} == everything  # they keep what they have
    unexplained = db.query("SELECT DISTINCT attname FROM pg_attribute WHERE attrelid::regclass::text = ANY (%s) AND attnum > 0 "
                           "AND (obj_description(attrelid) IS NULL OR col_description(attrelid, attnum) IS NULL) ORDER BY 1", (list(everything),))
    assert unexplained == [("app",), ("method",), ("namespace",), ("version",)]  # those of the table


# ---- roles -------------------------------------------------------------------------------------------------------------------

def test_roles(db, server):
    db.init("--roles")
    for name, role in (("w_" + db.name, "faucet_writer"), ("r_" + db.name, "faucet_reader")):
        db.query('CREATE ROLE "%s" LOGIN IN ROLE %s' % (name, role))
    writer, reader = "w_" + db.name, "r_" + db.name
    for table in TABLES:
        db.query("INSERT INTO %s (time) VALUES (now())" % table, user=writer)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            db.query("DELETE FROM %s" % table, user=writer)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            db.query("INSERT INTO %s (time) VALUES (now())" % table, user=reader)
        assert db.query("SELECT count(*) FROM %s" % table, user=reader) == [(1,)]
    assert db.query("SELECT request_uuid FROM faucet_http_events WHERE time > now() - INTERVAL '1 hour'", user=writer) == [(None,)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        db.query("SELECT ip_addr FROM faucet_http_events", user=writer)
    for (view,) in db.query("SELECT viewname FROM pg_views WHERE viewname LIKE 'faucet%'"):
        db.query("SELECT * FROM %s" % view, user=reader)
    db.faucet("check", "--strict", string=server.string(db.name, writer), check=0)
    done = db.faucet("check", string=server.string(db.name, reader), check=1)
    assert "may not INSERT into faucet_http_events" in done.stdout and 'GRANT INSERT, SELECT (request_uuid, time) ON faucet_http_events TO "%s"' % reader in done.stdout
    mends = re.findall(r"mend: (GRANT .*)", done.stdout)
    for mend in mends:
        db.query(mend)
    db.faucet("check", "--strict", string=server.string(db.name, reader), check=0)
    done = db.faucet("init", string=server.string(db.name, writer), check=1)
    assert "must be owner" in done.stderr or "permission denied" in done.stderr
    assert "GRANT CREATE ON SCHEMA" in done.stderr or "OWNER TO" in done.stderr


# ---- check -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("change, status, words", [
    ("ALTER TABLE faucet_http_events DROP COLUMN elapsed CASCADE", 1, r"lacks columns that faucet needs: elapsed"),
    ("ALTER TABLE faucet_http_events DROP COLUMN trace_id CASCADE", 0, r"has no columns trace_id"),
    ("ALTER TABLE faucet_config_events ALTER COLUMN detail TYPE VARCHAR(20)", 0, r"faucet_config_events\.detail is character varying, not text"),
    ("ALTER TABLE faucet_http_events ADD COLUMN tenant INT NOT NULL", 1, r"tenant is no column of faucet's.*\n.*DROP NOT NULL"),
    ("ALTER TABLE faucet_http_events ADD COLUMN id BIGSERIAL", 0, r"ok +faucet_http_events"),
    ("ALTER TABLE faucet_http_events ALTER COLUMN version SET NOT NULL", 1, r"version must not be NULL"),
    ("ALTER TABLE faucet_gaps ADD COLUMN tenant INT NOT NULL", 0, r"note +faucet_gaps\.tenant"),
    ("DROP TABLE faucet_worker_events CASCADE", 0, r"faucet_worker_events is missing: worker events are not stored"),
    ("DROP TABLE faucet_http_events CASCADE", 1, r"WRONG +faucet_http_events is missing"),
    ("DROP VIEW faucet_health", 0, r"the views .* are not there"),
    ("ALTER DATABASE \"%s\" SET default_transaction_read_only = on", 1, r"read-only"),
])
def test_check_finds(db, change, status, words):
    db.init()
    db.faucet("check", "--strict", check=0)
    db.query(change % db.name if "%s" in change else change)
    done = db.faucet("check")
    assert done.returncode == status and re.search(words, done.stdout), done.stdout + done.stderr


def test_row_level_security(db, server):
    db.init("--roles")
    db.query('CREATE ROLE "s_%s" LOGIN IN ROLE faucet_writer' % db.name)
    db.query("ALTER TABLE faucet_http_events ENABLE ROW LEVEL SECURITY")
    assert "row-level security" in db.faucet("check", string=server.string(db.name, "s_" + db.name), check=1).stdout


# ---- where the connection comes from -------------------------------------------------------------------------------------------

def test_connection_from_file_environment_and_flags(db, server, tmp_path):
    other = Database(server)
    (tmp_path / "app").mkdir()
    file = tmp_path / "faucet.yaml"
    text = "telemetry: { postgres_string: \"%s\" }\napps:\n  a: { type: shiny, dir: app }\n" % db.string
    file.write_text(text)
    db.faucet("init", "-c", str(file), string=None, check=0)  # without R, without app.R: neither is needed for tables
    db.faucet("check", "--strict", string=None, cwd=tmp_path, check=0)  # ./faucet.yaml
    assert "faucet_http_events is missing" in db.faucet("check", "-c", str(file), string=other.string, check=1).stdout  # the environment beats the file
    db.faucet("check", "-c", str(file), "--pg-con-string", db.string, string=other.string, check=0)  # flags beat both
    secret = tmp_path / "secret"
    secret.write_text(other.string + "\n")
    db.faucet("init", string=None, env={"FAUCET_TELEMETRY_POSTGRES_STRING_FILE": str(secret), "FAUCET_APPS_SALES_WORKERS": "2"}, check=0)
    third = Database(server)  # an app's own database gets its tables, too
    file.write_text(text.replace("dir: app }", "dir: app, telemetry: { postgres_string: \"%s\" } }" % third.string))
    done = db.faucet("init", "-c", str(file), string=None, check=0)
    assert done.stdout.count("the tables are there") == 2
    third.faucet("check", "--strict", check=0)


@pytest.mark.parametrize("string, status", [
    ("postgresql://u:hunter2@hunter2@localhost/x", 78), ("host=x password=hunter2 hunter2", 78), ("hunter2", 78),
    ("postgresql://u:hunter2@127.0.0.1:PORT/x", 1), ("host=/nowhere password=hunter2 dbname=x", 1),
])
def test_no_password_comes_out(db, string, status):
    done = db.faucet("init", string=string.replace("PORT", str(closed_port())), check=status)
    assert "hunter2" not in done.stdout + done.stderr and len(done.stderr) > 20


def test_wrong_usage(db, tmp_path):
    for words in ([], ["initt"], ["init", "check"], ["init", "--partitions", "--timescale"], ["check", "--roles"], ["init", "--keep", "1 day"],
                  ["init", "--timescale", "--keep"], ["init", "extra"], ["check", "--no-such-flag", "1"]):
        assert db.faucet(*words).returncode == 64, words
    assert "no connection string" in db.faucet("check", string=None, cwd=tmp_path, check=64).stderr
    assert "--partitions" in db.faucet("--help", check=0).stdout
    db.faucet("init", "--timescale", "--keep", "a while", check=1)
    (tmp_path / "bad.yaml").write_text("telemetrie: {}\n")
    assert "bad.yaml:1:1" in db.faucet("init", "-c", str(tmp_path / "bad.yaml"), check=78).stderr


def test_tls_verified_in_full(tmp_path):
    with Postgres(tls=True, hba=["hostnossl all all all reject"]) as pg:
        database = Database(pg)
        string = pg.string(database.name, host="localhost", sslmode="verify-full", sslrootcert=pg.ca)
        database.faucet("init", string=string, check=0)
        plain = pg.string(database.name, host="localhost", sslmode="disable")
        done = database.faucet("check", string=plain, check=1)
        assert "pg_hba.conf" in done.stderr
        database.faucet("check", "--telemetry-sslmode", "verify-full", "--telemetry-sslcert", pg.ca, string=plain, check=0)  # overrides
        wrong = pg.string(database.name, host="127.0.0.2", hostaddr="127.0.0.1", sslmode="verify-full", sslrootcert=pg.ca)
        assert "127.0.0.2" in database.faucet("check", string=wrong, check=1).stderr
