"""The log: text as the original wrote it, JSON with types, a file with rotation, and a full pipe that stops nobody."""
import fcntl
import json
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from faucet import BIN, backend, upstream
from wire import until


def test_text_line(faucet, origin):
    o = origin()
    f = faucet({"apps": {"sales": upstream(o)}}, origins=[o])
    f.get("/sales/x", {"User-Agent": "curl/8"})
    line = f.log_contains(r"^.*GET /sales/x .*$")[0]
    assert re.match(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z INFO  Worker::sales::1\] 127\.0\.0\.1 \"GET /sales/x HTTP/1\.1\" 200 \"curl/8\" \d+\Z", line), line
    f.get("/nothing", {"User-Agent": "curl/8"})
    line = f.log_contains(r"^.*GET /nothing .*$")[0]
    assert re.match(r"\[\S+Z \w+ +faucet\] 127\.0\.0\.1 \"GET /nothing HTTP/1\.1\" 404 \"curl/8\" \d+\Z", line), line


def test_milliseconds(faucet):
    f = faucet({"apps": {"a": backend()}})
    f.get("/a/sleep?s=0.3")
    took = int(f.log_contains(r"GET /a/sleep\S* HTTP/1\.1\" 200 .* (\d+)$")[1])
    assert 290 <= took < 2000


def test_without_a_user_agent_and_with_a_bad_one(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    f.get("/a/none")
    f.log_contains(r"GET /a/none HTTP/1\.1\" 200 \"?-?\"? \d+$|GET /a/none HTTP/1\.1\" 200 \"\" \d+$")
    f.get("/a/forge", {"User-Agent": "x\" 1\\ [2026-01-01T00:00:00Z INFO  fake] \x7f\x1b[31m"[:30]})
    c = f.client()
    c.send(b"GET /a/esc HTTP/1.1\r\nHost: x\r\nUser-Agent: a\"b\\c\xff\xc3\xa9\t\r\n\r\n")
    c.read_response()
    f.log_contains(r"GET /a/esc ")
    raw = open(f.stderr_path, "rb").read()
    raw.decode("utf-8")
    assert b"\x1b" not in raw and b"\xff" not in raw


def test_refused_requests_are_logged_too(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    c = f.client()
    c.send("GARBAGE\r\n\r\n")
    assert c.read_response().status == 400
    f.log_contains(r"faucet\] 127\.0\.0\.1 .* 400 ")


def test_log_level(faucet, origin):
    o = origin()
    f = faucet({"log": {"level": "error"}, "apps": {"a": upstream(o), "b": backend("say=hidden")}}, origins=[o])
    f.get("/a/x")
    time.sleep(0.2)
    assert "GET /a/x" not in f.log() and "hidden" not in f.log()


def objects(text):
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def find(value, wanted):
    """The values of all keys, at any depth."""
    if isinstance(value, dict):
        return any(find(v, wanted) for v in value.values())
    return value == wanted and type(value) is type(wanted)


def test_json(faucet, origin):
    o = origin()
    f = faucet({"log": {"format": "json"}, "apps": {"sales": upstream(o), "b": backend("say=hello \"quoted\"")}}, origins=[o])
    f.get("/sales/x?y=\"z", {"User-Agent": "curl/8"})
    f.get("/nothing")
    c = f.client()
    c.send(b"GET /sales/bytes HTTP/1.1\r\nHost: x\r\nUser-Agent: \xff\xfe\x01\r\n\r\n".replace(b"\x01", b""))
    c.read_response()
    f.log_contains(r"/sales/bytes")
    found = objects(f.log())
    assert len(found) > 3
    access = [x for x in found if find(x, "/sales/x") or "/sales/x" in json.dumps(x)]
    access = [x for x in access if find(x, 200)]
    assert access, found
    one = access[-1]
    assert find(one, "GET") and find(one, "127.0.0.1") and find(one, "curl/8") and "Worker::sales::1" in json.dumps(one)
    assert any(isinstance(v, (int, float)) and not isinstance(v, bool) for k, v in flat(one) if re.search(r"(?i)ms|elapsed|time|dur", k)), one
    assert any(find(x, 404) for x in found)
    assert any("hello \"quoted\"" in str(v) for x in found for _, v in flat(x))
    assert all(any(re.search(r"(?i)time|ts", k) for k, _ in flat(x)) and any(re.search(r"(?i)level", k) for k, _ in flat(x)) for x in found), found


def flat(value, key=""):
    if isinstance(value, dict):
        for k, v in value.items():
            yield from flat(v, k)
    else:
        yield key, value


def test_file(faucet, origin):
    o = origin()
    f = faucet({"log": {"file": "faucet.log"}, "apps": {"a": upstream(o)}}, origins=[o])
    path = f.dir + "/faucet.log"
    f.get("/a/x")
    until(lambda: "GET /a/x" in open(path).read(), 5, "the line is in the file")
    assert "GET /a/x" not in f.stderr()


def test_usr1_reopens(faucet, origin):
    o = origin()
    f = faucet({"log": {"file": "faucet.log"}, "apps": {"a": upstream(o)}}, origins=[o])
    path = f.dir + "/faucet.log"
    f.get("/a/before")
    until(lambda: "GET /a/before" in open(path).read(), 5)
    os.rename(path, path + ".old")
    f.get("/a/between")
    until(lambda: "GET /a/between" in open(path + ".old").read(), 5, "until told, it goes on in the old file")
    f.signal(signal.SIGUSR1)
    until(lambda: os.path.exists(path), 5, "USR1 makes the new file")
    f.get("/a/after")
    until(lambda: "GET /a/after" in open(path).read(), 5)
    assert "GET /a/after" not in open(path + ".old").read()


def test_rotation_by_size(faucet, origin):
    o = origin()
    f = faucet({"log": {"file": "faucet.log", "max_size": "16KiB"}, "apps": {"a": upstream(o)}}, origins=[o])
    path = f.dir + "/faucet.log"
    c = f.client()
    for i in range(600):
        c.send("GET /a/n%04d HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\n\r\n" % (i, "u" * 50))
        assert c.read_response().status == 200
    until(lambda: os.path.exists(path) and ("n0599" in open(path).read() or not os.path.getsize(path)), 5)
    assert os.path.getsize(path) <= 20 << 10
    rotated = [n for n in os.listdir(f.dir) if n.startswith("faucet.log.")]
    assert rotated and all(os.path.getsize(os.path.join(f.dir, n)) <= 20 << 10 for n in rotated)
    kept = "".join(open(os.path.join(f.dir, n)).read() for n in rotated) + open(path).read()
    lines = re.findall(r"GET /a/n(\d{4})", kept)
    assert lines and "0599" in lines and len(lines) == len(set(lines))
    assert all(re.search(r" \d+\Z|^\[", line) for line in kept.splitlines()), "a line was cut"


def test_usr1_without_a_file_is_harmless(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    for _ in range(3):
        f.signal(signal.SIGUSR1)
    assert f.get("/a/x").status == 200


def test_file_that_cannot_be_opened(faucet, origin):
    o = origin()
    f = faucet({"log": {"file": "/nonexistent/dir/faucet.log"}, "apps": {"a": upstream(o)}}, start=False, origins=[o])
    assert f.run_to_end() == 1
    assert "/nonexistent/dir/faucet.log cannot be written" in f.stderr()


def test_full_pipe_does_not_stop_serving(faucet):
    """Standard error is a pipe that nobody reads: lines are dropped and counted, requests are served."""
    f = faucet({"apps": {"a": backend()}}, start=False)
    read, write = os.pipe()
    fcntl.fcntl(write, 1031, 4096)      # F_SETPIPE_SZ
    f.spawn("--wait-ready", stderr=write)
    os.close(write)
    f.wait_stdout(r"http://\S+:%d" % f.port, 30)
    slowest = 0
    c = f.client()
    for i in range(2000):
        began = time.monotonic()
        c.send("GET /a/x%d HTTP/1.1\r\nHost: x\r\nUser-Agent: %s\r\n\r\n" % (i, "u" * 100))
        assert c.read_response().status == 200
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 1
    assert f.get("/a/print?text=worker-too").status == 200
    assert f.get("/a/flood?mb=2", timeout=30).status == 200, "a worker is not blocked by our log either"
    collected = bytearray()

    def drain():
        while True:
            data = os.read(read, 65536)
            if not data:
                return
            collected.extend(data)
    reader = threading.Thread(target=drain, daemon=True)
    reader.start()
    # the first lines may still find the ring full
    until(lambda: f.get("/a/now").status == 200 and b"GET /a/now" in collected, 10, "once read, the log goes on")
    assert f.stop() == 0
    reader.join(10)
    assert b"drop" in collected.lower() or b"lost" in collected.lower(), "what was dropped is said"
    os.close(read)


def test_closed_standard_error(faucet):
    """`2>&-` must not make a socket become descriptor 2."""
    f = faucet({"apps": {"a": backend()}}, start=False, wrap=["/bin/sh", "-c", "exec \"$0\" \"$@\" 2>&-"])
    f.spawn("--wait-ready")
    f.wait_stdout(r"http://\S+:%d" % f.port, 30)
    for _ in range(5):
        assert f.get("/a/x").status == 200
    links = [os.readlink("/proc/%d/fd/%d" % (f.pid, n)) for n in (0, 1, 2) if os.path.exists("/proc/%d/fd/%d" % (f.pid, n))]
    assert not [x for x in links if "socket" in x or "eventpoll" in x], links


def test_broken_pipe(faucet):
    f = faucet({"apps": {"a": backend()}}, start=False)
    read, write = os.pipe()
    f.spawn("--wait-ready", stderr=write)
    os.close(write)
    f.wait_stdout(r"http://\S+:%d" % f.port, 30)
    os.close(read)
    for _ in range(20):
        assert f.get("/a/x").status == 200


def test_own_messages_name_the_app(faucet):
    f = faucet({"apps": {"a": backend("exit=7"), "ok": backend()}}, wait=False)
    line = f.log_contains(r"^\[\S+Z (WARN|ERROR) .*\b7\b.*$")[0]
    assert re.search(r"\ba\b", line), line


def test_log_of_a_start(faucet):
    f = faucet({"apps": {"a": backend()}})
    f.log_contains(r"127\.0\.0\.1:%d" % f.port)


@pytest.mark.parametrize("word", ["trace", "debug"])
def test_chatty_levels_serve(faucet, word):
    f = faucet({"log": {"level": word}, "apps": {"a": backend()}})
    assert f.get("/a/x").status == 200


def test_version_or_help():
    done = subprocess.run([BIN, "--help"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and "check" in done.stdout and "run" in done.stdout
