"""Four Plumber workers, 60 requests a second (Poisson, fixed seed), 5 % of them 400 ms long. HAProxy has one queue and
`maxconn 1` per worker, and `option httpclose`, which spares it httpuv's 44 ms."""
import asyncio
import random
import statistics
import time

import plumber_app
from servers import Servers, await_answer, await_port, free_port
from table import figure, table

RATE, LONG, WORKERS, SEED = 60, 0.05, 4, 20240607


def schedule(seconds, seed):
    """(when, path) of every request; the same for both proxies."""
    rng, at, plan = random.Random(seed), 0.0, []
    while (at := at + rng.expovariate(RATE)) < seconds:
        plan.append((at, "/slow" if rng.random() < LONG else "/fast"))
    return plan


async def one(port, path):
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    reply = await reader.read()
    writer.close()
    if not reply.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{path}: {reply[:80]!r}")
    return path, (time.perf_counter() - began) * 1000


async def load(port, plan):
    began, tasks = time.perf_counter(), []
    for at, path in plan:
        await asyncio.sleep(max(0.0, began + at - time.perf_counter()))
        tasks.append(asyncio.create_task(one(port, path)))
    return sorted(ms for path, ms in await asyncio.gather(*tasks) if path == "/fast")


def measure(faucet, quick):
    rounds, seconds = (1, 10) if quick else (3, 60)
    with Servers(faucet) as s:
        app = plumber_app.write(s)
        ports = [free_port() for _ in range(WORKERS)]
        for port in ports:
            plumber_app.tcp_worker(s, app, port)
        for port in ports:
            await_port(port, 60)
        lines = "\n  ".join(["balance leastconn"] + [f"server w{i} 127.0.0.1:{p} maxconn 1" for i, p in enumerate(ports)])
        _, haproxy = s.haproxy("haproxy", lines, options="option httpclose\n  timeout queue 60s")
        _, port = s.faucet("faucet", plumber_app.faucet_app(app, WORKERS), ready="/fast")
        await_answer(haproxy, "/fast")
        figures = {"haproxy": [], "faucet": []}
        for r in range(rounds):
            plan = schedule(seconds, SEED + r)
            for name, at in (("haproxy", haproxy), ("faucet", port)):
                short = asyncio.run(load(at, plan))
                figures[name].append([short[int(len(short) * q)] for q in (0.5, 0.95, 0.99)])
        median = {n: [statistics.median(c) for c in zip(*f)] for n, f in figures.items()}
        table(["short requests", "p50 ms", "p95 ms", "p99 ms"], [[n] + [f"{v:.1f}" for v in m] for n, m in median.items()])
        reached = figure("p99 of the short requests", median["faucet"][2], 250, " ms")
        return figure("p99 of the short requests, × HAProxy", median["faucet"][2] / median["haproxy"][2], 1.0) and reached
