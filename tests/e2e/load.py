#!/usr/bin/python3
"""Traffic from one process, all errors counted: kept-alive connections, a new connection for each request, echoing WebSockets, a slow upload,
slow downloads. It runs until standard input ends, lets what is under way finish, and prints a report as JSON.

    load.py '{"port": 3838, "paths": ["/a/x"], "keep": 64, "fresh": 4, "sockets": ["/a/ws"], "upload": "/a/count", "downloads": [["/a/download?mb=4", 4194304]]}'

An idle connection that the server closes between two requests is opened again and counted as `reopened`, as a browser would; whatever happens
after a request was sent is an error.
"""
import asyncio
import base64
import json
import os
import sys
import time

STEP = 0.05


class Load:
    def __init__(self, port, paths, keep=0, fresh=0, pace=0.0, sockets=(), upload=None, downloads=(), host="127.0.0.1", headers=()):
        self.port, self.host, self.paths, self.pace = port, host, paths, pace
        self.keep, self.fresh, self.sockets, self.upload, self.downloads = keep, fresh, sockets, upload, downloads
        self.more = "".join(h + "\r\n" for h in headers)
        self.stopped = asyncio.Event()
        self.errors, self.took, self.reopened, self.counts = [], [], 0, {"requests": 0, "fresh": 0, "echoes": 0, "uploads": 0, "downloads": 0}
        self.lost = 0

    def error(self, what, e):
        self.errors.append("%s: %s" % (what, e if isinstance(e, str) else repr(e)))

    async def open(self):
        return await asyncio.open_connection(self.host, self.port)

    async def head(self, reader):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if not head.startswith("HTTP/1.1 100"):
                break
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        return int(head[9:12]), fields

    async def ask(self, reader, writer, path, close=False):
        began = time.perf_counter()
        writer.write(("GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n" % (path, self.more, "Connection: close\r\n" if close else "")).encode())
        status, fields = await self.head(reader)
        body = await reader.readexactly(int(fields["content-length"]))
        self.took.append(time.perf_counter() - began)
        if status != 200:
            raise ValueError("status %d for %s: %r" % (status, path, body[:200]))
        return fields

    async def kept(self, i):
        while not self.stopped.is_set():
            writer = None
            try:
                reader, writer = await self.open()
                while not self.stopped.is_set():
                    if reader.at_eof():
                        self.reopened += 1
                        break
                    i += 1
                    await asyncio.wait_for(self.ask(reader, writer, self.paths[i % len(self.paths)]), 30)
                    self.counts["requests"] += 1
                    await asyncio.sleep(self.pace)
            except Exception as e:
                self.error("kept", e)
                await asyncio.sleep(STEP)
            finally:
                if writer:
                    writer.close()

    async def one_each(self, i):
        while not self.stopped.is_set():
            writer = None
            try:
                reader, writer = await self.open()
                i += 1
                await asyncio.wait_for(self.ask(reader, writer, self.paths[i % len(self.paths)], True), 30)
                self.counts["fresh"] += 1
                await asyncio.sleep(self.pace)
            except Exception as e:
                self.error("fresh", e)
                await asyncio.sleep(STEP)
            finally:
                if writer:
                    writer.close()

    async def echo(self, i, path):
        """A WebSocket that speaks every 50 ms; it is opened once: lost is lost."""
        try:
            reader, writer = await self.open()
            writer.write(("GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: %s\r\n%s\r\n" % (path, base64.b64encode(os.urandom(16)).decode(), self.more)).encode())
            status, _ = await self.head(reader)
            if status != 101:
                raise ValueError("status %d instead of a WebSocket" % status)
            n = 0
            while not self.stopped.is_set():
                n += 1
                text = b"%d says %d" % (i, n)
                writer.write(bytes([0x81, 0x80 | len(text)]) + b"\0\0\0\0" + text)
                began = time.perf_counter()
                first, length = await asyncio.wait_for(reader.readexactly(2), 30)
                payload = await reader.readexactly(length)
                self.took.append(time.perf_counter() - began)
                if first != 0x81 or payload != text:
                    raise ValueError("frame %#x %r" % (first, payload[:50]))
                self.counts["echoes"] += 1
                await asyncio.sleep(STEP)
            writer.close()
        except Exception as e:
            self.lost += 1
            self.error("websocket", e)

    async def slow_upload(self, path):
        """One chunked body for as long as it all takes."""
        try:
            reader, writer = await self.open()
            writer.write(("POST %s HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n%s\r\n" % (path, self.more)).encode())
            sent = 0
            while not self.stopped.is_set():
                writer.write(b"400\r\n" + b"u" * 1024 + b"\r\n")
                await writer.drain()
                sent += 1024
                await asyncio.sleep(STEP)
            writer.write(b"0\r\n\r\n")
            status, fields = await asyncio.wait_for(self.head(reader), 30)
            body = await reader.readexactly(int(fields["content-length"]))
            if status != 200 or json.loads(body)["bytes"] != sent:
                raise ValueError("status %d, %d bytes sent: %r" % (status, sent, body[:200]))
            self.counts["uploads"] += 1
            writer.close()
        except Exception as e:
            self.error("upload", e)

    async def slow_download(self, path, size):
        while not self.stopped.is_set():
            try:
                reader, writer = await asyncio.open_connection(self.host, self.port, limit=16384)
                writer.write(("GET %s HTTP/1.1\r\nHost: localhost\r\n%sConnection: close\r\n\r\n" % (path, self.more)).encode())
                status, fields = await asyncio.wait_for(self.head(reader), 30)
                got, wrong = 0, 0
                while got < size:
                    piece = await asyncio.wait_for(reader.read(16384), 30)
                    if not piece:
                        break
                    wrong += any(b != (got + k) & 255 for k, b in ((0, piece[0]), (len(piece) - 1, piece[-1])))
                    got += len(piece)
                    await asyncio.sleep(0 if self.stopped.is_set() else STEP / 4)
                if status != 200 or got != size or wrong:
                    raise ValueError("status %d, %d of %d bytes, %d pieces wrong" % (status, got, size, wrong))
                self.counts["downloads"] += 1
                writer.close()
            except Exception as e:
                self.error("download", e)
                await asyncio.sleep(STEP)

    async def run(self):
        loop = asyncio.get_running_loop()
        tasks = [self.kept(i) for i in range(self.keep)] + [self.one_each(i) for i in range(self.fresh)]
        tasks += [self.echo(i, p) for i, p in enumerate(self.sockets)]
        tasks += [self.slow_upload(self.upload)] if self.upload else []
        tasks += [self.slow_download(p, n) for p, n in self.downloads]
        tasks = [loop.create_task(t) for t in tasks]
        began = time.perf_counter()
        await loop.run_in_executor(None, sys.stdin.read)
        self.stopped.set()
        await asyncio.gather(*tasks)
        took = sorted(self.took) or [0.0]
        return {"seconds": time.perf_counter() - began, **self.counts, "errors": len(self.errors), "first_errors": self.errors[:20], "reopened": self.reopened,
                "sockets_lost": self.lost, "p50_ms": took[len(took) // 2] * 1e3, "p99_ms": took[int(len(took) * 0.99)] * 1e3, "slowest_ms": took[-1] * 1e3}


async def main():
    return await Load(**json.loads(sys.argv[1])).run()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main())))
