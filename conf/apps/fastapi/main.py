"""A FastAPI as you would write it anywhere: nothing in it knows of faucet.

Its documentation is at /fastapi/docs.
"""

import asyncio
import os

from fastapi import FastAPI, Query, Request, WebSocket, WebSocketDisconnect

app = FastAPI(title="FastAPI behind faucet")


@app.get("/")
def home(request: Request):
    """Where things are. The addresses come out right although faucet put the app below /fastapi/."""
    return {"hello": str(request.url_for("hello")), "docs": f"{request.scope['root_path']}/docs"}


@app.get("/hello")
def hello(name: str = "world"):
    """A greeting. `GREETING` comes from `env:` in faucet.yaml."""
    return {"message": f"{os.environ.get('GREETING', 'Hello')}, {name}!"}


@app.get("/slow")
async def slow(seconds: float = Query(2, ge=0, le=10)):
    """Takes a while; an asynchronous worker answers others meanwhile."""
    await asyncio.sleep(seconds)
    return {"slept": seconds}


@app.websocket("/echo")
async def echo(socket: WebSocket):
    """Sends every message back."""
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass
