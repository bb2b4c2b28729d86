"""What is said of tables, views and columns: in columns.def, in COMMENTs, in both documents; and the documents' questions, whose answers
are compared."""
import datetime as dt
import os
import re
import uuid

import pytest

from database import TABLES, Database, aggregates, db, filled, read, request, server  # noqa: F401
from faucet import ROOT

DOCS = [os.path.join(ROOT, path) for path in ("docs/telemetry.md", "docs/es/telemetria.md")]
KINDS = dict(zip(["HTTP", "LOG", "WORKER", "SESSION", "CONFIG", "GAP"], TABLES))
TYPES = {"uuid": "UUID", "text": "TEXT", "integer": "INT", "bigint": "BIGINT", "smallint": "SMALLINT", "inet": "INET", "jsonb": "JSONB",
         "timestamp with time zone": "TIMESTAMPTZ", "double precision": "DOUBLE PRECISION"}
SHORT = {"INT4": "INT", "INT8": "BIGINT", "INT2": "SMALLINT", "FLOAT8": "DOUBLE PRECISION"}


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
            words = re.findall(r"\b[a-z]+(?:_[a-z]+)+\b|(?<!/)\btelemetry\.\w+|\bNULL\b|Worker::<app>::<id>|\b\d\d\d\b", meaning)
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
