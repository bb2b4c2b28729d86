"""Files as they are really edited: renamed over, a symlink swapped, written while they are read, emptied, cut at a line end."""
import ctypes
import os
import re
import struct
import threading
import time

import pytest

import processes
from reloading import backend, gen, settled
from wire import until


def config(n, **more):
    return {"apps": {"a": backend(gen=n), "b": backend(), **more}}


def test_editor_renames(faucet):
    f = faucet(config(1))
    inode = os.stat(f.conf).st_ino
    f.reload(config(2))
    assert os.stat(f.conf).st_ino != inode and gen(f) == "2"
    f.replace(config(3))
    f.hup()
    until(lambda: gen(f) == "3")


def test_written_in_place(faucet):
    f = faucet(config(1))
    f.write(config(2))
    f.reload()
    assert gen(f) == "2"


def test_same_size_and_time(faucet):
    """No cleverness with mtime: the file is read at every reload."""
    f = faucet(config(1))
    was = os.stat(f.conf)
    f.write(config(2))
    os.utime(f.conf, ns=(was.st_atime_ns, was.st_mtime_ns))
    f.reload()
    assert gen(f) == "2"


def test_symlink_as_in_a_config_map(faucet):
    """faucet.yaml → ..data/faucet.yaml, ..data → a directory with a date: the directory link is swapped. The -c path is not resolved at boot."""
    f = faucet(start=False)
    f.write(config(1), name="v1/faucet.yaml")
    f.write(config(2), name="v2/faucet.yaml")
    f.flip("v1", "..data")
    os.symlink("..data/faucet.yaml", f.conf)
    f.start()
    assert gen(f) == "1"
    f.flip("v2", "..data")
    f.reload()
    assert gen(f) == "2"
    f.write(config(3), name="v3/faucet.yaml")
    f.flip("v3/faucet.yaml", "faucet.yaml")
    f.hup()
    until(lambda: gen(f) == "3")


def test_relative_name_of_the_file(faucet):
    """`-c faucet.yaml`: made absolute at the start, in the directory of the start."""
    f = faucet(config(1), start=False)
    f.conf = "faucet.yaml"
    f.start()
    f.conf = f.dir + "/faucet.yaml"
    f.reload(config(2))
    assert gen(f) == "2"


def test_relative_paths_in_the_file(faucet):
    """From the file as named, through the link."""
    f = faucet(start=False)
    for v in ("v1", "v2"):
        f.file(v + "/app/.env", "GEN=%s\n" % v)
        f.write({"apps": {"a": backend(dir="app"), "b": backend()}}, name=v + "/faucet.yaml")
    f.flip("v1", "current")
    f.conf = f.dir + "/current/faucet.yaml"
    f.start()
    assert gen(f) == "v1"
    f.flip("v2", "current")
    f.reload()
    assert gen(f) == "v2"


def test_included_files(faucet):
    f = faucet(start=False)
    f.write({"include": "apps.d/*.yaml", "apps": {"a": backend(gen=1)}})
    f.write({"apps": {"one": backend()}}, listen=False, name="apps.d/one.yaml")
    f.start()
    a = f.worker_pids(app="a")
    f.write({"apps": {"two": backend(gen=2)}}, listen=False, name="apps.d/two.yaml")
    f.reload()
    assert gen(f, "two") == "2" and f.worker_pids(app="a") == a
    os.unlink(f.dir + "/apps.d/one.yaml")
    f.reload()
    assert f.get("/one/x").status == 404 and gen(f, "two") == "2"
    f.log_contains(r"(?m)^.*\b(remov|drop)\w*\b.*\bone\b|^.*\bone\b.*\b(remov|drop)")


# -- changed while it is read
class Reads:
    """Stands between the reader of a file and its bytes (fanotify): `when_read` is called at the first read, before the reader gets them."""

    def __init__(self, path, when_read):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.fanotify_init(4 | 1, os.O_RDONLY)            # FAN_CLASS_CONTENT | FAN_CLOEXEC
        if self.fd < 0:
            pytest.skip("needs CAP_SYS_ADMIN")
        if self.libc.fanotify_mark(self.fd, 1, ctypes.c_uint64(0x20000), -100, path.encode()):   # FAN_MARK_ADD, FAN_ACCESS_PERM
            pytest.skip("no permission events on this file system")
        self.when_read, self.seen = when_read, 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                return
            while len(data) >= 24:
                length, _, _, _, _, event, _ = struct.unpack("=IBBHQii", data[:24])
                self.seen += 1
                if self.seen == 1:
                    self.when_read()
                os.write(self.fd, struct.pack("=iI", event, 1))          # FAN_ALLOW
                os.close(event)
                data = data[length:]

    def close(self):
        os.close(self.fd)


def test_renamed_while_it_is_read(faucet):
    """The first reading meets the ruins of the old file while the new one takes its name: it is read again."""
    f = faucet(config(1))
    f.write(config(2))
    f.write(config(3), name="good.yaml")
    old = open(f.conf, "r+b")

    def while_read():
        old.write(b"apps: [")
        old.truncate(7)
        old.flush()
        os.rename(f.dir + "/good.yaml", f.conf)
    reads = Reads(f.conf, while_read)
    try:
        f.reload()
    finally:
        reads.close()
        old.close()
    assert reads.seen >= 1 and gen(f) == "3"


def test_grows_while_it_is_read(faucet):
    """An editor that writes in place, in two goes: the first half alone would be a valid file without app b."""
    f = faucet(config(1))
    b = f.worker_pids(app="b")
    f.write({"apps": {"b": backend(), "a": backend(gen=2)}})
    whole = open(f.conf, "rb").read()
    half = whole[:whole.index(b"  a:")]
    f.file("faucet.yaml", half)
    out = open(f.conf, "ab")

    def while_read():
        time.sleep(0.02)     # a tick of the clock that mtime is taken from
        out.write(whole[len(half):])
        out.flush()
    # the reader has looked at the size before this; whatever it gets, it must look again
    reads = Reads(f.conf, while_read)
    try:
        f.reload()
    finally:
        reads.close()
        out.close()
    assert reads.seen >= 2 and gen(f) == "2" and f.worker_pids(app="b") == b


# -- empty and cut
EMPTY = {"no bytes": "", "a comment": "# nothing\n", "no apps": "listen: 127.0.0.1:@PORT@\n", "empty apps": "listen: 127.0.0.1:@PORT@\napps:\n",
         "empty map": "listen: 127.0.0.1:@PORT@\napps: {}\n"}


@pytest.mark.parametrize("what", sorted(EMPTY))
def test_no_app_left_is_refused(faucet, what):
    f = faucet(config(1))
    before, number = settled(f, "ab"), f.config_number()
    f.write(EMPTY[what])
    f.hup()
    f.log_contains(r"(?m)^\[\S+ (ERROR|WARN) .*(no app|--force)")
    assert f.reload(expect=None).returncode == 78
    assert settled(f, "ab", like=before) == before and f.config_number() == number and gen(f) == "1"


def test_force(faucet):
    f = faucet(config(1))
    f.write("listen: 127.0.0.1:@PORT@\napps: {}\n")
    done = f.reload(expect=78)
    assert "--force" in done.stdout + done.stderr
    f.reload(None, "--force")
    assert f.get("/a/x").status == 404 and f.get("/b/x").status == 404
    until(lambda: not f.worker_pids("backend.py"), 5)
    f.reload(config(2))
    assert gen(f) == "2"


def test_removed_apps_are_named(faucet):
    f = faucet({"apps": {"keep": backend(), "sales": backend(), "stock": backend()}})
    f.replace({"apps": {"keep": backend()}})
    f.hup()
    for app in ("sales", "stock"):
        f.log_contains(r"(?m)^.*\b(remov|drop)\w*\b.*\b%s\b|^.*\b%s\b.*\b(remov|drop)\w*\b" % (app, app))
        until(lambda: f.get("/%s/x" % app).status == 404)
    assert f.get("/keep/x").status == 200


def test_cut_at_a_line_end(faucet):
    """A file that lost its second half is valid: what it removes is named, in the log and by faucet reload."""
    f = faucet("listen: 127.0.0.1:@PORT@\napps:\n  a:\n    command: ['@PYTHON@', '@APPS@/backend.py', '{socket}']\n"
               "  b:\n    command: ['@PYTHON@', '@APPS@/backend.py', '{socket}']\n  c:\n    command: ['@PYTHON@', '@APPS@/backend.py', '{socket}']\n")
    a = f.worker_pids(app="a")
    whole = open(f.conf).read()
    f.file("faucet.yaml", "".join(whole.splitlines(True)[:4]))
    done = f.reload()
    assert re.search(r"\bb\b.*drop", done.stdout) and re.search(r"\bc\b.*drop", done.stdout)
    f.log_contains(r"(?m)^.*\b(remov|drop)\w*\b.*\bb\b|^.*\bb\b.*\b(remov|drop)\w*\b")
    assert f.worker_pids(app="a") == a and f.get("/b/x").status == 404
    f.file("faucet.yaml", "".join(whole.splitlines(True)[:3]))      # in the middle of an app
    assert f.reload(expect=None).returncode == 78
    assert f.worker_pids(app="a") == a and f.get("/a/x").status == 200
    f.file("faucet.yaml", whole)
    f.reload()
    assert f.get("/c/x").status == 200


def test_huge_file_is_refused(faucet):
    f = faucet(config(1))
    before = settled(f, "ab")
    f.file("faucet.yaml", "# " + "x" * (2 << 20) + "\napps: {}\n")
    done = f.reload(expect=78)
    assert re.search(r"1 ?MiB|1048576|large|big", done.stdout + done.stderr)
    assert settled(f, "ab", like=before) == before


def test_fifo_in_its_place_does_not_stop_the_loop(faucet):
    """Nobody writes to it: the daemon refuses it rather than waits."""
    f = faucet(config(1))
    os.rename(f.conf, f.conf + ".away")
    os.mkfifo(f.conf)
    f.hup()
    f.log_contains(r"(?m)^\[\S+ ERROR .*faucet\.yaml")
    assert gen(f) == "1"
    os.unlink(f.conf)
    os.rename(f.conf + ".away", f.conf)
    f.reload()
    assert processes.alive(f.pid)
