"""A worker for `command` apps: origin.Origin on a socket path or port, with behaviour chosen by the path of the request.

    backend.py SOCKET_OR_PORT [option…]

Options misbehave at start: `exit=3` leaves with that status at once, `mute` listens and never answers, `deaf` never listens,
`slow=SECONDS` listens late, `say=TEXT` and `cry=TEXT` write it to standard output and standard error, `noterm` ignores SIGTERM, `fork` leaves a double-forked, setsid'ed grandchild (its pid is printed),
`record=FILE` appends its pid at each start.
"""
import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from origin import CLOSE, Origin  # noqa: E402

STARTED = time.time()


def grandchild(*extra):
    """A process in a session of its own whose parent is gone; its pid."""
    code = "import os,sys,time,signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); signal.signal(signal.SIGTERM, signal.SIG_IGN); " \
           "os.setsid(); pid = os.fork(); (print(pid, flush=True), os._exit(0)) if pid else None; os.close(1); os.close(2); time.sleep(600)"
    out = subprocess.run([sys.executable, "-c", code, *extra], stdout=subprocess.PIPE, text=True)
    return int(out.stdout)


def descriptors():
    """What ours lead to. Other threads close theirs meanwhile."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink("/proc/self/fd/" + fd))
        except FileNotFoundError:
            pass
    return sorted(found)


def query(request):
    return dict(urllib.parse.parse_qsl(request.target.partition("?")[2]))


class Behaviour(Origin):
    def up(self):
        """Knows all its paths before the first connection comes: a new generation is asked the moment it answers a probe."""
        self.busy = 0
        self.most_busy = 0
        for name in dir(self):
            if name.startswith("do_"):
                self.on("/" + name[3:].replace("_", "-"), getattr(self, name))
        super().up()

    def json(self, conn, value):
        conn.reply("200 OK", json.dumps(value), "Content-Type: application/json")

    # -- what it knows
    def do_env(self, conn, request):
        self.json(conn, dict(os.environ))

    def do_me(self, conn, request):
        conn.read_request_body(request)
        self.json(conn, {"pid": os.getpid(), "ppid": os.getppid(), "worker": os.environ.get("FAUCET_WORKER_ID"), "gen": os.environ.get("GEN"), "argv": sys.argv,
                         "cwd": os.readlink("/proc/self/cwd"), "started": STARTED, "nofile": __import__("resource").getrlimit(7),
                         "sigpipe": open("/proc/self/status").read().split("SigIgn:\t")[1].split()[0],
                         "sigblk": open("/proc/self/status").read().split("SigBlk:\t")[1].split()[0],
                         "fds": descriptors(),
                         "most_busy": self.most_busy, "path": request.target})

    # -- time
    def do_sleep(self, conn, request):
        """/sleep?s=1"""
        conn.read_request_body(request)
        with self.lock:
            self.busy += 1
            self.most_busy = max(self.busy, self.most_busy)
        time.sleep(float(query(request).get("s", "1")))
        with self.lock:
            self.busy -= 1
        self.json(conn, {"worker": os.environ.get("FAUCET_WORKER_ID"), "pid": os.getpid()})

    def do_hold(self, conn, request):
        """/hold?name=PATH: creates PATH.began, answers when PATH.go exists."""
        conn.read_request_body(request)
        self.wait_for_go(query(request)["name"])
        self.json(conn, {"worker": os.environ.get("FAUCET_WORKER_ID"), "pid": os.getpid()})

    @staticmethod
    def wait_for_go(name):
        open(name + ".began", "w").close()
        while not os.path.exists(name + ".go"):
            time.sleep(0.005)

    def do_never(self, conn, request):
        threading.Event().wait()

    # -- death
    def do_die(self, conn, request):
        conn.read_request_body(request)
        os._exit(int(query(request).get("status", "1")))

    def do_die_midway(self, conn, request):
        conn.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
        time.sleep(0.2)
        os._exit(1)

    def do_fork(self, conn, request):
        self.json(conn, {"pid": grandchild()})

    # -- output
    def do_print(self, conn, request):
        q = query(request)
        stream = sys.stderr if "stderr" in q else sys.stdout
        stream.write(q["text"] + "\n")
        stream.flush()
        conn.reply("200 OK", "printed")

    def do_flood(self, conn, request):
        """/flood?mb=50&line=100: that much on standard error; line=0: without a line end."""
        q = query(request)
        line = int(q.get("line", "100"))
        block = (b"x" * (line - 1) + b"\n") * max(1, 65536 // line) if line else b"y" * 65536
        left = int(q.get("mb", "50")) << 20
        began = time.monotonic()
        while left > 0:
            left -= os.write(2, block)
        self.json(conn, {"seconds": time.monotonic() - began})

    # -- bodies
    def do_count(self, conn, request):
        """Reads a body of any size, keeps none of it; says how much and how fast."""
        conn.keep = False
        total, began = 0, time.monotonic()
        if request.framing == "chunked":
            while True:
                n = len(conn.read_chunk())
                total += n
                if not n:
                    conn.read_trailers()
                    break
        else:
            left = request.framing or 0
            while left:
                if not conn.buffer and not conn.fill(conn._deadline(None)):
                    return CLOSE
                n = len(conn.take(min(left, len(conn.buffer))))
                left -= n
                total += n
        self.json(conn, {"bytes": total, "seconds": time.monotonic() - began})
        return CLOSE

    def do_download(self, conn, request):
        """/download?mb=1024"""
        size = int(float(query(request).get("mb", "1")) * (1 << 20))
        conn.timeout = 600
        conn.send("HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % size)
        block = bytes(range(256)) * 4096
        while size > 0:
            conn.send(block[:size])
            size -= len(block)

    # -- tunnels
    def do_ws(self, conn, request):
        """/ws?note=FILE: a WebSocket that echoes; the text `pid` is answered with ours. A Close is noted in FILE and answered, but
        not with sulk=1. hold=PATH: opened as /hold answers."""
        accept = base64.b64encode(hashlib.sha1((request["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        conn.timeout, conn.keep = 3600, False
        if "hold" in query(request):
            self.wait_for_go(query(request)["hold"])
        conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
                  % accept.decode())
        note = query(request).get("note")
        while True:
            opcode, payload, masked = conn.read_frame()
            if note and (opcode == 8 or not masked):
                with open(note, "a") as f:
                    f.write("%d %s %s\n" % (opcode, "masked" if masked else "bare", payload[:2].hex()))
            if opcode == 8 and "sulk" in query(request):
                threading.Event().wait()
            if payload == b"pid":
                payload = b"%d" % os.getpid()
            conn.send_frame(opcode, payload)
            if opcode == 8:
                return CLOSE

    def do_cookie(self, conn, request):
        conn.reply("200 OK", "cookie", "Set-Cookie: mine=1; Path=/")


def main():
    where, options = sys.argv[1], sys.argv[2:]
    words = dict(o.partition("=")[::2] for o in options)
    if "record" in words:
        with open(words["record"], "a") as f:
            f.write("%d %.3f %s\n" % (os.getpid(), time.time(), where))
    if "noterm" in words:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if "fork" in words:
        print("grandchild %d" % grandchild(), flush=True)
    if "say" in words:
        print(words["say"], flush=True)
    if "cry" in words:
        print(words["cry"], file=sys.stderr, flush=True)
    if "exit" in words:
        os._exit(int(words["exit"]))
    if "slow" in words:
        time.sleep(float(words["slow"]))
    if "deaf" not in words:
        server = Behaviour(path=where) if "/" in where else Behaviour(port=int(where))
        if "mute" in words:
            server.default = server.do_never
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
