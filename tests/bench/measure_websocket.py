"""Resident memory per idle WebSocket: many are opened through each proxy to one backend, and nothing is said."""
import asyncio
import resource

from servers import Servers, await_answer, await_port, free_port, rss_kib
from table import figure, table

HANDSHAKE = (b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
BACKEND = '''
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
async def serve(reader, writer):
    try:
        head = await reader.readuntil(b"\\r\\n\\r\\n")
        if b"pgrade: websocket" in head:
            writer.write(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                         b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\\r\\n\\r\\n")
            await reader.read()
        else:
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n")
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()
asyncio.run(main())
'''


async def open_one(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HANDSHAKE)
    head = await reader.readuntil(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101"):
        raise RuntimeError(f"no WebSocket: {head!r}")
    return writer


async def hold(port, pid, count):
    first = await asyncio.gather(*(open_one(port) for _ in range(50)))  # what the first ones cost once is not counted
    before = rss_kib(pid)
    writers = []
    for _ in range(count // 100):
        writers += await asyncio.gather(*(open_one(port) for _ in range(100)))
    after = rss_kib(pid)
    for w in first + writers:
        w.close()
    return (after - before) / len(writers)


def measure(faucet, quick):
    count = 400 if quick else 4000
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Servers(faucet) as s:
        backend = free_port()
        s.start(["/usr/bin/python3", "-c", BACKEND, backend])
        await_port(backend)
        proxies = {
            "nginx": s.nginx_proxy("nginx", backend),
            "haproxy": s.haproxy("haproxy", f"server b 127.0.0.1:{backend}"),
            "faucet": s.faucet("faucet", f"  b: {{ upstream: '127.0.0.1:{backend}', route: / }}"),
        }
        figures = {}
        for name, (process, port) in proxies.items():
            await_answer(port, "/")
            figures[name] = asyncio.run(hold(port, process.pid, count))
        table(["", "kB per idle WebSocket"], [[n, f"{v:.1f}"] for n, v in figures.items()])
        return figure(f"memory per idle WebSocket, {count} open", figures["faucet"], 6.0, " kB")
