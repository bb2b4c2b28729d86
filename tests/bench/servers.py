"""The servers of a bench run: started on free loopback ports, in one temporary directory, ended by their process id."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

NGINX = """
worker_processes 1; daemon off; master_process off; pid {dir}/{name}.pid; error_log {dir}/{name}.err;
worker_rlimit_nofile 20000;
events {{ worker_connections 9000; }}
http {{
  keepalive_requests 100000000; keepalive_timeout 3600s; tcp_nodelay on; access_log {log};
  client_body_temp_path {dir}/b; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  {body}
}}
"""
BACKEND = """server {{ listen 127.0.0.1:{port} backlog=4096;
  location = /64 {{ default_type text/plain; return 200 "{reply}"; }}
  location / {{ root {dir}/files; }} }}"""
PROXY = """upstream backend {{ server 127.0.0.1:{backend}; keepalive 512; keepalive_requests 100000000; keepalive_timeout 3600s; }}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://backend; proxy_http_version 1.1;
    proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; proxy_read_timeout 3600s;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }}"""
HAPROXY = """
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout connect 5s
  timeout client 3600s
  timeout server 3600s
  timeout tunnel 3600s
  {options}
frontend f
  bind 127.0.0.1:{port} backlog 4096
  default_backend b
backend b
  {backend}
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_port(port, deadline=20):
    end = time.monotonic() + deadline
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise RuntimeError(f"nothing listens on port {port} after {deadline} s")
            time.sleep(0.02)


class Servers:
    """A context: whatever it started ends with it."""

    def __init__(self, faucet):
        self.faucet_binary = faucet
        self.dir = Path(tempfile.mkdtemp(prefix="fb", dir="/tmp"))
        os.chmod(self.dir, 0o755)
        (self.dir / "files").mkdir()
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for p in reversed(self.processes):
            p.send_signal(signal.SIGTERM)
        for p in reversed(self.processes):
            try:
                p.wait(10)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def start(self, command, core=None, **more):
        pin = ["taskset", "-c", str(core)] if core is not None else []
        with open(self.dir / f"out.{len(self.processes)}", "wb") as out:
            p = subprocess.Popen(pin + [str(c) for c in command], stdout=out, stderr=out, **more)
        self.processes.append(p)
        return p

    def stop(self, process):
        self.processes.remove(process)
        process.send_signal(signal.SIGTERM)
        process.wait(20)

    def nginx(self, name, body, log="off", core=None, port=None):
        conf = self.dir / f"{name}.conf"
        conf.write_text(NGINX.format(dir=self.dir, name=name, log=log, body=body))
        p = self.start(["nginx", "-c", conf, "-e", self.dir / f"{name}.err"], core)
        await_port(port)
        return p

    def backend(self, core):
        port = free_port()
        for size in (64 << 10, 1 << 20):
            (self.dir / "files" / str(size)).write_bytes(b"x" * size)
        self.nginx("backend", BACKEND.format(port=port, reply="x" * 64, dir=self.dir), core=core, port=port)
        return port

    def nginx_proxy(self, name, backend, log="off", core=None):
        port = free_port()
        return self.nginx(name, PROXY.format(port=port, backend=backend), log, core, port), port

    def haproxy(self, name, backend, options="option http-keep-alive\n  http-reuse always\n  option forwardfor", core=None):
        port = free_port()
        conf = self.dir / f"{name}.cfg"
        conf.write_text(HAPROXY.format(port=port, backend=backend, options=options))
        p = self.start(["haproxy", "-db", "-f", conf], core)
        await_port(port)
        return p, port

    def faucet(self, name, apps, core=None, more="", ready="/"):
        """apps: the text below `apps:`. Waits until `ready` is answered with something else than 503."""
        port = free_port()
        conf = self.dir / f"{name}.yaml"
        conf.write_text(f"listen: 127.0.0.1:{port}\nlog: {{ file: {self.dir}/{name}.log }}\n{more}\napps:\n{apps}\n")
        environment = dict(os.environ, XDG_RUNTIME_DIR=str(self.dir), XDG_STATE_HOME=str(self.dir))
        p = self.start([self.faucet_binary, "run", "-c", conf], core, env=environment)
        await_port(port)
        await_answer(port, ready)
        return p, port


def await_answer(port, path, deadline=90):
    end = time.monotonic() + deadline
    while True:
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            status = s.recv(12)[9:12]
        if status and status not in (b"502", b"503"):
            return
        if time.monotonic() > end:
            raise RuntimeError(f"{path} still answers {status!r} after {deadline} s")
        time.sleep(0.1)


def cpu_seconds(pid):
    """Time on a CPU of all threads, in seconds, from schedstat (nanoseconds)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def rss_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("no VmRSS")
