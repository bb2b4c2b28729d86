"""What the tests of telemetry have in common: databases as people have them, rows that are awaited, and the accounting equation."""
import os

from faucet import ROOT
from wire import until

SEED = """CREATE TABLE faucet_http_events (request_uuid UUID, namespace TEXT, version TEXT, target TEXT, worker_route TEXT, worker_id INT,
    ip_addr INET, method TEXT, path TEXT, query_params TEXT, http_version TEXT, status SMALLINT, user_agent TEXT, elapsed BIGINT,
    time TIMESTAMPTZ NOT NULL)"""  # exactly as the seed document has it
SQL = os.path.join(ROOT, "sql")
FAST = {"flush_interval": "50ms"}


def full_database(pg, name):
    """A database with all tables, made by the files that `faucet db init` applies; its name."""
    pg.database(name)
    files = sorted(f for f in os.listdir(SQL) if f.endswith(".sql") and "option" not in f)
    for f in files:
        pg.psql("-f", os.path.join(SQL, f), dbname=name)
    return name


def seed_database(pg, name):
    pg.database(name)
    pg.query(SEED, dbname=name)
    return name


def settings(pg, name, **more):
    return {"postgres_string": pg.string(name), **FAST, **more}


class Rows:
    """Rows of one database, as dicts."""

    def __init__(self, pg, name):
        self.pg, self.name = pg, name

    def all(self, table="faucet_http_events", where="true", values=None):
        connection = self.pg.connect(self.name)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT * FROM %s WHERE %s ORDER BY time" % (table, where), values)
                names = [c.name for c in cursor.description]
                return [dict(zip(names, row)) for row in cursor.fetchall()]
        finally:
            connection.close()

    def wait(self, n=1, table="faucet_http_events", where="true", values=None, timeout=20.0):
        """At least n of them."""
        def there():
            rows = self.all(table, where, values)
            return rows if len(rows) >= n else None
        return until(there, timeout, "%d rows of %s where %s" % (n, table, where), step=0.05)

    def of(self, response, timeout=20.0):
        """The row of an exchange, exactly one."""
        uuid = response if isinstance(response, str) else response["Faucet-Request-Uuid"]
        rows = self.wait(1, where="request_uuid = %s", values=(uuid,), timeout=timeout)
        assert len(rows) == 1, rows
        return rows[0]


def destinations(f):
    return f.status()["telemetry"]["destinations"]


def accounts(f, state=None):
    """All tables of all destinations, each checked: recovered + received = stored + queued + dropped."""
    found = []
    for d in destinations(f):
        for table, a in d["tables"].items():
            assert a["recovered"] + a["received"] == a["stored"] + a["queued"] + sum(a["dropped"].values()), (d["destination"], table, a)
            if state is None or d["state"] == state:
                found.append((table, a))
    return found


def account(f, table="faucet_http_events"):
    """Of that table, over all destinations in use."""
    total = {}
    for name, a in accounts(f, "used"):
        if name == table:
            for key, value in a.items():
                total[key] = total.get(key, 0) + (sum(value.values()) if key == "dropped" else value)
    return total


def wait_stored(f, timeout=30.0):
    """Nothing is queued any more; the account of requests."""
    def done():
        return all(a["queued"] == 0 for _, a in accounts(f, "used"))
    until(done, timeout, "everything is stored", step=0.05)
    return account(f)
