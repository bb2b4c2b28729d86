"""Events that are dropped: whatever the reason, faucet_gaps tells how many, faucet_completeness counts them, `faucet status` adds up."""
import glob
import json
import os
import re
import uuid
from urllib.parse import quote

import pytest

from faucet import backend
from postgres import Postgres
from telemetry import Rows, accounts, destinations, full_database, seed_database, settings, wait_stored
from test_telemetry_faults import again, tiny
from wire import until

REASONS = ("full", "bad_row", "corrupt", "no_table", "no_space")
ROWS = "faucet_http_events"


@pytest.fixture
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture
def rows(pg):
    return Rows(pg, full_database(pg, "g" + uuid.uuid4().hex[:12]))


def dropped(f, table=ROWS):
    """By reason, over all destinations."""
    total = dict.fromkeys(REASONS, 0)
    for name, a in accounts(f):
        if name == table:
            for reason, n in a["dropped"].items():
                total[reason] += n
    return total


def told(rows, table=ROWS):
    """What the rows of faucet_gaps say is missing, by reason."""
    total = dict.fromkeys(REASONS, 0)
    for row in rows.all("faucet_gaps", "table_name = %s", (table,)):
        assert row["began"] <= row["ended"] <= row["time"] and row["dropped"] > 0 and row["instance"]
        total[row["reason"]] += row["dropped"]
    return total


def until_told(f, rows, table=ROWS):
    """Every event that was dropped is told of; what was dropped, by reason."""
    until(lambda: told(rows, table) == dropped(f, table), 30, "faucet_gaps tells of all: %s, %s" % (told(rows, table), dropped(f, table)), step=0.05)
    return dropped(f, table)


def in_status(f):
    """The accounts as `faucet status` shows them to people: {table: (recovered, received, stored, queued, {reason: n})}; each adds up."""
    found, lines = {}, f.tool("status").stdout.splitlines()
    head = next(line for line in lines if line.split()[:2] == ["TABLE", "RECOVERED"])
    assert head.split() == ["TABLE", "RECOVERED", "RECEIVED", "STORED", "QUEUED", "DROPPED"]
    for line in lines[lines.index(head) + 1:]:
        match = re.fullmatch(r"  (faucet_\w+) +(\d+) +(\d+) +(\d+) +(\d+)  (.+)", line)
        if match is None:
            break
        table, *numbers, text = match.groups()
        recovered, received, stored, queued = map(int, numbers)
        reasons = {} if text == "-" else {reason: int(n) for n, reason in (part.split(" ") for part in text.split(", "))}
        assert set(reasons) <= set(REASONS) and recovered + received == stored + queued + sum(reasons.values()), line
        found[table] = (recovered, received, stored, queued, reasons)
    assert set(found) == {"faucet_%s" % t for t in ("http_events", "log_events", "worker_events", "session_events", "config_events", "gaps")}
    return found


def completeness(rows, table=ROWS):
    found = rows.pg.query("SELECT sum(stored)::INT, sum(dropped)::INT, string_agg(DISTINCT reasons, '; '), min(complete_percent)::FLOAT "
                          "FROM faucet_completeness WHERE table_name = %s", (table,), dbname=rows.name)
    return found[0]


def fill(f, more=0):
    """Requests until the queue is full, and then some; how many in all."""
    client, asked, after = f.client(), 0, 0
    while after <= more:
        client.send("GET /a/x HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\n\r\n" % ("u" * 4000))
        assert client.read_response().status == 200
        asked += 1
        if asked % 50 == 0 or after:
            after += dropped(f)["full"] > 0 if not after else 1
        assert asked < 2000
    return asked


def test_a_full_queue(pg, rows, faucet):
    pg.stop()
    f = faucet({"telemetry": settings(pg, rows.name, queue_size="1MiB"), "apps": {"a": tiny()}})
    asked = fill(f, more=100)
    f.log_contains(r"WARN .*telemetry to \S*/%s as postgres: the queue is full with 1MiB: .*telemetry\.queue_size" % rows.name)
    lost = dropped(f)["full"]
    recovered, received, stored, queued, reasons = in_status(f)[ROWS]
    assert (recovered, stored, reasons) == (0, 0, {"full": lost}) and received == queued + lost == asked and lost > 100
    assert "takes events again" not in f.log()
    pg.start()
    assert wait_stored(f)["stored"] == asked - lost
    assert until_told(f, rows) == {**dict.fromkeys(REASONS, 0), "full": lost}  # without any event that would push it
    stored, missing, reasons, percent = completeness(rows)
    assert (stored, missing, reasons) == (asked - lost, lost, "full") and percent < 100
    gap = rows.all("faucet_gaps")
    times = rows.pg.query("SELECT min(time), max(time) FROM faucet_http_events", dbname=rows.name)[0]
    assert len(gap) == 1 and times[1] <= gap[0]["ended"] and gap[0]["namespace"] == "faucet"
    f.log_contains(r"the queue takes events again; %d were dropped since \S+, see faucet_gaps" % lost)
    assert in_status(f)[ROWS] == (0, asked, asked - lost, 0, {"full": lost})
    assert in_status(f)["faucet_gaps"] == (0, 1, 1, 0, {})
    assert len(re.findall("the queue is full", f.log())) == 1
    rows.of(f.get("/a/x"))


def test_a_larger_queue_by_reload(pg, rows, faucet):
    pg.stop()
    config = {"telemetry": settings(pg, rows.name, queue_size="1MiB"), "apps": {"a": tiny()}}
    f = faucet(config)
    fill(f)
    lost = dropped(f)["full"]
    f.reload({**config, "telemetry": settings(pg, rows.name, queue_size="4MiB")})
    f.log_contains("takes events again; %d " % lost)
    assert in_status(f)["faucet_gaps"][3] == 1  # queued
    for _ in range(20):
        f.get("/a/x")
    assert dropped(f)["full"] == lost
    pg.start()
    wait_stored(f)
    assert until_told(f, rows)["full"] == lost


def test_killed_while_the_queue_is_full(pg, rows, faucet):
    pg.stop()
    f = faucet({"telemetry": settings(pg, rows.name, queue_size="1MiB"), "apps": {"a": tiny()}})
    fill(f, more=20)
    lost = dropped(f)["full"]
    f.kill9()
    pg.start()
    again(f)
    wait_stored(f)
    assert until_told(f, rows)["full"] >= lost > 20
    in_status(f)


def test_rows_that_the_database_refuses(pg, rows, faucet):
    pg.query("ALTER TABLE faucet_http_events ADD CHECK (path <> '/bad')", dbname=rows.name)
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
    f.get("/a/bad")
    row = rows.wait(1, "faucet_gaps")[0]
    assert (row["reason"], row["table_name"], row["dropped"]) == ("bad_row", ROWS, 1)
    assert row["began"] == row["ended"] < row["time"]  # when the request began, not when it was refused
    for _ in range(9):
        f.get("/a/bad")
        rows.of(f.get("/a/good"))
    until(lambda: dropped(f)["bad_row"] == 10, 20, "ten rows are set aside")
    assert told(rows)["bad_row"] == 1  # not a row each
    f.stop()
    assert told(rows)["bad_row"] == 10  # but no later than the end
    assert completeness(rows)[:3] == (9, 10, "bad_row")


def test_a_queue_that_was_damaged(pg, rows, faucet):
    pg.stop()
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
    for _ in range(20):
        f.get("/a/x")
    directory = destinations(f)[0]["directory"]
    f.stop()
    for path in glob.glob(os.path.join(directory, "*.segment")):
        with open(path, "r+b") as segment:
            bytes_ = segment.read()
            for match in re.finditer(rb"Worker::a::1", bytes_):
                segment.seek(match.start())
                segment.write(b"Wreck")
    pg.start()
    again(f)
    wait_stored(f)
    lost = until_told(f, rows)["corrupt"]
    assert lost == 20 and completeness(rows)[1:3] == (20, "corrupt")
    until_told(f, rows, "faucet_worker_events")
    in_status(f)


def cry(f, n=1):
    for _ in range(n):
        event = {"level": "Info", "message": "m", "event_id": str(uuid.uuid4())}
        assert f.get("/a/print?stderr=1&text=" + quote("{{ faucet_event }}: " + json.dumps(event))).status == 200


def test_a_table_that_is_missing(pg, rows, faucet):
    pg.query("DROP TABLE faucet_log_events CASCADE", dbname=rows.name)
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": backend()}})
    log = "faucet_log_events"
    for n in range(1, 6):
        cry(f)
        until(lambda: dropped(f, log)["no_table"] == n, 20, "%d are dropped" % n)
    rows.wait(1, "faucet_gaps", "reason = 'no_table'")
    assert len(rows.all("faucet_gaps")) == 1 and told(rows, log)["no_table"] < 5
    assert f.tool("db", "init").returncode == 0
    pg.terminate_backends("faucet")  # or a minute passes before faucet looks again
    cry(f)
    rows.wait(1, log)
    assert until_told(f, rows, log) == {**dict.fromkeys(REASONS, 0), "no_table": 5}
    assert completeness(rows, log)[:3] == (1, 5, "no_table")
    assert len(rows.all("faucet_gaps")) == 2


def test_gaps_wait_for_their_table(pg, faucet):
    rows = Rows(pg, seed_database(pg, "bare"))
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
    rows.of(f.get("/a/x"))
    until(lambda: dropped(f, "faucet_worker_events")["no_table"] > 0 and dropped(f, "faucet_config_events")["no_table"] > 0, 20, "dropped")
    until(lambda: in_status(f)["faucet_gaps"][3] == 0, 20, "none is queued: the queue does not fill with what nobody takes")
    f.stop()
    assert f.tool("db", "init").returncode == 0
    again(f)
    for table in ("faucet_worker_events", "faucet_config_events"):
        assert until_told(f, rows, table)["no_table"] > 0
    in_status(f)


def test_status_adds_up_without_any_trouble(pg, rows, faucet):
    f = faucet({"telemetry": settings(pg, rows.name), "apps": {"a": tiny()}})
    for _ in range(7):
        f.get("/a/x")
    wait_stored(f)
    assert in_status(f)[ROWS] == (0, 7, 7, 0, {})
    assert in_status(f)["faucet_gaps"] == (0, 0, 0, 0, {})
    assert re.search(r"telemetry to \S+/%s as postgres: reachable, \d+ connections; 0\.0 MiB queued on disk" % rows.name, f.tool("status").stdout)
