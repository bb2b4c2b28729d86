"""A real FastAPI under a prefix: documentation, redirects, streams, uploads, WebSocket."""
import asyncio
import json
import re
import threading
import time

import pytest
import websockets

from faucet import APPS


@pytest.fixture(scope="module")
def f(module_faucet):
    return module_faucet({"apps": {"api": {"dir": APPS + "/fastapi", "type": "fast-api", "workers": 2}, "root": {"dir": APPS + "/fastapi", "route": "/"}}})


def test_json(f):
    got = json.loads(f.get("/api/items/7?q=x").body)
    assert got["number"] == 7 and got["q"] == "x"
    assert f.get("/api/items/seven").status == 422


def test_docs_and_openapi_under_the_prefix(f):
    page = f.get("/api/docs")
    assert page.status == 200
    url = re.search(r"url: '([^']+)'", page.text)[1]
    assert url == "/api/openapi.json", url
    schema = json.loads(f.get(url).body)
    assert "/items/{number}" in schema["paths"]
    servers = [s["url"] for s in schema.get("servers", [])]
    assert servers == ["/api"], servers
    root = f.get("/docs")
    assert re.search(r"url: '([^']+)'", root.text)[1] == "/openapi.json"


def test_url_for_has_the_prefix(f):
    got = json.loads(f.get("/api/where", host="shop.example:8080").body)
    assert got["for"].endswith("/api/items/3") and got["root_path"].rstrip("/") == "/api", got
    assert got["headers"]["host"] == "shop.example:8080" and got["headers"]["x-forwarded-for"] == "127.0.0.1"


def test_redirect(f):
    r = f.get("/api/moved")
    assert r.status == 307 and r["Location"] == "/api/items/1"
    r = f.get("/api/items/1/")           # starlette redirects the slash away with an absolute or rooted Location
    if r.status == 307:
        assert "/api/items/1" in r["Location"]


def test_stream_arrives_piece_by_piece(f):
    c = f.client()
    c.send("GET /api/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    r = c.read_response(body=False)
    assert r.framing == "chunked" and r["Content-Type"].startswith("text/event-stream")
    times = []
    while c.read_chunk():
        times.append(time.monotonic())
    assert len(times) == 5 and times[-1] - times[0] > 0.25


def test_upload(f):
    body = (b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n"
            + b"\0\xff" * (4 << 20) + b"\r\n--b--\r\n")
    r = f.post("/api/upload", body, {"Content-Type": "multipart/form-data; boundary=b"}, timeout=60)
    assert json.loads(r.body) == {"name": "a.bin", "bytes": 8 << 20}


def test_requests_run_in_parallel(f):
    began = time.monotonic()
    threads = [threading.Thread(target=f.get, args=("/api/wait?s=0.5",)) for _ in range(20)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert time.monotonic() - began < 4


def test_websocket(f):
    async def conversation():
        async with websockets.connect(f.url("/api/ws", "ws")) as ws:
            for message in ("one", "x" * 100000):
                await ws.send(message)
                assert await ws.recv() == "echo " + message
        async with websockets.connect(f.url("/ws", "ws")) as ws:
            await ws.send("root")
            assert await ws.recv() == "echo root"
    asyncio.run(asyncio.wait_for(conversation(), 30))


def test_both_workers_answer(f):
    assert {json.loads(f.get("/api/items/1").body)["worker"] for _ in range(8)} == {"1", "2"}
