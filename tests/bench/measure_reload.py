"""Reloads under load, side by side: 48 kept-alive connections, a new connection each, 20 echoing WebSockets; p99 with and without reloads, failed
requests, lost WebSockets. faucet swaps an app's settings, nginx gets `nginx -s reload`, HAProxy SIGUSR2 as a master (which starts the new
worker with -sf). Old processes of nginx and HAProxy may stay 5 s, as they do in many installations; faucet's sessions have drain_timeout."""
import json
import signal
import subprocess
import time
from pathlib import Path

import servers
from servers import Servers, await_answer, await_port, free_port
from table import figure, table

LOAD = Path(__file__).parent.parent / "e2e" / "load.py"
BACKEND = '''
import asyncio, base64, hashlib, sys
async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\\r\\n\\r\\n")
            if b"pgrade: websocket" in head:
                key = [l.split(b":", 1)[1].strip() for l in head.split(b"\\r\\n") if l.lower().startswith(b"sec-websocket-key:")][0]
                accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
                writer.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Accept: " + accept + b"\\r\\n\\r\\n")
                while True:
                    first, length = await reader.readexactly(2)
                    mask, payload = await reader.readexactly(4), await reader.readexactly(length & 127)
                    writer.write(bytes([first, length & 127]) + bytes(b ^ mask[i & 3] for i, b in enumerate(payload)))
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 64\\r\\n\\r\\n" + b"x" * 64)
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()
asyncio.run(main())
'''
NGINX_LIMIT = "worker_shutdown_timeout 5s;"
RELOADS, SECONDS = 18, 20


def nginx(s, backend):
    """With a master, which a reload needs."""
    port = free_port()
    conf = s.dir / "nginx-reload.conf"
    text = servers.NGINX.format(dir=s.dir, name="nginx-reload", log="off", body=servers.PROXY.format(port=port, backend=backend))
    conf.write_text(NGINX_LIMIT + text.replace("master_process off;", ""))
    p = s.start(["nginx", "-c", conf, "-e", s.dir / "nginx-reload.err"])
    await_port(port)
    return port, lambda n: subprocess.run(["nginx", "-s", "reload", "-c", conf, "-e", s.dir / "nginx-reload.err"], check=True, capture_output=True), p


def haproxy(s, backend):
    port = free_port()
    conf = s.dir / "haproxy-reload.cfg"
    options = "option http-keep-alive\n  http-reuse always\n  option forwardfor"
    conf.write_text(servers.HAPROXY.format(port=port, backend=f"server b 127.0.0.1:{backend}", options=options)
                    .replace("nbthread 1", f"nbthread 1\n  hard-stop-after 5s\n  stats socket {s.dir}/haproxy.sock expose-fd listeners"))
    p = s.start(["haproxy", "-Ws", "-f", conf])
    await_port(port)
    return port, lambda n: p.send_signal(signal.SIGUSR2), p


def faucet(s, backend):
    """The app keeps its address; a hot key of it changes, and a second app comes and goes."""
    def apps(n):
        more = f"  extra: {{ upstream: '127.0.0.1:{backend}', route: /extra/ }}\n" if n % 2 else ""
        return f"  b: {{ upstream: '127.0.0.1:{backend}', route: /, body_size: {n + 1}MiB }}\n{more}"
    p, port = s.faucet("faucet-reload", apps(0))
    conf = s.dir / "faucet-reload.yaml"
    head = conf.read_text().partition("apps:\n")[0]

    def reload(n):
        new = conf.with_suffix(".new")
        new.write_text(head + "apps:\n" + apps(n))
        new.rename(conf)
        p.send_signal(signal.SIGHUP)
    return port, reload, p


def run(port, seconds, reload, reloads):
    """The report of tests/e2e/load.py over that time, with that many reloads spread over it."""
    settings = {"port": port, "paths": ["/64"], "keep": 48, "fresh": 2, "sockets": ["/ws"] * 20}
    load = subprocess.Popen(["/usr/bin/python3", LOAD, json.dumps(settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        began = time.monotonic()
        for n in range(1, reloads + 1):
            time.sleep(max(0.0, began + n * seconds / (reloads + 1) - time.monotonic()))
            reload(n)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        return json.loads(load.communicate("", timeout=60)[0])
    finally:
        if load.poll() is None:
            load.kill()
            load.wait()


def measure(binary, quick):
    reloads, seconds = (5, 6) if quick else (RELOADS, SECONDS)
    with Servers(binary) as s:
        backend = free_port()
        s.start(["/usr/bin/python3", "-c", BACKEND, backend])
        await_port(backend)
        rows, found = [], {}
        for name, make in (("nginx -s reload", nginx), ("HAProxy -W, -sf", haproxy), ("faucet", faucet)):
            port, reload, process = make(s, backend)
            await_answer(port, "/64")
            calm, busy = run(port, seconds, reload, 0), run(port, seconds, reload, reloads)
            s.stop(process)
            failed = busy["errors"] - busy["sockets_lost"]
            found[name] = busy, calm, failed
            rows.append([name, calm["requests"] + calm["fresh"], f"{calm['p99_ms']:.1f}", busy["requests"] + busy["fresh"], f"{busy['p99_ms']:.1f}", f"{busy['slowest_ms']:.0f}", failed,
                         busy["reopened"], f"{busy['sockets_lost']} of 20"])
        print(f"  {reloads} reloads in {seconds} s; the load generator shares the two cores, so figures are for comparison")
        table(["", "requests calm", "p99 ms", "requests", "p99 ms", "slowest ms", "failed", "closed idle", "WebSockets lost"], rows)
        busy, calm, failed = found["faucet"]
        reached = figure("requests that failed during faucet's reloads", failed, 0)
        reached &= figure("WebSockets that faucet's reloads lost", busy["sockets_lost"], 0)
        return figure("p99 during reloads, × p99 without", busy["p99_ms"] / calm["p99_ms"], 1.5) and reached
