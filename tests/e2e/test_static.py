"""The static kind: files as a careful server gives them, and no way out of the directory."""
import email.utils
import os
import socket

import pytest

from faucet import MEMORY_ROOM

TEXT = "".join("line %06d\n" % i for i in range(10000)).encode()


@pytest.fixture(scope="module")
def f(module_faucet):
    f = module_faucet(start=False)
    f.file("secret.txt", "secret")
    f.file("outside/secret.txt", "secret")
    f.file("www/index.html", "<h1>root</h1>")
    f.file("www/sub/index.html", "<h1>sub</h1>")
    f.file("www/empty/.keep", "")
    f.file("www/zero.txt", "")
    f.file("www/big.txt", TEXT)
    f.file("www/with space.txt", "space")
    f.file("www/caf\u00e9.txt", "unicode")
    f.file("www/percent%41.txt", "percent")
    for name in ("a.css", "a.js", "a.json", "a.svg", "a.png", "a.jpg", "a.woff2", "a.pdf", "a.txt", "a.html", "a.unknownext", "noext", "a.wasm", "a.csv"):
        f.file("www/types/" + name, "content")
    os.symlink("../secret.txt", f.dir + "/www/link-out.txt")
    os.symlink("/etc/passwd", f.dir + "/www/link-abs")
    os.symlink("../outside", f.dir + "/www/link-dir")
    os.symlink("big.txt", f.dir + "/www/link-in.txt")
    os.mkfifo(f.dir + "/www/fifo")
    with open(f.dir + "/www/huge.bin", "wb") as huge:
        huge.truncate(200 << 20)
    f.write({"apps": {"www": {"type": "static", "dir": f.dir + "/www", "route": "/"}, "sub": {"type": "static", "dir": f.dir + "/www", "route": "/s/"}}})
    return f.start()


def test_index(f):
    for path, text in (("/", "<h1>root</h1>"), ("/sub/", "<h1>sub</h1>"), ("/s/", "<h1>root</h1>"), ("/s/sub/", "<h1>sub</h1>")):
        r = f.get(path)
        assert r.status == 200 and r.text == text and r["Content-Type"].startswith("text/html"), r


def test_directory_gets_its_slash(f):
    for path in ("/sub", "/s/sub"):
        r = f.get(path + "?q=1")
        assert r.status in (301, 308) and r["Location"] == path + "/?q=1", r


def test_nothing_there(f):
    for path in ("/none.txt", "/none/", "/sub/none", "/empty/", "/big.txt/", "/big.txt/x"):
        assert f.get(path).status in (403, 404), path


@pytest.mark.parametrize("name,kind", [
    ("a.css", "text/css"), ("a.js", "text/javascript"), ("a.json", "application/json"), ("a.svg", "image/svg+xml"), ("a.png", "image/png"),
    ("a.jpg", "image/jpeg"), ("a.woff2", "font/woff2"), ("a.pdf", "application/pdf"), ("a.txt", "text/plain"), ("a.html", "text/html"),
    ("a.unknownext", "application/octet-stream"), ("noext", "application/octet-stream"), ("a.wasm", "application/wasm"), ("a.csv", "text/csv"),
])
def test_content_types(f, name, kind):
    got = f.get("/types/" + name)["Content-Type"]
    assert got.split(";")[0] == kind or (kind == "text/javascript" and got.split(";")[0] == "application/javascript"), got


def test_body_and_validators(f):
    r = f.get("/big.txt")
    assert r.status == 200 and r.body == TEXT and r["Content-Length"] == str(len(TEXT))
    assert r["ETag"] and r["Last-Modified"] and r["Accept-Ranges"] == "bytes"
    assert email.utils.parsedate_to_datetime(r["Last-Modified"]).timestamp() == int(os.stat(f.dir + "/www/big.txt").st_mtime)
    assert f.get("/link-in.txt").body == TEXT
    assert f.get("/zero.txt").body == b"" and f.get("/zero.txt")["Content-Length"] == "0"


def test_names(f):
    assert f.get("/with%20space.txt").text == "space"
    assert f.get("/caf%C3%A9.txt").text == "unicode"
    assert f.get("/percent%2541.txt").text == "percent"
    assert f.get("/percent%41.txt").status == 404


def test_head(f):
    r, full = f.request("HEAD", "/big.txt"), f.get("/big.txt")
    assert r.status == 200 and r.body == b"" and r["Content-Length"] == str(len(TEXT)) and r["ETag"] == full["ETag"]
    assert r["Content-Type"] == full["Content-Type"]


def test_head_on_a_kept_connection(f):
    c = f.client()
    c.send("HEAD /big.txt HTTP/1.1\r\nHost: x\r\n\r\nGET /zero.txt HTTP/1.1\r\nHost: x\r\n\r\n")
    assert c.read_response("HEAD").status == 200
    assert c.read_response().body == b""


def test_conditional(f):
    r = f.get("/big.txt")
    etag, date = r["ETag"], r["Last-Modified"]
    for headers in ({"If-None-Match": etag}, {"If-None-Match": '"no", %s' % etag}, {"If-None-Match": "*"}, {"If-Modified-Since": date},
                    {"If-None-Match": "W/" + etag.replace("W/", "")}):
        r = f.get("/big.txt", headers)
        assert r.status == 304 and r.body == b"" and r["ETag"] == etag, (headers, r)
    for headers in ({"If-None-Match": '"no"'}, {"If-None-Match": '"no"', "If-Modified-Since": date},
                    {"If-Modified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}, {"If-Modified-Since": "yesterday"}):
        assert f.get("/big.txt", headers).status == 200, headers
    assert f.request("HEAD", "/big.txt", {"If-None-Match": etag}).status == 304
    assert f.get("/big.txt", {"If-Match": '"no"'}).status == 412
    assert f.get("/big.txt", {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT"}).status == 412


N = len(TEXT)


@pytest.mark.parametrize("ask,first,last", [
    ("bytes=0-0", 0, 0), ("bytes=0-99", 0, 99), ("bytes=100-", 100, N - 1), ("bytes=-100", N - 100, N - 1),
    ("bytes=%d-%d" % (N - 1, N + 1000), N - 1, N - 1), ("bytes=-%d" % (N * 2), 0, N - 1), ("bytes=50-99999999999999999999", 50, N - 1),
])
def test_range(f, ask, first, last):
    r = f.get("/big.txt", {"Range": ask})
    assert r.status == 206 and r["Content-Range"] == "bytes %d-%d/%d" % (first, last, N) and r.body == TEXT[first:last + 1], r


@pytest.mark.parametrize("ask", ["bytes=%d-" % N, "bytes=99999999-", "bytes=-0"])
def test_range_out_of_the_file(f, ask):
    r = f.get("/big.txt", {"Range": ask})
    assert r.status == 416 and r["Content-Range"] == "bytes */%d" % N, r


@pytest.mark.parametrize("ask", ["bytes=5-4", "lines=0-1", "bytes=a-b", "bytes=", "bytes=0-1,5-6", "bytes 0-1", "bytes=--1", "bytes=1-2x"])
def test_range_that_is_ignored(f, ask):
    r = f.get("/big.txt", {"Range": ask})
    assert (r.status == 200 and r.body == TEXT) or r.status == 416, r


def test_if_range(f):
    r = f.get("/big.txt")
    assert f.get("/big.txt", {"Range": "bytes=0-9", "If-Range": r["ETag"]}).status in (206, 200 if r["ETag"].startswith("W/") else 206)
    assert f.get("/big.txt", {"Range": "bytes=0-9", "If-Range": '"old"'}).status == 200
    assert f.get("/big.txt", {"Range": "bytes=0-9", "If-Range": "Thu, 01 Jan 1970 00:00:00 GMT"}).status == 200


@pytest.mark.parametrize("target", [
    "/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt", "/%2E%2E/secret.txt", "/..%2fsecret.txt", "/..%2Fsecret.txt",
    "/%2e%2e%2fsecret.txt", "/sub%2f..%2f..%2fsecret.txt", "/..%5csecret.txt", "/..\\secret.txt", "/....//secret.txt", "/.../secret.txt",
    "/link-out.txt", "/link-abs", "/link-dir/secret.txt", "/link-dir/", "//etc/passwd", "/%2fetc%2fpasswd", "/%252e%252e/secret.txt",
    "/big.txt%00", "/%00", "/big.txt%00.html", "/secret.txt", "/s/../../secret.txt", "/s/%2e%2e/%2e%2e/secret.txt", "/sub%2Findex.html",
    "/" + "a/" * 3000, "/" + "b" * 300, "/" + "../" * 500 + "etc/passwd",
])
def test_no_escape(f, target):
    c = f.client()
    c.send("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
    r = c.read_response()
    assert r.status in (400, 403, 404, 414), r
    assert b"secret" not in r.body.replace(b"secret.txt", b"") and b"root:" not in r.body


def test_things_that_are_no_files(f):
    assert f.get("/fifo", timeout=5).status in (403, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_methods(f, method):
    r = f.request(method, "/big.txt", body=b"x")
    assert r.status == 405 and "GET" in r["Allow"] and "HEAD" in r["Allow"], r


def test_huge_file_in_little_memory(f):
    before = f.rss_anon()
    c = f.client(timeout=60)
    c.keep = False
    c.send("GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n")
    r = c.read_response(body=False)
    left = r.framing
    assert left == 200 << 20
    most = 0
    while left:
        if not c.buffer:
            c.fill(c._deadline(None))
        left -= len(c.take(min(left, len(c.buffer))))
        if left % 7 == 0:
            most = max(most, f.rss_anon())
    assert most - before < (2 << 20) + MEMORY_ROOM


def test_client_that_leaves_in_the_middle(f):
    before = f.descriptors()
    for _ in range(20):
        c = f.client(rcvbuf=4096)
        c.send("GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        c.read_exactly(1000)
        c.reset()
    from wire import until
    until(lambda: f.descriptors() <= before + 2, 10, "its descriptors are closed")
    assert f.get("/big.txt").body == TEXT


def test_slow_reader_does_not_hold_others(f):
    c = f.client(rcvbuf=4096)
    c.send("GET /huge.bin HTTP/1.1\r\nHost: x\r\n\r\n")
    c.read_exactly(100)
    for _ in range(20):
        assert f.get("/sub/").status == 200


def test_file_that_changes(f):
    f.file("www/change.txt", "one")
    r = f.get("/change.txt")
    f.file("www/change.txt", "two!")
    again = f.get("/change.txt", {"If-None-Match": r["ETag"]})
    assert again.status == 200 and again.text == "two!"
    os.unlink(f.dir + "/www/change.txt")
    assert f.get("/change.txt").status == 404


def test_file_that_shrinks_while_sent(f):
    """The length was promised: the connection ends early, nothing else is sent in its place."""
    path = f.dir + "/www/shrink.bin"
    with open(path, "wb") as out:
        out.truncate(64 << 20)
    c = f.client(rcvbuf=4096)
    c.keep = False
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.send("GET /shrink.bin HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
    r = c.read_response(body=False)
    os.truncate(path, 1000)
    rest = c.read_all(20)
    assert len(rest) <= r.framing and b"<h1>" not in rest
    os.unlink(path)
    assert f.get("/").status == 200
