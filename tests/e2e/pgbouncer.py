"""A pgbouncer in transaction mode before a Postgres of tests/e2e/postgres.py, on a Unix socket of its own.

    with Bouncer(pg) as bouncer:               # pool_size=: its connections to the server, for each database
        bouncer.string("db")                   # as Postgres.string
        bouncer.pause(); bouncer.resume()      # its own PAUSE and RESUME: transactions under way end, the next ones wait
        bouncer.freeze(); bouncer.thaw()       # SIGSTOP and SIGCONT: nothing moves at all

It refuses root, so under root it runs as the user postgres.
"""
import os
import shutil
import signal
import subprocess
import tempfile

from postgres import USER
from wire import until

CONFIG = """[databases]
* = host={pg.dir} port={pg.port} user={user}
[pgbouncer]
listen_port = 6432
unix_socket_dir = {dir}
auth_type = any
admin_users = {user}
pool_mode = transaction
default_pool_size = {size}
server_login_retry = 0.5
logfile = {dir}/log
"""


class Bouncer:
    def __init__(self, pg, pool_size=10):
        program = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
        assert os.access(program, os.X_OK), "pgbouncer is not installed"
        self.pg, self.port = pg, 6432
        self.dir = tempfile.mkdtemp(prefix="pb", dir="/tmp")
        os.chmod(self.dir, 0o755)
        path = os.path.join(self.dir, "ini")
        with open(path, "w") as f:
            f.write(CONFIG.format(pg=pg, dir=self.dir, user=USER, size=pool_size))
        if pg.owner:
            os.chown(self.dir, pg.owner.pw_uid, pg.owner.pw_gid)
        # not by runuser: it stops itself with its child, and goes on with nobody
        as_owner = {"user": pg.owner.pw_uid, "group": pg.owner.pw_gid, "extra_groups": []} if pg.owner else {}
        self.process = subprocess.Popen([program, "-q", path], cwd=self.dir, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, **as_owner)
        until(lambda: self.admin("SHOW VERSION", check=False).returncode == 0, 20, "pgbouncer answers")

    def string(self, dbname="postgres", user=USER):
        return "host=%s port=%d user=%s dbname=%s" % (self.dir, self.port, user, dbname)

    def admin(self, command, check=True, timeout=30):
        done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-c", command, self.string("pgbouncer")], capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def pause(self):
        self.admin("PAUSE")

    def resume(self):
        self.admin("RESUME")

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as f:
            return f.read()

    def close(self):
        if self.process.poll() is None:
            self.thaw()
            self.process.terminate()  # at once, whoever is connected
        self.process.wait(20)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
