import asyncio
import os

from fastapi import FastAPI, File, Request, UploadFile, WebSocket
from fastapi.responses import RedirectResponse, StreamingResponse

app = FastAPI(title="end to end")


@app.get("/items/{number}")
def item(number: int, q: str = ""):
    return {"number": number, "q": q, "worker": os.environ.get("FAUCET_WORKER_ID"), "pid": os.getpid()}


@app.get("/where")
def where(request: Request):
    return {"url": str(request.url), "root_path": request.scope.get("root_path"), "client": request.client and request.client.host,
            "headers": dict(request.headers), "for": str(request.url_for("item", number=3))}


@app.get("/moved")
def moved():
    return RedirectResponse("/items/1")


@app.post("/upload")
async def upload(file: UploadFile = File(...)):
    size = 0
    while block := await file.read(1 << 16):
        size += len(block)
    return {"name": file.filename, "bytes": size}


@app.get("/stream")
async def stream():
    async def parts():
        for i in range(5):
            yield "data: %d\n\n" % i
            await asyncio.sleep(0.1)
    return StreamingResponse(parts(), media_type="text/event-stream")


@app.get("/wait")
async def wait(s: float = 1.0):
    await asyncio.sleep(s)
    return {"waited": s}


@app.websocket("/ws")
async def ws(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text("echo " + await socket.receive_text())
    except Exception:
        pass
