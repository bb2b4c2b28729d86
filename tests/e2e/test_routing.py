"""Which app answers, with what path; redirects and error pages."""
import json

import pytest

from faucet import upstream


@pytest.fixture(scope="module")
def site(module_faucet, module_origin):
    origins = {name: module_origin() for name in ("root", "sales", "deep", "two", "host", "hostsub", "wild")}
    o = origins
    f = module_faucet({"apps": {
        "root": upstream(o["root"], route="/"),
        "sales": upstream(o["sales"]),
        "deep": upstream(o["deep"], route="/sales/deep/er/"),
        "two": upstream(o["two"], route=["/one/", "/two/"]),
        "host": upstream(o["host"], host="app.example.com"),
        "hostsub": upstream(o["hostsub"], host=["app.example.com", "other.example.com"], route="/sub/"),
        "slash": upstream(o["wild"], route="/noslash"),
    }}, origins=list(o.values()))
    return f, o


def answered(site, target, host="localhost", method="GET"):
    """(app, path it saw) for a target sent raw."""
    f, origins = site
    counts = {name: len(o.requests) for name, o in origins.items()}
    c = f.client()
    c.send("%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (method, target, host))
    r = c.read_response(method)
    c.close()
    seen = [(name, o.requests[-1][1].target) for name, o in origins.items() if len(o.requests) > counts[name]]
    if r.status != 200:
        assert not [s for s in seen if s[1] != "/"], "refused, and sent on all the same"
        return r
    assert len(seen) == 1, seen
    return seen[0]


@pytest.mark.parametrize("target,app,path", [
    ("/", "root", "/"), ("/x", "root", "/x"), ("/sales/", "sales", "/"), ("/sales/x?y=/z", "sales", "/x?y=/z"), ("/salesx", "root", "/salesx"),
    ("/sale", "root", "/sale"), ("/sales/deep/", "sales", "/deep/"), ("/sales/deep/er/", "deep", "/"), ("/sales/deep/er/x", "deep", "/x"),
    ("/sales/deep/erx", "sales", "/deep/erx"), ("/one/x", "two", "/x"), ("/two/x", "two", "/x"), ("/Sales/x", "root", "/Sales/x"),
    ("/three/x", "root", "/three/x"), ("/?a", "root", "/?a"), ("/sales/?", "sales", "/?"), ("/sales/?a=b?c", "sales", "/?a=b?c"),
])
def test_longest_prefix(site, target, app, path):
    assert answered(site, target) == (app, path)


@pytest.mark.parametrize("host,target,app", [
    ("app.example.com", "/", "host"), ("APP.Example.COM", "/", "host"), ("app.example.com:3838", "/x", "host"), ("app.example.com", "/sub/x", "hostsub"),
    ("other.example.com", "/sub/x", "hostsub"), ("other.example.com", "/x", "root"), ("example.com", "/", "root"), ("xapp.example.com", "/", "root"),
    ("app.example.com", "/sales/x", "host"), ("app.example.com.", "/", ("host", "root")),
])
def test_host(site, host, target, app):
    got = answered(site, target, host)
    assert got[0] == app or got[0] in app


def test_absolute_form_names_the_host(site):
    """RFC 9112 3.2.2: the target's host wins over the field."""
    assert answered(site, "http://app.example.com/x", host="localhost") == ("host", "/x")
    assert answered(site, "http://app.example.com", host="app.example.com")[0] == "host"


@pytest.mark.parametrize("target,app,path", [
    ("/sales/a/../b", "sales", "/b"), ("/sales/./b", "sales", "/b"), ("/sales/a/b/..", "sales", "/a/"), ("/sales/a/.", "sales", "/a/"),
    ("/sales/%2e%2e/x", "root", "/x"), ("/sales/.%2E/x", "root", "/x"), ("/x/../sales/y", "sales", "/y"), ("/x/%2e%2e/sales/y", "sales", "/y"),
    ("/%73ales/y", "sales", "/y"), ("/s%61les/%41%7e%2D", "sales", "/A~-"), ("/sales/../two/x", "two", "/x"), ("/sales/deep/x/../er/y", "deep", "/y"),
    ("/sales/a%20b", "sales", "/a%20b"), ("/sales/a+b", "sales", "/a+b"), ("/sales/;p=1/x", "sales", "/;p=1/x"), ("/sales/a?x=%2e%2e/..", "sales", "/a?x=%2e%2e/.."),
    ("/sales/%C3%A9", "sales", "/%C3%A9"), ("/sales/...", "sales", "/..."), ("/sales/a/..b", "sales", "/a/..b"), ("/sales/%25%32%65", "sales", "/%252e"),
])
def test_normalised_path(site, target, app, path):
    assert answered(site, target) == (app, path)


@pytest.mark.parametrize("target,app,paths", [
    ("/sales/a%2Fb", "sales", ("/a%2Fb",)), ("/sales/a%2fb", "sales", ("/a%2fb", "/a%2Fb")), ("/sales%2Fx", "root", ("/sales%2Fx",)),
    ("/sales/x%2F..%2Fy", "sales", ("/x%2F..%2Fy",)), ("/sales/%c3%a9", "sales", ("/%c3%a9", "/%C3%A9")), ("/sales//x", "sales", ("//x", "/x")),
])
def test_kept_escapes(site, target, app, paths):
    got = answered(site, target)
    assert got[0] == app and got[1] in paths, got


@pytest.mark.parametrize("target", ["/../x", "/..", "/%2e%2e/x", "/sales/../../x", "/../../sales/x"])
def test_above_the_root(site, target):
    got = answered(site, target)
    if isinstance(got, tuple):       # RFC 3986 5.2.4 stops at the root
        assert ".." not in got[1] and got[0] in ("root", "sales")
    else:
        assert got.status == 400


@pytest.mark.parametrize("target", ["/sales/%", "/sales/%4", "/sales/%zz", "/sales/%00", "/sales/a%00b"])
def test_bad_escapes(site, target):
    got = answered(site, target)
    assert not isinstance(got, tuple) and got.status == 400, got


@pytest.mark.parametrize("target,location", [("/sales", "/sales/"), ("/sales?a=b", "/sales/?a=b"), ("/one", "/one/"), ("/sales/deep/er", "/sales/deep/er/"),
                                             ("/x/../sales", "/sales/"), ("/noslash", "/noslash/")])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_redirect_to_the_slash(site, target, location, method):
    f, _ = site
    r = f.request(method, target)
    assert r.status == 308 and r["Location"] == location, r


def test_redirect_is_no_open_redirect(site):
    f, _ = site
    for target in ("//sales", "//evil.example/sales", "/%2Fevil.example/..//sales"):
        r = f.get(target)
        assert not (r["Location"] or "").startswith("//"), r


@pytest.mark.parametrize("sent,expected", [
    ("/x", "/sales/x"), ("/", "/sales/"), ("/sales/x", "/sales/x"), ("/sales/", "/sales/"), ("/salesx", "/sales/salesx"), ("x", "x"), ("../x", "../x"),
    ("?q", "?q"), ("http://elsewhere.example/x", "http://elsewhere.example/x"), ("//elsewhere.example/x", "//elsewhere.example/x"), ("/x?a=/b#c", "/sales/x?a=/b#c"),
])
def test_location(site, sent, expected):
    f, o = site
    o["sales"].reply("/moved", "302 Found", b"", "Location: " + sent)
    assert f.get("/sales/moved")["Location"] == expected


def test_location_of_a_catch_all(site):
    f, o = site
    o["root"].reply("/moved", "302 Found", b"", "Location: /x")
    assert f.get("/moved")["Location"] == "/x"


def test_two_prefixes_each_get_their_own(site):
    f, o = site
    o["two"].reply("/moved", "302 Found", b"", "Location: /x")
    assert f.get("/one/moved")["Location"] == "/one/x"
    assert f.get("/two/moved")["Location"] == "/two/x"


def test_no_route(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    r = f.get("/nothing", {"Accept": "application/json"})
    assert r.status == 404 and r["Content-Type"].split(";")[0] == "application/problem+json"
    problem = json.loads(r.body)
    assert problem["status"] == 404 and problem.get("title") and r["Faucet-Request-Uuid"] in r.text
    page = f.get("/nothing", {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.status == 404 and page["Content-Type"].startswith("text/html") and page["Faucet-Request-Uuid"] in page.text
    assert f.get("/nothing")["Content-Type"].split(";")[0] == "application/problem+json"
    assert f.request("HEAD", "/nothing").status == 404
    evil = f.get("/<script>alert(1)</script>", {"Accept": "text/html"})
    assert b"<script>alert" not in evil.body
    assert f.get("/").status == 404


def test_404_keeps_the_connection(faucet, origin):
    o = origin()
    f = faucet({"apps": {"a": upstream(o)}}, origins=[o])
    c = f.client()
    for _ in range(3):
        c.send("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.read_response().status == 404
        c.send("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.read_response().status == 200
    c.send("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc")
    r = c.read_response()
    assert r.status == 404
    if "close" in (r["Connection"] or "").lower():      # a body that nobody reads may cost the connection, if that is said
        assert c.wait_eof(5)
    else:
        c.send("GET /a/x HTTP/1.1\r\nHost: x\r\n\r\n")
        assert c.read_response().status == 200
