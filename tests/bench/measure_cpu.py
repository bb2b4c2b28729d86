"""CPU per proxied request: the proxy pinned to core 0, backend and load generator on core 1, rounds interleaved, medians."""
import re
import statistics
import subprocess

from servers import Servers, cpu_seconds
from table import figure, table

CASES = [  # name, path, connections, wrk arguments, proxies left out
    ("64 B, 64 connections", "/64", 64, []),
    ("64 B, 1000 connections", "/64", 1000, []),
    ("64 KiB", "/65536", 64, []),
    ("1 MiB", "/1048576", 64, []),
    ("64 B, Connection: close", "/64", 64, ["-H", "Connection: close"]),
]


def wrk(port, path, connections, more, seconds):
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "30s", *more,
               f"http://127.0.0.1:{port}{path}"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    errors = re.search(r"Socket errors: (.*)|Non-2xx or 3xx responses: (.*)", out)
    if errors and "Connection: close" not in more:
        raise RuntimeError(f"{path}: {errors.group(0)}")
    requests = int(re.search(r"(\d+) requests in", out).group(1))
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
    ms = float(p99.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[p99.group(2)]
    return requests, float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), ms


def measure(faucet, quick):
    rounds, seconds = (1, 1) if quick else (3, 4)
    with Servers(faucet) as s:
        backend = s.backend(core=1)
        haproxy = f"server b 127.0.0.1:{backend} maxconn 8000"
        proxies = {
            "nginx": s.nginx_proxy("nginx", backend, core=0),
            "nginx+log": s.nginx_proxy("nginx-log", backend, log=f"{s.dir}/nginx.access", core=0),
            "haproxy": s.haproxy("haproxy", haproxy, core=0),
            "faucet+log": s.faucet("faucet", f"  b: {{ upstream: '127.0.0.1:{backend}', route: / }}", core=0, ready="/64"),
        }
        reached = True
        for name, path, connections, more in CASES:
            figures = {proxy: [] for proxy in proxies}
            for _ in range(rounds):
                for proxy, (process, port) in proxies.items():
                    wrk(port, path, connections, more, 1)  # warm: connections to the backend, page cache
                    before = cpu_seconds(process.pid)
                    requests, rate, p99 = wrk(port, path, connections, more, seconds)
                    figures[proxy].append(((cpu_seconds(process.pid) - before) / requests * 1e6, rate, p99))
            median = {p: [statistics.median(column) for column in zip(*f)] for p, f in figures.items()}
            print(f"\n  {name}")
            table(["", "CPU µs/request", "× nginx+log", "requests/s", "p99 ms"],
                  [[p, f"{m[0]:.1f}", f"{m[0] / median['nginx+log'][0]:.2f}", f"{m[1]:.0f}", f"{m[2]:.2f}"]
                   for p, m in median.items()])
            if name == CASES[0][0]:
                reached &= figure("CPU per request, × nginx with its access log", median["faucet+log"][0] /
                                  median["nginx+log"][0], 1.0)
    return reached
