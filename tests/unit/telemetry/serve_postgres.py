#!/usr/bin/python3
"""A private PostgreSQL for a test program in C: commands on standard input, one line of answer each, gone at end of input.

    serve_postgres.py [tls]     first answer: ready DIRECTORY PORT CA      (CA is - without tls)
    start | stop | kill9 | restart | pause | resume                         → ok
    terminate APPLICATION_NAME                                              → ok N
    pgbouncer                   in transaction mode, before database app    → ok DIRECTORY PORT
    second                      another server, that takes no writes        → ok DIRECTORY PORT
    writable                    the second one does now                     → ok
    switch                      pgbouncer leads to the second one now       → ok
"""
import os
import subprocess
import sys
import time

import psycopg2

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "e2e"))
from postgres import Postgres  # noqa: E402


class Bouncer:
    def __init__(self, pg):
        self.pg, self.port = pg, 6432
        self.ini = os.path.join(pg.dir, "pgbouncer.ini")
        with open(os.path.join(pg.dir, "users"), "w") as f:
            f.write('"postgres" ""\n')
        self.lead_to(pg)
        self.process = subprocess.Popen(pg._argv(["/usr/sbin/pgbouncer", "-q", self.ini]), cwd=pg.dir, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not os.path.exists("%s/.s.PGSQL.%d" % (pg.dir, self.port)):
            assert self.process.poll() is None and time.monotonic() < deadline, "pgbouncer does not start"
            time.sleep(0.02)

    def lead_to(self, other):
        with open(self.ini, "w") as f:
            f.write("[databases]\n* = host=%s port=%d\n[pgbouncer]\nlisten_addr=\nunix_socket_dir=%s\nlisten_port=%d\nauth_type=trust\nadmin_users=postgres\n"
                    "auth_file=%s/users\npool_mode=transaction\nlogfile=%s/pgbouncer.log\ndefault_pool_size=2\nserver_reset_query_always=0\n"
                    % (other.dir, other.port, self.pg.dir, self.port, self.pg.dir, self.pg.dir))

    def switch(self, other):
        self.lead_to(other)
        c = psycopg2.connect(host=self.pg.dir, port=self.port, user="postgres", dbname="pgbouncer")
        c.autocommit = True
        c.cursor().execute("RELOAD")
        c.close()

    def close(self):
        self.process.terminate()
        self.process.wait(20)


def main():
    closing = []
    pg = Postgres(tls="tls" in sys.argv[1:])
    closing.append(pg)
    try:
        print("ready", pg.dir, pg.port, pg.ca or "-", flush=True)
        second = bouncer = None
        for line in sys.stdin:
            command, *rest = line.split()
            answer = "ok"
            if command in ("start", "stop", "kill9", "restart", "pause", "resume"):
                getattr(pg, command)()
            elif command == "terminate":
                answer = "ok %d" % pg.terminate_backends(*rest)
            elif command == "pgbouncer":
                if bouncer is None:
                    bouncer = Bouncer(pg)
                    closing.append(bouncer)
                answer = "ok %s %d" % (pg.dir, bouncer.port)
            elif command == "second":
                second = Postgres(settings={"default_transaction_read_only": "on", "port": "5433"}, port=5433)
                closing.append(second)
                answer = "ok %s %d" % (second.dir, second.port)
            elif command == "writable":
                second.settings.pop("default_transaction_read_only", None)
                second.restart()
            elif command == "switch":
                bouncer.switch(second)
            else:
                answer = "what is " + command
            print(answer, flush=True)
    finally:
        for one in reversed(closing):
            one.close()


main()
