"""What telemetry costs: CPU per request on against off, memory while the database is down, rows a second when it is back.

Each against a PostgreSQL of its own, with the tables of `faucet db init`. The drain is timed by PostgreSQL itself, from the first commit to the
last (track_commit_timestamp), with no HTTP load; what it is held against is psql's \\copy of the same rows, in binary form, into an equal empty table.

The price of a request is judged at a steady rate, the same with telemetry as without, that the database keeps up with: here it shares a core with
load generator and backend, where it would have a machine of its own. At full load it falls behind, the runs have different rates, and a request
costs more also because less of them come at once; that figure is printed beside it.
"""
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

from measure_cpu import wrk  # noqa: E402
from postgres import Postgres  # noqa: E402
from servers import Servers, cpu_seconds  # noqa: E402
from table import figure, table  # noqa: E402

TABLE = "faucet_http_events"
SETTINGS = {"track_commit_timestamp": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
CONNECTIONS = 64
STEADY_CONNECTIONS, STEADY_PAUSE = 512, (5, 25)  # ms between a reply and the next request: some 32,000 requests a second


class Daemon:
    def __init__(self, s, name, backend, more="", core=None):
        self.s, self.conf = s, s.dir / f"{name}.yaml"
        self.process, self.port = s.faucet(name, f"  b: {{ upstream: '127.0.0.1:{backend}', route: / }}", core, ready="/64",
                                           more=f"control: unix:{s.dir}/{name}.sock\nstate_dir: {s.dir}/{name}.state\n{more}")

    def account(self):
        """Of the table, summed over destinations; dropped is one number."""
        out = subprocess.run([self.s.faucet_binary, "status", "--json", "-c", self.conf], capture_output=True, text=True, check=False).stdout
        tables = [d["tables"][TABLE] for d in json.loads(out)["telemetry"]["destinations"]]
        return {k: sum(sum(t[k].values()) if isinstance(t[k], dict) else t[k] for t in tables) for k in ("received", "stored", "queued", "dropped")}

    def await_stored(self, deadline=300):
        end = time.monotonic() + deadline
        while (a := self.account())["queued"]:
            if time.monotonic() > end:
                raise RuntimeError(f"still queued after {deadline} s: {a}")
            time.sleep(0.1)
        if a["dropped"]:
            raise RuntimeError(f"events were dropped: {a}")
        return a

    def rss_anon(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("no RssAnon")


def settings(pg, database, more=""):
    return f"telemetry: {{ postgres_string: '{pg.string(database)}', namespace: bench, version: '1.4.2'{more} }}"


def prepare(s, pg, name):
    """A database with the tables."""
    pg.database(name)
    subprocess.run([s.faucet_binary, "db", "init", "--telemetry-postgres-string", pg.string(name)], check=True, capture_output=True)
    return name


def compare(daemons, rounds, seconds, load, forget):
    """Loads both by turns: the median of on / off, and what it is made of as a table."""
    figures = {name: [] for name in daemons}
    for r in range(rounds):
        for name in (["off", "on"], ["on", "off"])[r % 2]:
            d = daemons[name]
            load(d.port, 1)
            d.await_stored()
            before, requests_before = cpu_seconds(d.process.pid), d.account()["received"]
            requests, rate, p99 = load(d.port, seconds)
            if name == "on":
                rows = d.await_stored()["received"] - requests_before  # sending what it gathered is part of the price
                if rows < requests:
                    raise RuntimeError(f"{requests} requests, {rows} rows")
            figures[name].append(((cpu_seconds(d.process.pid) - before) / requests * 1e6, rate, p99))
        forget()
    median = {n: [statistics.median(c) for c in zip(*f)] for n, f in figures.items()}
    ratios = sorted(on[0] / off[0] for on, off in zip(figures["on"], figures["off"]))
    table(["telemetry", "CPU µs/request", "requests/s", "p99 ms"], [[n, f"{m[0]:.1f}", f"{m[1]:.0f}", f"{m[2]:.2f}"] for n, m in median.items()])
    print("  on / off, round by round: " + ", ".join(f"{r:.3f}" for r in ratios))
    return statistics.median(ratios)


def measure_on_against_off(s, backend, quick):
    rounds, seconds = (2, 1) if quick else (7, 4)
    pace = s.dir / "pace.lua"
    pace.write_text("function delay() return math.random(%d, %d) end\n" % STEADY_PAUSE)
    with Postgres(settings=SETTINGS) as pg:
        os.sched_setaffinity(pg.pid, {1})  # with the backend and wrk; its children inherit it
        database = prepare(s, pg, "cpu")
        daemons = {"off": Daemon(s, "off", backend, core=0), "on": Daemon(s, "on", backend, settings(pg, database), core=0)}

        def forget():
            pg.query(f"TRUNCATE {TABLE}", dbname=database)
        print("  at a steady rate")
        steady = compare(daemons, rounds, seconds, lambda port, t: wrk(port, "/64", STEADY_CONNECTIONS, ["-s", str(pace)], t), forget)
        print("\n  at full load")
        full = compare(daemons, 2 if quick else 5, seconds, lambda port, t: wrk(port, "/64", CONNECTIONS, [], t), forget)
        print(f"  CPU per request with telemetry, × without, at full load: {full:.2f}\n")
        for d in daemons.values():
            s.stop(d.process)
    return figure("CPU per request with telemetry, × without, at a steady rate (median of rounds)", steady, 1.1)


class Highest:
    """The most anonymous memory that a process had while the block ran."""

    def __init__(self, daemon):
        self.daemon, self.most, self.over = daemon, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.over.wait(0.05):
            self.most = max(self.most, self.daemon.rss_anon())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.most = max(self.most, self.daemon.rss_anon())


def psql_copy(pg, database, rounds):
    """Seconds of each."""
    path, seconds = os.path.join(pg.dir, "rows"), []
    with open(path, "wb") as out:
        subprocess.run(["psql", "-X", "-q", "-c", f"COPY {TABLE} TO STDOUT (FORMAT binary)", pg.string(database)], stdout=out, check=True)
    for _ in range(rounds):
        pg.query(f"CREATE TABLE again (LIKE {TABLE} INCLUDING ALL)", dbname=database)
        began = time.perf_counter()
        pg.psql("-c", f"\\copy again FROM '{path}' (FORMAT binary)", dbname=database)
        seconds.append(time.perf_counter() - began)
        pg.query("DROP TABLE again", dbname=database)
    return seconds


def measure_outage(s, backend, quick):
    events = 50_000 if quick else 1_000_000
    with Postgres(settings=SETTINGS) as pg:
        database = prepare(s, pg, "outage")
        d = Daemon(s, "outage", backend, settings(pg, database, ", queue_size: 4GiB"))
        wrk(d.port, "/64", CONNECTIONS, [], 2)
        before = d.await_stored()["received"]
        pg.query(f"TRUNCATE {TABLE}", dbname=database)
        pg.query("CHECKPOINT")
        pg.stop()
        quiet = d.rss_anon()
        with Highest(d) as memory:
            while (came := d.account()["received"] - before) < events:
                wrk(d.port, "/64", CONNECTIONS, [], 1 if quick else 5)
        queued = d.account()["queued"]
        pg.start()
        d.await_stored()
        rows, first_batch, took = pg.query(
            f"SELECT count(*), count(*) FILTER (WHERE at = first), extract(epoch FROM max(at) - min(at))::float8 FROM (SELECT at, min(at) OVER () AS first "
            f"FROM (SELECT pg_xact_commit_timestamp(xmin) AS at FROM {TABLE}) t) t", dbname=database)[0]
        if rows != queued:
            raise RuntimeError(f"{queued} events were queued, {rows} rows are there")
        drained = (rows - first_batch) / took
        copied = rows / statistics.median(psql_copy(pg, database, 1 if quick else 3))
        table(["", "rows", "rows/s"], [["drained after the outage", rows, f"{drained:.0f}"], ["psql's binary COPY of them", rows, f"{copied:.0f}"]])
        s.stop(d.process)
    grown = (memory.most - quiet) / (1 << 20)
    reached = figure(f"RssAnon while the database was down, {came} events", grown, 10, " MiB more")
    return figure("psql's binary COPY, × the drain", copied / drained, 2.0) and reached


def measure(faucet, quick):
    with Servers(faucet) as s:
        backend = s.backend(core=1)
        reached = measure_on_against_off(s, backend, quick)
        print()
        return measure_outage(s, backend, quick) and reached
