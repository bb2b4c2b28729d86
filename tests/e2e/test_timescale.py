"""The option of TimescaleDB: on plain PostgreSQL; and where a server has it, of which Debian has no package, under both of its licences."""
import datetime as dt
import glob
import os

import pytest

import postgres
from database import SQL, TABLES, Database, aggregates, db, request, server  # noqa: F401
from postgres import Postgres


@pytest.mark.parametrize("path", [p for p in SQL if "timescale" in p], ids=os.path.basename)
def test_its_files_on_plain_postgres(db, server, path):
    """psql gets through them; they say why they did nothing."""
    db.init()
    first = db.shape()
    done = server.psql("-f", path, dbname=db.name)
    assert "WARNING:  faucet: TimescaleDB is not in this database" in done.stderr and db.shape() == first


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
