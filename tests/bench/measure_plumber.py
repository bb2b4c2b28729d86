"""A fast Plumber request over one kept-alive client connection: httpuv writes head and body apart with Nagle on, which costs
44 ms wherever the proxy does not acknowledge in between."""
import http.client
import statistics
import time

import plumber_app
from servers import Servers, await_answer, await_port, free_port
from table import figure, table


def latencies(port, count):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took = []
    for _ in range(count):
        began = time.perf_counter()
        connection.request("GET", "/fast")
        reply = connection.getresponse()
        if reply.status != 200 or b"true" not in reply.read():
            raise RuntimeError(f"status {reply.status}")
        took.append((time.perf_counter() - began) * 1000)
    connection.close()
    return took


def measure(faucet, quick):
    count = 50 if quick else 300
    with Servers(faucet) as s:
        app = plumber_app.write(s)
        worker = free_port()
        plumber_app.tcp_worker(s, app, worker)
        await_port(worker, 60)
        _, haproxy = s.haproxy("haproxy", f"server a 127.0.0.1:{worker}")
        _, port = s.faucet("faucet", plumber_app.faucet_app(app, 1), ready="/fast")
        await_answer(haproxy, "/fast")
        figures = {"direct, TCP": latencies(worker, count), "haproxy, TCP": latencies(haproxy, count),
                   "faucet": latencies(port, count)}
        table(["", "median ms", "p99 ms"], [[n, f"{statistics.median(v):.2f}", f"{sorted(v)[int(len(v) * .99)]:.2f}"]
                                            for n, v in figures.items()])
        return figure("median of a fast Plumber request", statistics.median(figures["faucet"]), 5.0, " ms")
