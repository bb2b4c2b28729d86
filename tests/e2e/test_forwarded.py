"""What faucet tells a worker about the client, and whose word it takes for it."""
import json
import re
import uuid

import pytest

from faucet import upstream
from wire import until

FORGED = {"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "X-Forwarded-Prefix": "/evil",
          "X-Forwarded-Port": "1"}


def make(faucet, origin, **settings):
    o = origin()
    f = faucet({"apps": {"sales": upstream(o), "root": upstream(o, route="/")}, **settings}, origins=[o])
    return f, o


def headers(f, target="/sales/x", sent=(), **kwargs):
    r = f.get(target, sent, **kwargs)
    assert r.status == 200, r
    fields = {}
    for name, value in json.loads(r.body)["headers"]:
        fields.setdefault(name.lower(), []).append(value)
    return fields


def test_set_on_every_request(faucet, origin):
    f, _ = make(faucet, origin)
    h = headers(f, host="app.example:8080")
    assert h["x-forwarded-for"] == ["127.0.0.1"] and h["x-forwarded-proto"] == ["http"]
    assert h["x-forwarded-host"] == ["app.example:8080"] and h["host"] == ["app.example:8080"]
    assert h["x-forwarded-prefix"][0].rstrip("/") == "/sales"
    assert headers(f, "/x").get("x-forwarded-prefix", ["/"])[0] in ("/", "")


def test_forged_values_are_not_believed(faucet, origin):
    f, _ = make(faucet, origin)
    h = headers(f, sent=FORGED, host="app.example")
    assert h["x-forwarded-for"] == ["127.0.0.1"]
    assert h["x-forwarded-proto"] == ["http"] and h["x-forwarded-host"] == ["app.example"] and h["x-forwarded-prefix"][0].rstrip("/") == "/sales"
    assert "6.6.6.6" not in json.dumps({k: v for k, v in h.items() if k.startswith("x-forwarded")})


def test_trusted_proxy_is_believed(faucet, origin):
    f, _ = make(faucet, origin, trusted_proxies=["127.0.0.0/8"])
    h = headers(f, sent={"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example"})
    assert h["x-forwarded-for"] == ["203.0.113.9, 127.0.0.1"], h
    assert h["x-forwarded-proto"] == ["https"] and h["x-forwarded-host"] == ["shop.example"]


def test_several_fields_become_one_list(faucet, origin):
    f, _ = make(faucet, origin, trusted_proxies=["127.0.0.0/8"])
    h = headers(f, sent=[("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-For", "10.1.1.1")])
    assert ", ".join(h["x-forwarded-for"]) == "203.0.113.9, 10.1.1.1, 127.0.0.1" and len(h["x-forwarded-for"]) == 1


def logged_address(f, sent):
    marker = "/sales/m" + uuid.uuid4().hex
    assert f.get(marker, sent).status == 200
    line = f.log_contains(r"\] (\S+) \"GET %s " % marker)
    return line[1]


@pytest.mark.parametrize("trusted,chain,expected", [
    (["127.0.0.1"], "203.0.113.9", "203.0.113.9"),
    (["127.0.0.1"], "6.6.6.6, 203.0.113.9", "203.0.113.9"),                    # the leftmost is forgeable
    (["127.0.0.1", "10.0.0.0/8"], "6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
    (["127.0.0.1", "10.0.0.0/8"], "10.9.9.9, 10.1.2.3", "10.9.9.9"),           # all trusted: the first of them
    ("private_ranges", "6.6.6.6, 203.0.113.9, 192.168.1.1, 172.16.3.4, 10.0.0.1", "203.0.113.9"),
    ("private_ranges", "2001:db8::7, fd00::1", "2001:db8::7"),
    (["127.0.0.1"], "203.0.113.9, garbage", "127.0.0.1"),                      # what cannot be read is not passed over
    (["127.0.0.1"], "", "127.0.0.1"),
    (["10.0.0.0/8"], "203.0.113.9", "127.0.0.1"),                              # the peer itself is not trusted
])
def test_ip_from_x_forwarded_for(faucet, origin, trusted, chain, expected):
    f, _ = make(faucet, origin, trusted_proxies=trusted, ip_from="x-forwarded-for")
    assert logged_address(f, {"X-Forwarded-For": chain}) == expected


def test_ip_from_client(faucet, origin):
    f, _ = make(faucet, origin, trusted_proxies=["127.0.0.1"])
    assert logged_address(f, {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9"}) == "127.0.0.1"


def test_ip_from_x_real_ip(faucet, origin):
    f, _ = make(faucet, origin, trusted_proxies=["127.0.0.1"], ip_from="x-real-ip")
    assert logged_address(f, {"X-Real-IP": "203.0.113.9", "X-Forwarded-For": "6.6.6.6"}) == "203.0.113.9"
    assert logged_address(f, {"X-Real-IP": "nonsense"}) == "127.0.0.1"
    assert logged_address(f, {}) == "127.0.0.1"


def test_x_real_ip_of_a_stranger(faucet, origin):
    f, _ = make(faucet, origin, trusted_proxies=["10.0.0.0/8"], ip_from="x-real-ip")
    assert logged_address(f, {"X-Real-IP": "203.0.113.9"}) == "127.0.0.1"


UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")


def test_request_uuid(faucet, origin):
    f, o = make(faucet, origin)
    seen = []
    for sent in ({}, {"Faucet-Request-Uuid": "forged"}, {"faucet_request_uuid": "forged"}):
        r = f.get("/sales/x", sent)
        at_worker = o.seen("/x")[-1].headers.all("Faucet-Request-Uuid")
        assert at_worker == [r["Faucet-Request-Uuid"]] and UUID7.match(at_worker[0]), (sent, at_worker)
        seen.append(at_worker[0])
    assert seen == sorted(seen) and len(set(seen)) == 3          # version 7 sorts by time
    assert UUID7.match(f.get("/sales")["Faucet-Request-Uuid"])   # replies of our own too


def test_reply_cannot_forge_the_uuid(faucet, origin):
    f, o = make(faucet, origin)
    o.reply("/forge", "200 OK", b"", "Faucet-Request-Uuid: forged")
    assert [UUID7.match(v) is not None for v in f.get("/sales/forge").headers.all("Faucet-Request-Uuid")] == [True]


TRACE = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-9a-f]\Z")


def test_traceparent(faucet, origin):
    f, _ = make(faucet, origin)
    mine = headers(f)["traceparent"]
    assert len(mine) == 1 and TRACE.match(mine[0]) and "0" * 32 not in mine[0]
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    h = headers(f, sent={"traceparent": "00-%s-%s-01" % (trace, parent), "tracestate": "a=b"})
    got = TRACE.match(h["traceparent"][0])
    assert len(h["traceparent"]) == 1 and got and got[1] == trace       # the trace goes on
    assert h["tracestate"] == ["a=b"]
    for bad in ("nonsense", "00-%s-%s-01" % ("0" * 32, parent), "00-%s-%s-01" % (trace.upper(), parent), "ff-%s-%s-01" % (trace, parent)):
        h = headers(f, sent={"traceparent": bad})
        assert len(h["traceparent"]) == 1 and TRACE.match(h["traceparent"][0]) and trace not in h["traceparent"][0], bad


@pytest.mark.parametrize("name", ["X_Forwarded_For", "x_forwarded-for", "X-Forwarded_For", "X_Forwarded_Proto", "X_Forwarded_Host", "X_Forwarded_Prefix",
                                  "Content_Length", "Transfer_Encoding", "Faucet_Request_Uuid", "FAUCET_REQUEST_UUID", "Trace_Parent"])
def test_underscore_aliases_are_dropped(faucet, origin, name):
    f, _ = make(faucet, origin, trusted_proxies=["127.0.0.1"])
    for order in ([(name, "6"), ("X-Other", "1")], [("X-Forwarded-For", "203.0.113.9"), (name, "6")], [(name, "6"), ("X-Forwarded-For", "203.0.113.9")]):
        h = headers(f, sent=order)
        if name != "Trace_Parent":      # that one aliases nothing of ours
            assert name.lower() not in h, h
    assert headers(f, sent={"My_Own": "1"})["my_own"] == ["1"]           # others are the app's business


def test_hop_by_hop_headers_end_here(faucet, origin):
    f, o = make(faucet, origin)
    c = f.client()
    c.send("GET /sales/x HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n"
           "TE: trailers, gzip\r\nX-Yours: 2\r\n\r\n")
    h = {n.lower(): v for n, v in json.loads(c.read_response().body)["headers"]}
    assert "x-mine" not in h and "keep-alive" not in h and "proxy-connection" not in h
    assert h["x-yours"] == "2" and h.get("te", "trailers") == "trailers"
    o.reply("/back", "200 OK", b"x", "Connection: X-Secret", "X-Secret: 1", "Keep-Alive: timeout=5", "Proxy-Connection: x", "X-Public: 2")
    r = f.get("/sales/back")
    assert r["X-Public"] == "2" and "X-Secret" not in r.headers and "Keep-Alive" not in r.headers and "Proxy-Connection" not in r.headers


def test_connection_cannot_remove_what_matters(faucet, origin):
    f, _ = make(faucet, origin)
    c = f.client()
    c.send("GET /sales/x HTTP/1.1\r\nHost: x\r\nConnection: X-Forwarded-For, Host, Faucet-Request-Uuid, X-Forwarded-Proto, Cookie\r\nCookie: a=b\r\n\r\n")
    r = c.read_response()
    if r.status == 400:
        return
    h = {n.lower(): v for n, v in json.loads(r.body)["headers"]}
    assert h["x-forwarded-for"] == "127.0.0.1" and h["host"] == "x" and "faucet-request-uuid" in h and h["x-forwarded-proto"] == "http"


def test_unix_client(faucet, origin):
    o = origin()
    f = faucet(start=False)
    f.write({"listen": ["127.0.0.1:%d" % f.port, "unix:%s/l.sock" % f.dir], "apps": {"sales": upstream(o)}})
    f.start()
    r = f.get("/sales/u", address=f.dir + "/l.sock")
    assert r.status == 200
    assert "127.0.0.1" not in (o.seen("/u")[0]["X-Forwarded-For"] or "")
    until(lambda: f.access_lines(r"GET /sales/u "), 5)
