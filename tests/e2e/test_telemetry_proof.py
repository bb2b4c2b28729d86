"""The proof that telemetry loses nothing a client saw finished and stores nothing twice.

200,000 requests through a command app (its rows go by pgbouncer in transaction mode), two upstream apps and nobody's path (theirs go straight), while
versions and namespaces change every second by reload, and in turn, in random order: PostgreSQL is killed with -9 and started again,
pg_terminate_backend fires at random, COMMIT is cancelled, faucet is killed with -9 and started again (by turns at random, in the middle of a reload, and in the
instant after the kernel took a reply from it), pgbouncer is paused (by turns with PAUSE and with SIGSTOP). Batches in doubt are not left to
chance: by turns COMMIT is made to hang before a fault *after* it took effect (it waits for a standby that does not exist) and *before*
(a deferred trigger waits for a lock), so that the answer to the doubt is yes, and no.

Some clients do not read for a while: their rows are finished long after others that came later were stored. Some do not send what they promised,
until faucet answers 408 itself, after a reload or two.

Which version is right is known in two ways: the command app's cookie is renamed by the same reload, so each of its replies names the
snapshot that it began with; for the others the time when the request began leaves one version, or the two around a reload.

E2E_SEED=N repeats a choice of faults, E2E_REQUESTS=N another number of requests. The counts are shown in the summary of the run.
"""
import collections
import json
import os
import random
import subprocess
import threading
import time

import pytest

from faucet import APPS, HERE, PYTHON, SLOW, free_port
from pgbouncer import Bouncer
from postgres import Postgres
from wire import until

REQUESTS = int(os.environ.get("E2E_REQUESTS", "200000" if SLOW == 1 else "30000"))
SEED = int(os.environ.get("E2E_SEED") or int.from_bytes(os.urandom(4), "big"))
DATABASE = "proof"
HOLD = 4711  # the advisory lock that COMMIT waits for
HOLDING = """CREATE FUNCTION proof_hold() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_advisory_xact_lock_shared(%d); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER proof_hold AFTER INSERT ON faucet_http_events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (random() < 0.02) EXECUTE FUNCTION proof_hold()""" % HOLD


def broken_accounts(status):
    """Tables whose account does not add up; [] as it must be at any moment."""
    wrong = []
    for d in status["telemetry"]["destinations"]:
        for table, a in d["tables"].items():
            if a["recovered"] + a["received"] != a["stored"] + a["queued"] + sum(a["dropped"].values()):
                wrong.append((d["destination"], table, a))
    return wrong


def total(status, *names, table="faucet_http_events"):
    """Of all destinations: dropped is the sum of its reasons."""
    found = []
    for name in names:
        values = [d["tables"][table][name] for d in status["telemetry"]["destinations"] if table in d["tables"]]
        found.append(sum(sum(v.values()) if isinstance(v, dict) else v for v in values))
    return found[0] if len(found) == 1 else found


class Versions:
    """Which namespace and version hold for an app, and since when: from the moment a reload was asked for, at most, to its end, at least."""

    def __init__(self):
        self.asked, self.done = [0.0], [0.0]

    def settings(self, k):
        """telemetry: of the daemon, of a, b and c, and the name of a's cookie."""
        return {"faucet": ("daemon%d" % (k % 3), "d%d" % k), "a": ("alpha", "a%d" % k), "b": ("beta%d" % (k % 2), "b%d" % k), "c": ("gamma", "c%d" % k),
                "cookie": "V%d" % k}

    def between(self, sent, received):
        """Numbers of those that a request may have begun with. A list two long at most, but for a very slow one."""
        last = len(self.asked) - 1
        return [k for k in range(last, -1, -1) if self.asked[k] <= received and (k == last or self.done[k + 1] >= sent)]


class Scene:
    """faucet, PostgreSQL, pgbouncer and the load; the reloads in a thread, everything that must not happen during one under its lock."""

    def __init__(self, f, pg, bouncer, rng, ports, kill_file):
        self.f, self.pg, self.bouncer, self.rng, self.ports, self.kill_file = f, pg, bouncer, rng, ports, kill_file
        self.holder = None
        self.versions, self.lock, self.over, self.failed = Versions(), threading.Lock(), threading.Event(), []
        self.faults, self.checked = collections.Counter(), 0
        self.thread = threading.Thread(target=self.reloads, daemon=True)

    def config(self, k):
        v = self.versions.settings(k)
        common = {"queue": {"size": 10000}}
        return {
            "log": {"level": "warn"},
            "timeouts": {"body": "1500ms"},
            "telemetry": {"postgres_string": self.pg.string(DATABASE), "namespace": v["faucet"][0], "version": v["faucet"][1], "pool_size": 1 + k % 3,
                          "flush_interval": "200ms"},
            "apps": {
                "a": {"command": [PYTHON, "-I", "-S", os.path.join(APPS, "quick.py"), "{socket}", "a"], "workers": 2, "strategy": "cookie-hash",
                      "cookie": {"name": v["cookie"]}, **common,
                      "telemetry": {"postgres_string": self.bouncer.string(DATABASE), "namespace": v["a"][0], "version": v["a"][1]}},
                "b": {"upstream": "127.0.0.1:%d" % self.ports[0], **common, "telemetry": {"namespace": v["b"][0], "version": v["b"][1]}},
                "c": {"upstream": "127.0.0.1:%d" % self.ports[1], **common, "concurrency": 8, "buffer": "on",
                      "telemetry": {"namespace": v["c"][0], "version": v["c"][1]}},
            }}

    # -- reloads
    def reload(self, interrupt=None):
        """Under the lock. interrupt: does something in the middle, and leaves a daemon that has the new file."""
        v, k = self.versions, len(self.versions.asked)
        config = self.config(k)
        v.asked.append(time.monotonic())
        v.done.append(float("inf"))
        if interrupt:
            self.f.replace(config)
            self.f.hup()
            interrupt()
        else:
            self.f.reload(config)
        v.done[k] = time.monotonic()

    def reloads(self):
        while not self.over.wait(1.0):
            try:
                with self.lock:
                    self.reload()
            except Exception as e:
                self.failed.append(repr(e))
                return

    # -- commits that hang: done but not answered, or asked for but not done
    def hung(self):
        self.pg.query("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        self.pg.query("SELECT pg_reload_conf()")
        try:
            until(lambda: self.pg.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"), 3, "a COMMIT hangs")
            self.faults["commit_hung"] += 1
        except AssertionError:
            pass

    def held(self):
        self.holder = self.pg.connect(DATABASE, application_name="holder")
        self.holder.cursor().execute("SELECT pg_advisory_lock(%d)" % HOLD)
        try:
            until(lambda: self.pg.query("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"), 3, "a COMMIT is held up")
            self.faults["commit_held"] += 1
        except AssertionError:
            pass

    def release(self):
        if self.holder:
            self.holder.close()
            self.holder = None
        else:
            self.pg.query("ALTER SYSTEM RESET synchronous_standby_names")
            self.pg.query("SELECT pg_reload_conf()")

    # -- faults
    def fault_postgres_killed(self, n):
        self.pg.kill9()
        time.sleep(self.rng.uniform(0.1, 0.8))
        self.pg.start()

    def fault_backends_terminated(self, n):
        for _ in range(self.rng.randrange(10, 20)):
            self.faults["backends"] += self.pg.terminate_backends(spare="holder")
            time.sleep(self.rng.uniform(0.01, 0.15))

    def fault_commits_cancelled(self, n):
        """Refused, that is: the connection stays, and nobody is in doubt."""
        self.held()
        self.faults["cancelled"] += len(self.pg.query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'advisory'"))
        self.release()

    def fault_faucet_killed(self, n):
        def again():
            if n % 3 == 2:
                self.arm(b"1")
                self.f.process.wait(10)
                self.arm(b"0")
            else:
                time.sleep(self.rng.uniform(0, 0.02) if n % 3 else 0)
                self.f.kill9()
            self.f.expected_exit = 0
            self.f.start(wait=False)
        with self.lock:
            self.reload(again) if n % 3 == 1 else again()
        self.f.wait_ready("a", "/a/q?n=ready")

    def arm(self, byte):
        with open(self.kill_file, "r+b") as f:
            f.write(byte)

    def fault_pgbouncer_paused(self, n):
        stop, go = ((self.bouncer.freeze, self.bouncer.thaw), (self.bouncer.pause, self.bouncer.resume))[n % 2]
        stop()
        time.sleep(self.rng.uniform(0.5, 1.5))
        go()

    def play(self, load, seconds):
        """Faults in turn until the load has what it wants; each of them in each way, at least. After each the account must add up."""
        began, n = time.monotonic(), 0
        names = sorted(name for name in dir(self) if name.startswith("fault_"))
        while n < 3 or (not load.reached and time.monotonic() < began + seconds):
            for i in self.rng.sample(range(len(names)), len(names)):
                name, before = names[i], (self.hung, self.held, None)[(i + n) % 3]
                if name in ("fault_pgbouncer_paused", "fault_commits_cancelled"):  # PAUSE waits for transactions to end; the other does it itself
                    before = None
                if before:
                    before()
                getattr(self, name)(n)
                if before:
                    self.release()
                self.faults[name[6:]] += 1
                self.check()
                time.sleep(self.rng.uniform(0.2, 0.6))
                assert not self.failed, self.failed
                assert load.process.poll() is None, "the load ended"
            n += 1

    def check(self):
        with self.lock:
            status = self.f.status()
        assert not broken_accounts(status), broken_accounts(status)
        assert total(status, "dropped") == 0, status["telemetry"]
        self.checked += 1
        return status

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(60)


class Load:
    """tests/e2e/load_proof.py in a process of its own."""

    def __init__(self, f, count, seed):
        self.out = os.path.join(f.dir, "replies")
        settings = {"port": f.port, "count": count, "seed": seed, "out": self.out}
        self.process = subprocess.Popen([PYTHON, os.path.join(HERE, "load_proof.py"), json.dumps(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        self.said, self.reached = [], False
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.reached |= line == "reached\n"
            self.said.append(line)

    def end(self):
        """Its report, and the replies it noted: (token, uuid, app, method, path, status, sent, received, cookie)."""
        self.process.stdin.close()
        self.process.wait(60 * SLOW)
        self.reader.join(10)
        with open(self.out) as lines:
            replies = [line.split() for line in lines]
        return json.loads(self.said[-1]), replies

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def compare(replies, rows, versions):
    """What is wrong, by kind: (count, first examples)."""
    wrong, exact = collections.defaultdict(list), 0
    for token, uuid, app, method, path, status, sent, received, cookie in replies:
        row = rows.get(uuid)
        if row is None:
            wrong["missing"].append((uuid, app, status, token, float(received)))
            continue
        namespace, version, target, row_status, row_method, row_path, query, error, elapsed = row
        worker = target != "faucet"
        told = (method, int(status), path if worker else "/%s%s" % (app, path), "n=" + token)
        if (row_method, row_status, row_path, query) != told and not (error == "daemon_died" and (row_method, row_path, query) == (told[0], *told[2:])):
            wrong["another request"].append((uuid, told, row))
        if status == "200" and (app == "none" or not target.startswith("Worker::%s::" % app)):
            wrong["another target"].append((uuid, app, row))
        if error != "daemon_died" and elapsed is None:
            wrong["not finished"].append((uuid, app, row))
        began_by = float(received) - (elapsed or 0) / 1000  # a request that waited began under what was valid before it did
        may = [int(cookie[1:])] if cookie[0] == "V" else versions.between(float(sent), began_by)
        exact += len(may) == 1
        if (namespace, version) not in [versions.settings(k)[app if worker else "faucet"] for k in may]:
            wrong["another version"].append((uuid, app, status, cookie, may, row))
    return {kind: (len(all_), all_[:5]) for kind, all_ in wrong.items()}, exact


@pytest.fixture
def quick_ports(tmp_path):
    """apps/quick.py on two ports, as b and as c."""
    ports = [free_port(), free_port()]
    processes = [subprocess.Popen([PYTHON, "-I", "-S", os.path.join(APPS, "quick.py"), str(port), name]) for port, name in zip(ports, "bc")]
    yield ports
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def kill_after_send(tmp_path):
    """The variables of a faucet that ends like that, and the file that arms it."""
    library, flag = str(tmp_path / "kill_after_send.so"), tmp_path / "armed"
    flag.write_bytes(b"0")
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, os.path.join(HERE, "kill_after_send.c")], check=True)
    return {"LD_PRELOAD": library, "KILL_AFTER_SEND": str(flag),
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}, str(flag)


def test_no_finished_request_is_lost_or_stored_twice(faucet, quick_ports, kill_after_send, record_property):
    record_property("seed", SEED)
    rng = random.Random(SEED)
    with Postgres(settings={"max_connections": "100"}) as pg, Bouncer(pg) as bouncer:
        pg.database(DATABASE)
        env, kill_file = kill_after_send
        f = faucet(start=False, env=env)
        scene = Scene(f, pg, bouncer, rng, quick_ports, kill_file)
        f.write(scene.config(0))
        done = f.tool("db", "init")
        assert done.returncode == 0, done.stdout + done.stderr
        pg.query(HOLDING, dbname=DATABASE)
        f.start()
        began = time.monotonic()
        try:
            with Load(f, REQUESTS, SEED) as load, scene:
                scene.play(load, 45 * SLOW)
                until(lambda: load.reached, 60 * SLOW, "the load has its %d replies" % REQUESTS)
                report, replies = load.end()
            assert not scene.failed, scene.failed
            loaded = time.monotonic()
            until(lambda: total(f.status(), "queued") == 0, 60 * SLOW, "everything is stored", step=0.2)
        except BaseException:
            print(json.dumps(f.status()["telemetry"], indent=1) if f.running else "faucet ended")
            raise
        drained = time.monotonic()
        status = scene.check()
        count, distinct = pg.query("SELECT count(*), count(DISTINCT request_uuid) FROM faucet_http_events", dbname=DATABASE)[0]
        rows = {r[0]: r[1:] for r in pg.query("SELECT request_uuid::text, namespace, version, target, status, method, path, query_params, error, elapsed "
                                              "FROM faucet_http_events", dbname=DATABASE)}
        died = sum(r[7] == "daemon_died" for r in rows.values())
        wrong, exact = compare(replies, rows, scene.versions)
        destinations = status["telemetry"]["destinations"]
        for name, value in (
                ("replies", "%d whole (%s), %d cut, %d clients left; %d connections refused" % (
                    report["whole"], ", ".join("%s × %s" % (n, s) for s, n in sorted(report["statuses"].items())), report["cut"], report["left"],
                    report["refused"])),
                ("rows", "%d, %d distinct, %d of requests under way when faucet died" % (count, distinct, died)),
                ("faults", ", ".join("%s %d" % item for item in sorted(scene.faults.items()))),
                ("reloads", "%d; the version is known exactly of %d replies" % (len(scene.versions.asked) - 1, exact)),
                ("account", "recovered %d + received %d = stored %d + queued %d + dropped %d; it added up %d times" % (
                    *total(status, "recovered", "received", "stored", "queued", "dropped"), scene.checked)),
                ("pool", "; ".join("%s: %d batches, %d reconnects, %d doubts since the last start" % (
                    d["destination"], d["batches"], d["reconnects"], d["doubts"]) for d in destinations)),
                ("seconds", "%.1f of load, %.1f to drain" % (loaded - began, drained - loaded))):
            record_property(name, value)
        assert f.stop() == 0  # while there is a database
        assert not report["wrong"] and not report["hanging"], report
        assert report["whole"] == len(replies) >= REQUESTS and len({r[1] for r in replies}) == len(replies)
        assert count == distinct, "%d rows are there twice" % (count - distinct)
        assert not wrong, wrong
        assert total(status, "stored") == count
        assert exact > 0.6 * len(replies) and report["statuses"].get("200", 0) > 0.8 * len(replies)
        assert set(scene.faults) >= {"postgres_killed", "backends_terminated", "faucet_killed", "pgbouncer_paused", "commit_hung", "commit_held",
                                     "commits_cancelled", "cancelled"}, scene.faults
