"""sql/ and `faucet db` against a real PostgreSQL: applied twice, onto the seed's table, with partitions and roles."""
import datetime as dt
import os
import re
import shlex
import subprocess

import psycopg2
import pytest

from database import NOON, SQL, TABLES, Database, db, request, server  # noqa: F401
from faucet import BIN
from postgres import Postgres, closed_port

SEED = """CREATE TABLE faucet_http_events (
    request_uuid UUID, namespace TEXT, version TEXT, target TEXT, worker_route TEXT, worker_id INT, ip_addr INET, method TEXT, path TEXT,
    query_params TEXT, http_version TEXT, status SMALLINT, user_agent TEXT, elapsed BIGINT, time TIMESTAMPTZ NOT NULL);"""


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


STAND_IN = """SET allow_system_table_mods = on;
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
    VALUES (999999, 'timescaledb', 10, 'public'::regnamespace, false, '2');
CREATE SCHEMA timescaledb_information;
CREATE TABLE timescaledb_information.hypertables (hypertable_schema NAME, hypertable_name NAME, compression_enabled BOOL);
CREATE TABLE calls (n SERIAL, said TEXT);
CREATE FUNCTION by_range(c NAME) RETURNS TEXT LANGUAGE SQL RETURN 'by_range:' || c;
CREATE FUNCTION create_hypertable(relation REGCLASS, dimension TEXT, create_default_indexes BOOL, migrate_data BOOL) RETURNS VOID LANGUAGE SQL AS $$
    INSERT INTO timescaledb_information.hypertables SELECT 'public', relation::text, false WHERE dimension IN ('time', 'by_range:time');
    INSERT INTO calls (said) VALUES (format('%s %s %s %s', relation, dimension, create_default_indexes, migrate_data)); $$;
"""


@pytest.mark.parametrize("before_2_13", [False, True])
def test_timescale_by_a_stand_in(db, server, before_2_13):
    """TimescaleDB could not be run here. A server that only looks like it, under its Apache licence, sees which calls are made of it and how
    often; what plain PostgreSQL knows no word of (compression, continuous aggregates) it cannot show beyond the grammar."""
    server.psql("-c", STAND_IN, dbname=db.name)
    if before_2_13:
        db.query("DROP FUNCTION by_range")
    done = db.init("--timescale")
    assert "Apache licence" in done.stderr
    said = [c for c, in db.query("SELECT said FROM calls ORDER BY n")]
    assert said == ["%s %s f t" % (t, "time" if before_2_13 else "by_range:time") for t in TABLES]
    db.init("--timescale")
    assert len(said) == len(db.query("SELECT said FROM calls"))
    db.query("ALTER DATABASE \"%s\" SET timescaledb.license = 'timescale'" % db.name)
    assert 'unrecognized parameter namespace "timescaledb"' in db.faucet("init", "--timescale", check=1).stderr


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


def findings(out):
    """What `db check` printed: (level, what, mend) each, mend "" where it names none."""
    return re.findall(r"^  (note|WRONG) +(.*)(?:\n +mend: (.*))?", out, re.M)


def obey(db, mend, string):
    """Does what a mend says, to the letter: SQL by a superuser, faucet's own commands by a shell."""
    for step in mend.split("; then "):
        if step.startswith("faucet "):
            words = shlex.split(step.partition(" — ")[0])
            assert words[:2] == ["faucet", "db"], step
            db.faucet(*words[2:], string=None if "--telemetry-postgres-string" in words else string, check=0)
        else:
            db.server.psql("-c", step.partition(" — ")[0], dbname=db.name)


def mend_all(db, string=True):
    """Each thing that is found goes by what is named against it; then there is none left."""
    for _ in range(60):
        found = findings(db.faucet("check", string=string).stdout)
        if not found:
            db.faucet("check", "--strict", string=string, check=0)
            return
        level, what, mend = found[0]
        assert mend, what
        obey(db, mend, string)
        left = db.faucet("check", string=string).stdout
        assert what not in [f[1] for f in findings(left)], "%s did not mend: %s" % (mend, what)
    raise AssertionError(left)


def columns(db):
    """(table, column, type) of all of ours."""
    return db.query("SELECT relname, attname, format_type(atttypid, NULL) FROM pg_class c JOIN pg_attribute ON attrelid = c.oid "
                    "WHERE relname = ANY (%s) AND attnum > 0 AND NOT attisdropped ORDER BY 1, attnum", (TABLES,))


def test_mending_missing_columns(db):
    """Every column of every table, a few at a time: those that db init adds, and those that it does not."""
    db.init()
    before = sorted(columns(db))
    for i in range(4):
        for table, name, _ in before[i::4]:
            db.query("ALTER TABLE %s DROP COLUMN %s CASCADE" % (table, name))
        mend_all(db)
    assert sorted(columns(db)) == before


WRITER_TROUBLES = {
    "table missing": "DROP TABLE faucet_http_events CASCADE",
    "optional table missing": "DROP TABLE faucet_gaps CASCADE",
    "views missing": "DROP VIEW faucet_requests CASCADE",
    "column missing": "ALTER TABLE faucet_http_events DROP COLUMN elapsed CASCADE",
    "further column missing": "ALTER TABLE faucet_http_events DROP COLUMN trace_id CASCADE",
    "no INSERT": "REVOKE INSERT ON faucet_http_events, faucet_log_events FROM faucet_writer",
    "no SELECT": "REVOKE ALL ON faucet_http_events, faucet_gaps FROM faucet_writer",
    "no USAGE of the schema": "REVOKE USAGE ON SCHEMA public FROM PUBLIC, faucet_writer",
    "row-level security": "ALTER TABLE faucet_log_events ENABLE ROW LEVEL SECURITY",
    "not null": "ALTER TABLE faucet_http_events ALTER COLUMN version SET NOT NULL",
    "a column of somebody else": 'ALTER TABLE faucet_http_events ADD COLUMN "Tenant id" INT NOT NULL',
    "a sequence": "ALTER TABLE faucet_http_events ADD COLUMN id BIGSERIAL",
}


@pytest.mark.parametrize("trouble", WRITER_TROUBLES)
def test_mending_for_one_who_only_writes(db, server, trouble):
    """faucet's own role may do nothing of it itself: what is named must work all the same."""
    writer = 'w"%s' % db.name  # names are quoted
    db.init("--roles")
    db.query('CREATE ROLE "%s" LOGIN IN ROLE faucet_writer' % writer.replace('"', '""'))
    string = server.string(db.name, writer)
    db.faucet("check", "--strict", string=string, check=0)
    db.query(WRITER_TROUBLES[trouble])
    assert findings(db.faucet("check", string=string).stdout), "not found"
    mend_all(db, string)
    for table in TABLES:
        db.query("INSERT INTO %s (time, version) VALUES (now(), 'x')" % table, user=writer)


@pytest.mark.parametrize("table, column, type_", [
    ("faucet_http_events", "elapsed", "INT"), ("faucet_http_events", "status", "TEXT"), ("faucet_http_events", "time", "TIMESTAMP"),
    ("faucet_http_events", "ip_addr", "TEXT"), ("faucet_http_events", "request_uuid", "TEXT"), ("faucet_log_events", "body", "JSON"),
    ("faucet_log_events", "body", "TEXT"), ("faucet_session_events", "seconds", "NUMERIC"), ("faucet_gaps", "dropped", "REAL"),
    ("faucet_worker_events", "worker_id", "BIGINT"), ("faucet_config_events", "actions", "JSON"), ("faucet_config_events", "detail", "VARCHAR(20)"),
])
def test_mending_a_type(db, table, column, type_):
    """As a table is that somebody made with other types; also where views stand on the column, ours and another one."""
    db.init()
    right = columns(db)
    db.query("DROP VIEW faucet_requests, faucet_worker_lives, faucet_sessions, faucet_completeness CASCADE")
    db.query("DROP INDEX IF EXISTS faucet_http_events_failed, faucet_log_events_body_request")
    db.query("ALTER TABLE %s ALTER COLUMN %s TYPE %s USING NULL" % (table, column, type_) if column != "time" else
             "ALTER TABLE %s ALTER COLUMN %s TYPE %s" % (table, column, type_))
    assert "%s.%s is " % (table, column) in db.faucet("check", check=0).stdout
    if column == "elapsed":
        db.init()
        db.query("CREATE VIEW own AS SELECT elapsed FROM faucet_http_events")
    mend_all(db)
    assert columns(db) == right


def test_mending_a_time_without_a_zone(db):
    """faucet's rows are UTC in it, whatever the zone of the one who mends."""
    db.query("ALTER DATABASE \"%s\" SET timezone = 'America/Bogota'" % db.name)
    db.query(SEED.replace("TIMESTAMPTZ", "TIMESTAMP"))
    db.query("INSERT INTO faucet_http_events (time) VALUES ('2026-03-01 12:00:00+00')")
    mend_all(db)
    assert db.query("SELECT time FROM faucet_http_events") == [(NOON,)]


def own_schema(db, server, role="faucet_writer"):
    """Tables in the schema "Tele metry", which belong to one who has no other right; a writer; its connection string."""
    owner, writer = "o_" + db.name, "w_" + db.name
    db.query('CREATE ROLE "%s" LOGIN; CREATE ROLE "%s" LOGIN; CREATE SCHEMA "Tele metry" AUTHORIZATION "%s"' % (owner, writer, owner))
    for name in (owner, writer):
        db.query('ALTER ROLE "%s" IN DATABASE "%s" SET search_path = "$user", "Tele metry"' % (name, db.name))
    db.faucet("init", string=server.string(db.name, owner), check=0)
    return owner, writer, server.string(db.name, writer)


def test_mending_in_another_schema(db, server):
    owner, writer, string = own_schema(db, server)
    out = db.faucet("check", string=string, check=1).stdout
    assert len(findings(out)) == 1 and 'may not use the schema "Tele metry", where faucet_http_events is' in out  # and not six times, nor "missing"
    mend_all(db, string)
    db.query('DROP VIEW "Tele metry".faucet_requests CASCADE; ALTER TABLE "Tele metry".faucet_http_events ALTER COLUMN elapsed TYPE INT')
    db.faucet("init", string=server.string(db.name, owner), check=0)
    db.query('ALTER TABLE "Tele metry".faucet_gaps DROP COLUMN reason CASCADE; DROP TABLE "Tele metry".faucet_log_events CASCADE;'
             'REVOKE INSERT ON "Tele metry".faucet_http_events FROM "%s"' % writer)
    mend_all(db, string)
    db.query('ALTER ROLE "%s" IN DATABASE "%s" RESET search_path; REVOKE USAGE ON SCHEMA "Tele metry" FROM "%s"' % (writer, db.name, writer))
    mend_all(db, string)
    db.query("INSERT INTO faucet_http_events (time) VALUES (now())", user=writer)
    assert db.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_mending_where_nobody_may_make_tables(db, server):
    owner, writer, string = own_schema(db, server)
    mend_all(db, string)
    db.query('ALTER SCHEMA "Tele metry" OWNER TO postgres; GRANT USAGE ON SCHEMA "Tele metry" TO "%s"; DROP TABLE "Tele metry".faucet_gaps CASCADE' % owner)
    out = db.faucet("check", string=string).stdout
    assert 'GRANT CREATE ON SCHEMA "Tele metry" TO "%s"; then faucet db init --tele' % owner in out, out
    mend_all(db, string)


def test_mending_an_empty_database(db, server):
    db.query('CREATE ROLE "w_%s" LOGIN' % db.name)
    mend_all(db, server.string(db.name, "w_" + db.name))


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
