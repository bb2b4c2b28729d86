"""A PostgreSQL server of one's own, with its data in a temporary directory, on a Unix socket only (TLS: also on 127.0.0.1).

    with Postgres() as pg:                     # initialised and started; removed at the end
        pg.string("db")                        # "host=/tmp/… port=5432 user=postgres dbname=db"
        pg.query("SELECT 1")                   # [(1,)] by psycopg2
        pg.psql("-f", "sql/01_http_events.sql")
        pg.kill9(); pg.start()                 # crash and recovery
    Postgres(tls=True).string("db", host="127.0.0.1", sslmode="verify-full", sslrootcert=pg.ca)

Its processes are its own: only the pid in its postmaster.pid is ever signalled. initdb and postgres refuse root, so under root
they run as the user postgres, who owns the directory.
"""
import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import psycopg2

USER = "postgres"
FAST = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off", "shared_buffers": "32MB", "max_wal_size": "1GB",
        "log_statement": "none", "logging_collector": "off", "timezone": "UTC", "max_connections": "50", "max_worker_processes": "2",
        "max_parallel_workers": "0", "autovacuum": "off"}


def _bin():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"), key=lambda p: int(p.split("/")[4]))
    if found:
        return os.path.dirname(found[-1])
    path = shutil.which("postgres")
    assert path, "PostgreSQL is not installed"
    return os.path.dirname(os.path.realpath(path))


def make_certificates(directory, names=("localhost",), addresses=("127.0.0.1", "::1"), owner=None):
    """A certificate authority ca.crt, and server.crt + server.key signed by it. Returns the path of ca.crt."""
    def run(*argv):
        subprocess.run(["openssl", *argv], cwd=directory, check=True, capture_output=True)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=faucet test authority", "-keyout", "ca.key",
        "-out", "ca.crt")
    run("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=" + names[0], "-keyout", "server.key", "-out", "server.csr")
    with open(os.path.join(directory, "server.ext"), "w") as f:
        f.write("subjectAltName=" + ",".join(["DNS:" + n for n in names] + ["IP:" + a for a in addresses]))
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "3650", "-extfile", "server.ext",
        "-out", "server.crt")
    os.chmod(os.path.join(directory, "server.key"), 0o600)
    if owner:
        for name in ("server.key", "server.crt"):
            os.chown(os.path.join(directory, name), owner.pw_uid, owner.pw_gid)
    return os.path.join(directory, "ca.crt")


class Postgres:
    def __init__(self, *, tls=False, tcp=False, port=None, settings=None, start=True, hba=None, directory=None):
        """tls: certificates are made, and 127.0.0.1 is listened on. tcp: that alone. hba: lines put before those of the fixture."""
        self.bin = _bin()
        self.owner = pwd.getpwnam(USER) if os.geteuid() == 0 else None
        self.dir = directory or tempfile.mkdtemp(prefix="pg", dir="/tmp")
        os.chmod(self.dir, 0o755)
        self.data, self.log_path = os.path.join(self.dir, "data"), os.path.join(self.dir, "log")
        self.tcp = tcp or tls
        self.port = port or (self._free_port() if self.tcp else 5432)
        self.port_is_ours = not self.tcp or port is not None  # a port once listened on stays
        self.settings = {**FAST, "port": str(self.port), "unix_socket_directories": self.dir,
                         "listen_addresses": "127.0.0.1" if self.tcp else "", **(settings or {})}
        self.process = None
        self.ca = None
        self.stopped = None
        if self.owner:
            os.chown(self.dir, self.owner.pw_uid, self.owner.pw_gid)
        self._as_owner([os.path.join(self.bin, "initdb"), "-D", self.data, "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N"])
        if tls:
            self.ca = make_certificates(self.dir, owner=self.owner)
            self.settings.update({"ssl": "on", "ssl_cert_file": self.dir + "/server.crt", "ssl_key_file": self.dir + "/server.key"})
        if hba:
            path = os.path.join(self.data, "pg_hba.conf")
            with open(path) as f:
                rest = f.read()
            with open(path, "w") as f:
                f.write("\n".join(hba) + "\n" + rest)
        if start:
            self.start()

    @staticmethod
    def _free_port():
        from faucet import free_port
        return free_port()

    def _argv(self, argv):
        return (["runuser", "-u", USER, "--"] if self.owner else []) + argv

    def _as_owner(self, argv, check=True):
        done = subprocess.run(self._argv(argv), cwd=self.dir, capture_output=True, text=True, timeout=120)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    # -- the server
    def start(self, timeout=60.0, wait=True):
        """Starts it; with wait, returns when it takes connections (recovery included)."""
        argv = [os.path.join(self.bin, "postgres"), "-D", self.data]
        for name, value in self.settings.items():
            argv += ["-c", "%s=%s" % (name, value)]
        pid_file = os.path.join(self.data, "postmaster.pid")
        if os.path.exists(pid_file) and not self._alive(self._pid()):
            os.unlink(pid_file)
        said = len(self.log())
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self._argv(argv), cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            try:
                self.wait_ready(timeout)
            except AssertionError:
                if self.port_is_ours or "already in use" not in self.log()[said:]:
                    raise
                self.process.wait(10)
                self.port = self._free_port()  # somebody was faster
                self.settings["port"] = str(self.port)
                return self.start(timeout)
            self.port_is_ours = True
        return self

    def wait_ready(self, timeout=60.0):
        deadline = time.monotonic() + timeout
        while True:
            try:
                psycopg2.connect(self.string("postgres")).close()
                return
            except psycopg2.OperationalError:
                assert self.process.poll() is None, "PostgreSQL ended: " + self.log()[-2000:]
                assert time.monotonic() < deadline, "PostgreSQL takes no connections: " + self.log()[-2000:]
                time.sleep(0.05)

    def _pid(self):
        try:
            with open(os.path.join(self.data, "postmaster.pid")) as f:
                return int(f.readline())
        except (OSError, ValueError):
            return None

    @staticmethod
    def _alive(pid):
        try:
            with open("/proc/%d/stat" % (pid or 0)) as f:
                return f.read().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    @property
    def pid(self):
        """Of the postmaster itself, not of the runuser before it."""
        return self._pid()

    @property
    def running(self):
        return self.process is not None and self._alive(self._pid())

    def _backends(self):
        """The postmaster's children."""
        pid, found = self._pid(), []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open("/proc/%s/stat" % entry) as f:
                        if int(f.read().rpartition(")")[2].split()[1]) == pid:
                            found.append(int(entry))
                except (OSError, ValueError, IndexError):
                    pass
        return found

    def stop(self, mode="fast", timeout=30.0):
        """smart, fast or immediate, as pg_ctl has them."""
        pid = self._pid()
        if self.process is None:
            return
        if pid and self._alive(pid):
            os.kill(pid, {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}[mode])
        self.process.wait(timeout)
        self.process = None

    def kill9(self):
        """The postmaster and all its backends at once, as when the machine's plug is pulled (but what was written stays written)."""
        pid, backends = self._pid(), self._backends()
        for one in [pid, *backends]:
            try:
                os.kill(one, signal.SIGKILL)
            except (ProcessLookupError, TypeError):
                pass
        self.process.wait(30)
        self.process = None
        deadline = time.monotonic() + 10
        while any(self._alive(b) for b in backends):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def restart(self, mode="fast"):
        self.stop(mode)
        return self.start()

    def pause(self):
        """SIGSTOP to all of it: connections hang, none is refused. resume() undoes it."""
        self.stopped = [self._pid(), *self._backends()]
        for pid in self.stopped:
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:  # a backend whose client has just left
                pass

    def resume(self):
        for pid in [*(self.stopped or []), self.process.pid]:  # runuser stops itself when its child is stopped
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        self.stopped = None

    def terminate_backends(self, application_name=None, spare=None):
        """pg_terminate_backend for all other clients (of that application_name; not of the one to spare); how many."""
        return len(self.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = "
                              "'client backend' AND (%s IS NULL OR application_name = %s) AND application_name IS DISTINCT FROM %s",
                              (application_name, application_name, spare)))

    # -- talking to it
    def string(self, dbname="postgres", user=USER, host=None, **more):
        """A connection string; host None: the Unix socket."""
        parts = {"host": host or self.dir, "port": self.port, "user": user, "dbname": dbname, **more}
        return " ".join("%s=%s" % (k, v) for k, v in parts.items() if v is not None)

    def uri(self, dbname="postgres", user=USER, password=None, host="127.0.0.1", more=""):
        return "postgresql://%s%s@%s:%d/%s%s" % (user, ":" + password if password else "", host, self.port, dbname, more)

    def connect(self, dbname="postgres", user=USER, **more):
        """An autocommit connection."""
        connection = psycopg2.connect(self.string(dbname, user, **{"connect_timeout": 30, **more}))
        connection.autocommit = True
        return connection

    def query(self, sql, values=None, dbname="postgres", user=USER, settings=None):
        """Runs it and returns its rows, [] where it has none."""
        connection = self.connect(dbname, user)
        try:
            with connection.cursor() as cursor:
                for name, value in (settings or {}).items():
                    cursor.execute("SELECT set_config(%s, %s, false)", (name, value))
                cursor.execute(sql, values)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def database(self, name):
        """A new, empty database; its name."""
        self.query('CREATE DATABASE "%s" TEMPLATE template0' % name)
        return name

    def psql(self, *args, dbname="postgres", user=USER, check=True):
        """psql -X with errors as errors; a CompletedProcess with text."""
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *args, self.string(dbname, user)], capture_output=True, text=True,
                              timeout=120, stdin=subprocess.DEVNULL)
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def log(self):
        try:
            with open(self.log_path, "rb") as f:
                return f.read().decode("utf-8", "replace")
        except OSError:
            return ""

    # -- the end
    def close(self):
        if self.stopped:
            self.resume()
        try:
            self.stop("immediate")
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def closed_port():
    """A port of 127.0.0.1 on which nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]
