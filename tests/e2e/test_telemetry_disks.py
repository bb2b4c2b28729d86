"""The queue on real filesystems: one that fills up, with and without fallocate(2), and one that has none and no end."""
import collections
import os
import re

import pytest

from faucet import SLOW
from filesystems import Filesystem
from postgres import Postgres
from telemetry import Rows, account, accounts, destinations, full_database, settings, wait_stored
from test_telemetry_faults import Load, again, exactly_once, tiny
from wire import until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
MIB = 1 << 20


@pytest.fixture
def pg():
    with Postgres() as server:
        yield server


@pytest.fixture
def rows(pg):
    return Rows(pg, full_database(pg, "disks"))


@pytest.fixture
def filesystem():
    """A factory; daemons that run on one end before it does, since `faucet` is torn down first."""
    made = []

    def make(kind, size=None):
        try:
            made.append(Filesystem(kind, size))
        except OSError as e:
            pytest.skip(str(e))  # a container without loop devices
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def daemon(pg, rows, filesystem, faucet):
    """On a filesystem, not started; with a small queue, so that little is much: eight segments of 256 KiB."""
    def make(fs, queue_size="2MiB"):
        return faucet({"state_dir": fs.directory, "telemetry": settings(pg, rows.name, queue_size=queue_size),
                       "apps": {"a": tiny(workers=2)}}, wrap=fs.wrap, start=False)
    return make


def dropped(f, table="faucet_http_events"):
    """By reason; the account of every table is looked at."""
    accounts(f)
    return {reason: n for reason, n in destinations(f)[0]["tables"][table]["dropped"].items() if n}


def gaps(rows):
    """The same as the gap rows have it."""
    found = collections.Counter()
    for row in rows.all("faucet_gaps", "table_name = 'faucet_http_events'"):
        assert row["began"] <= row["ended"] <= row["time"] and row["dropped"] > 0, row
        found[row["reason"]] += row["dropped"]
    return dict(found)


@pytest.mark.parametrize("kind, fallocates, size", [("tmpfs", True, 4 * MIB), ("ext2", False, 4 * MIB)])
def test_a_disk_that_is_full(pg, rows, filesystem, daemon, kind, fallocates, size):
    fs = filesystem(kind, size)
    assert fs.has_fallocate() == fallocates
    f = daemon(fs)
    f.start()
    first = f.get("/a/x")["Faucet-Request-Uuid"]
    assert destinations(f)[0]["on_disk"] is True
    wait_stored(f)
    pg.stop()
    assert fs.fill() > 0
    load = Load(f, clients=2)
    until(lambda: dropped(f).get("no_space", 0) > 100, 60 * SLOW, "there is no room any more", step=0.1)
    assert set(dropped(f)) == {"no_space"}
    fs.free()
    pg.start()
    until(lambda: "can be made again" in f.log(), 60 * SLOW, "there is room again")
    seen = [first] + load.end()
    assert load.failed == 0
    wait_stored(f, 60 * SLOW)
    lost, last = dropped(f), [f.get("/a/x")["Faucet-Request-Uuid"] for _ in range(20)]
    seen += last
    a = wait_stored(f)
    assert dropped(f) == lost
    assert a["received"] == len(seen) == a["stored"] + sum(lost.values())
    stored = {str(r["request_uuid"]) for r in rows.all()}
    assert len(stored) == len(rows.all()) == a["stored"] and stored <= set(seen)
    assert set(last) <= stored
    until(lambda: gaps(rows) == lost, 20 * SLOW, "the gaps %s are rows, not %s" % (lost, gaps(rows)))
    assert len(re.findall(r"no further segment: No space left on device", f.log())) == 1
    assert len(re.findall(r"segments can be made again", f.log())) == 1
    assert "corrupt" not in f.log() and "abandoned" not in f.log()


def queue_files(fs):
    (queue,) = os.listdir(fs.path("queue"))
    return [fs.path("queue", queue, name) for name in os.listdir(fs.path("queue", queue))]


@pytest.mark.parametrize("kind", ["tmpfs", "ext2"])
def test_a_disk_that_is_full_from_the_start(rows, filesystem, daemon, kind):
    fs = filesystem(kind, 4 * MIB)
    f = daemon(fs)
    f.start()
    f.stop()  # leaves the directories, which take blocks, too
    for path in queue_files(fs):
        os.unlink(path)
    fs.fill()
    again(f)
    f.log_contains(r"the queue is in memory, at most 2 MiB, lost when faucet is killed: .*No space left on device")
    seen = [f.get("/a/x")["Faucet-Request-Uuid"] for _ in range(20)]
    assert destinations(f)[0]["on_disk"] is False
    assert wait_stored(f)["stored"] == 20
    assert exactly_once(rows, seen) == 20


@pytest.mark.parametrize("kind, size", [("ramfs", None), ("ext2", 32 * MIB)])
def test_a_filesystem_without_fallocate(pg, rows, filesystem, daemon, kind, size):
    """Segments are filled with zeros there: they take what is written, and what is in them outlives faucet."""
    fs = filesystem(kind, size)
    assert not fs.has_fallocate()
    f = daemon(fs, "8MiB")
    f.start()
    pg.stop()

    def segments():
        return [os.stat(path) for path in queue_files(fs) if path.endswith(".segment")]
    load = Load(f, clients=2)
    until(lambda: len(segments()) >= 3, 60 * SLOW, "one segment is full, and one made ahead", step=0.1)
    assert all(s.st_size == MIB and s.st_blocks * 512 >= MIB for s in segments())  # no holes
    f.kill9()
    again(f)
    load.wait(50)
    assert account(f)["recovered"] > 500 and destinations(f)[0]["on_disk"] is True
    pg.start()
    load.wait(100)
    seen = load.end()
    a = wait_stored(f, 60 * SLOW)
    assert a["dropped"] == 0 and exactly_once(rows, seen) == a["stored"] >= len(seen)
