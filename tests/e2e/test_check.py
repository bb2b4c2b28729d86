"""`faucet check`, `config`, `schema`: every mistake in a faucet.yaml is found at once, at its place, with what would be right."""
import glob
import json
import os
import re
import subprocess
import time

import jsonschema
import pytest
import yaml

from faucet import APPS, BIN, ROOT

OK = "apps: { a: { type: static, dir: '@DIR@' } }\n"


def report(f, text, *args, name="faucet.yaml", **kwargs):
    f.write(text, name=name)
    done = f.tool("check", *args, **kwargs)
    return done, done.stdout + done.stderr


def marks(text):
    """The text without its « and where they stood: a list of (line, column), counted from 1. @DIR@ and the like come first."""
    places, clean = [], []
    for number, line in enumerate(text.split("\n"), 1):
        while "«" in line:
            at = line.index("«")
            places.append((number, at + 1))
            line = line[:at] + line[at + 1:]
        clean.append(line)
    return "\n".join(clean), places


# What is wrong, with « before the place (either of two: a key or its value), and words the message has to have.
MISTAKES = {
    "unknown key at the top": ("«lissten: 127.0.0.1:1\n" + OK, r"listen\b"),
    "unknown key of an app": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    «worker: 2\n", r"\bworkers\b"),
    "unknown nested key": ("log: { «levle: info }\n" + OK, r"\blevel\b"),
    "unknown key in defaults": ("defaults: { «streategy: ip-hash }\n" + OK, r"\bstrategy\b"),
    "duplicate key": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    workers: 1\n    «workers: «2\n", r"(?i)twice|duplicate|already|second time"),
    "duplicate app": ("apps:\n  a: { type: static, dir: '@DIR@' }\n  «a: «{ type: static, dir: '@DIR@' }\n", r"(?i)twice|duplicate|already|second time"),
    "text for a number": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    «workers: «many\n", r"many"),
    "list for a number": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    «workers: «[1, 2]\n", r"workers"),
    "scalar for a map": ("«log: «info\n" + OK, r"log"),
    "map for a string": ("apps:\n  a:\n    type: static\n    «dir: «{ x: y }\n", r"dir"),
    "list for env": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    «env: «[A, B]\n", r"env"),
    "list for apps": ("«apps: «[a, b]\n", r"apps"),
    "too small": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    «workers: «0\n", r"\b1\b"),
    "too large": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    «workers: «100000\n", r"\b1000\b"),
    "no such duration": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    «start_timeout: «5 parsecs\n", r"(?s)parsecs.*\b(s|ms|30s|500ms)\b"),
    "no such size": ("limits: { «header_size: «3XB }\n" + OK, r"(?s)3XB.*KiB"),
    "no such word": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    «strategy: «random\n", r"(?s)random.*round-robin.*cookie-hash|round-robin.*cookie-hash.*random"),
    "no such type": ("apps:\n  a:\n    «type: «shyny\n    dir: '@DIR@'\n", r"shiny"),
    "no such log level": ("log: { «level: «loud }\n" + OK, r"info"),
    "rps": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    «strategy: «rps\n", r"(?i)not\b.*\b(yet|there)|yet"),
    "missing directory": ("apps:\n  a:\n    type: static\n    «dir: «/nonexistent/there\n", r"/nonexistent/there"),
    "missing interpreter": ("«rscript: «/nonexistent/Rscript\napps:\n  «p: «{ «type: «plumber, dir: '@APPS@/plumber' }\n", r"/nonexistent/Rscript"),
    "port too large": ("«listen: «127.0.0.1:99999\n" + OK, r"99999"),
    "no port": ("«listen: «localhost\n" + OK, r"(?i)port|host:port"),
    "socket path too long": ("«listen: «unix:/tmp/" + "x" * 110 + "\n" + OK, r"107"),
    "no such network": ("«trusted_proxies: [«10.0.0.0/33]\n" + OK, r"10\.0\.0\.0/33"),
    "ip_from without trusted_proxies": ("«ip_from: «x-forwarded-for\n" + OK, r"trusted_proxies"),
    "bad app name": ("apps:\n  «Sales!: «{ type: static, dir: '@DIR@' }\n", r"Sales!"),
    "app names that collide": ("apps:\n  a-b: { type: static, dir: '@DIR@' }\n  «a_b: «{ type: static, dir: '@DIR@' }\n", r"a-b"),
    "two apps on one route": ("apps:\n  a: { type: static, dir: '@DIR@', route: /x/ }\n  «b: «{ type: static, dir: '@DIR@', «route: «/x/ }\n", r"(?s)/x/.*\ba\b|\ba\b.*/x/"),
    "bad upstream": ("apps:\n  a:\n    «upstream: [«10.0.0.7]\n", r"10\.0\.0\.7"),
    "variable that must be there": ("apps:\n  a:\n    type: static\n    «dir: «${NOT_THERE:?say where the files are}\n", r"say where the files are"),
    "variable that is not set, for dir": ("apps:\n  a:\n    type: shiny\n    «dir: «${NOT_THERE}\n", r"NOT_THERE is not set"),
    "variable that is not set, in dir": ("apps:\n  a:\n    «dir: «${NOT_THERE}/a\n", r"NOT_THERE is not set"),
    "variable that is not set, for app_dir": ("apps:\n  a:\n    type: shiny\n    dir: '@DIR@'\n    «app_dir: «${NOT_THERE}\n", r"NOT_THERE is not set"),
    "variable that is not set, for upstream": ("apps:\n  a:\n    type: upstream\n    «upstream: [«'${NOT_THERE}']\n", r"NOT_THERE is not set"),
    "variable that is not set, for command": ("apps:\n  a:\n    type: command\n    «command: «${NOT_THERE}\n", r"NOT_THERE is not set"),
    "variable that is not set, for include": ("«include: «${NOT_THERE}/apps.d/*.yaml\n", r"NOT_THERE is not set"),
    "bad cookie name": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    cookie: { «name: «'a b' }\n", r"name"),
    "connection string": ("telemetry: { «postgres_string: «'host=db password=hunter2 hunter3' }\n" + OK, r"postgresql://.*host="),
    "connection string of an app": ("apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    telemetry: { «postgres_string: «'host=db sslmode=maybe' }\n",
                                    r"sslmode.*verify-full"),
    "connection string with a bare @": ("telemetry: { «postgres_string: «'postgresql://u:hunter2@hunter3@db/x' }\n" + OK, r"%40"),
    "hosts and ports": ("telemetry: { «postgres_string: «'host=a,b port=1,2,3 user=u' }\n" + OK, r"ports"),
    "no such service": ("telemetry: { «postgres_string: «'service=nowhere' }\n" + OK, r"pg_service\.conf"),
    "auto finds nothing": ("apps:\n  a:\n    «type: «auto\n    «dir: «'@DIR@/empty'\n", r"(?s)plumber\.R.*app\.R.*main\.py|app\.R.*plumber\.R|plumber\.R"),
    "auto is ambiguous": ("apps:\n  a:\n    «type: «auto\n    «dir: «'@DIR@/both'\n", r"(?s)(plumber\.R.*app\.R|app\.R.*plumber\.R)"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_mistake_is_found_where_it_is(faucet, what):
    f = faucet(start=False)
    f.file("empty/readme.txt", "nothing")
    f.file("both/app.R", "library(shiny)")
    f.file("both/plumber.R", "#* @get /")
    raw, words = MISTAKES[what]
    text, places = marks(raw.replace("@DIR@", f.dir).replace("@APPS@", APPS))
    done, out = report(f, text)
    assert done.returncode == 78, out
    found = re.findall(r"^(?!warning)[^\n:]*faucet\.yaml:(\d+):(\d+): (.*(?:\n(?![^\n]*faucet\.yaml:).*)*)", out, re.M)
    assert len(found) == 1, "one mistake, one message: %s" % out
    line, column, message = found[0]
    assert (int(line), int(column)) in places, "%s; expected one of %s" % (out, places)
    assert re.search(words, message), out


def test_message_names_the_key(faucet):
    done, out = report(faucet(start=False), "apps:\n  sales:\n    type: static\n    dir: '@DIR@'\n    workers: many\n")
    assert re.search(r"faucet\.yaml:5:\d+: (apps\.sales\.)workers: \S", out), out


def test_all_mistakes_at_once(faucet):
    text = ("lissten: 1\nlog: { level: loud }\nlimits: { header_size: 3XB }\napps:\n  a:\n    type: static\n    dir: /nonexistent\n"
            "    workers: 0\n    strategy: rps\n  b: { type: shyny }\n")
    done, out = report(faucet(start=False), text)
    assert done.returncode == 78
    lines = {int(n) for n in re.findall(r"faucet\.yaml:(\d+):\d+:", out)}
    assert lines >= {1, 2, 3, 7, 8, 9, 10}, out


def test_good_file_is_quiet_success(faucet):
    done, out = report(faucet(start=False), OK)
    assert done.returncode == 0, out
    assert not re.search(r"faucet\.yaml:\d+:\d+:", out), out


@pytest.mark.parametrize("text,line", [
    ("apps:\n  a: [1, 2\n", None), ("apps:\n\ta: 1\n", 2), ("apps:\n  a: 'x\n", None), ("apps: }\n", 1), ("a: b: c\n", 1),
    ("apps:\n  a: *nowhere\n", 2), ("apps: {}\n---\napps: {}\n", None), ("x: \x01\n", None), (b"\xff\xfe\x00", None),
])
def test_syntax_error_ends_the_parse_there(faucet, text, line):
    f = faucet(start=False)
    f.file("faucet.yaml", text)
    done = f.tool("check")
    out = done.stdout + done.stderr
    assert done.returncode == 78, out
    found = re.search(r"faucet\.yaml:(\d+):(\d+): ", out)
    assert found, out
    assert line is None or int(found[1]) == line, out


@pytest.mark.parametrize("text", [
    "apps: { a: { type: static, dir: ${HOME} } }\n",
    "apps:\n  a:\n    command: [python3, {socket}]\n",
    "apps:\n  a: { upstream: [[::1]:80] }\n",
    "listen: [::1]:3838\napps: {}\n",
])
def test_unquoted_flow_text_is_explained(faucet, text):
    done, out = report(faucet(start=False), text)
    assert done.returncode == 78, out
    assert re.search(r"(?i)quot", out), out


@pytest.mark.parametrize("make", [
    lambda: "x-deep: " + "[" * 100 + "]" * 100 + "\n" + OK,
    lambda: "x-deep: " + "[" * 60000 + "\n",
    lambda: "x-deep: " + "{a: " * 60000 + "\n",
    lambda: "x-long: '" + "y" * (1 << 20) + "'\n" + OK,
    lambda: "x-many: [" + "1," * 110000 + "]\n" + OK,
    lambda: "x-a: &a [1,1,1,1,1,1,1,1,1,1]\nx-b: &b [" + "*a," * 10 + "]\nx-c: &c [" + "*b," * 10 + "]\nx-d: &d [" + "*c," * 10 +
            "]\nx-e: &e [" + "*d," * 10 + "]\nx-f: &f [" + "*e," * 10 + "]\nx-g: [" + "*f," * 10 + "]\n" + OK,
], ids=["depth", "open sequences", "open maps", "1 MiB", "100,000 nodes", "laughs"])
def test_limits(faucet, make):
    f = faucet(start=False)
    began = time.monotonic()
    done, out = report(f, make())
    assert done.returncode == 78, out[:2000]
    assert re.search(r"faucet\.yaml(:\d+:\d+)?: ", out), out[:2000]
    assert time.monotonic() - began < 3, "took %.1f s" % (time.monotonic() - began)


def test_alias_to_itself(faucet):
    done, out = report(faucet(start=False), "x-a: &a [*a]\n" + OK)
    assert done.returncode == 78, out
    done, out = report(faucet(start=False), "x-a: &a { b: *a }\n" + OK)
    assert done.returncode == 78, out


# -- what is not a mistake
@pytest.mark.parametrize("text", [
    "x-anything: { at: [all] }\n" + OK,
    "x-base: &base { type: static, dir: '@DIR@' }\napps: { a: *base }\n",
    "x-base: &base { type: static, dir: '@DIR@' }\napps:\n  a:\n    <<: *base\n    route: /q/\n",
    "x-a: &a { type: static }\nx-b: &b { dir: '@DIR@' }\napps:\n  a:\n    <<: [*a, *b]\n",
    "apps:\n  a:\n    type: static\n    dir: '@DIR@'\n    workers:\n    strategy: null\n    version_is_not_a_key: \n".replace("    version_is_not_a_key: \n", ""),
    "listen: [\"127.0.0.1:0\", \"unix:@DIR@/x.sock\", \"[::1]:3839\"]\n" + OK,
    "apps:\n  a: { type: static, dir: '@DIR@', host: a.example.com }\n  b: { type: static, dir: '@DIR@', host: b.example.com }\n",
    "trusted_proxies: private_ranges\nip_from: x-real-ip\n" + OK,
    "trusted_proxies: [10.0.0.0/8, \"fd00::/8\", 127.0.0.1]\nip_from: x-forwarded-for\n" + OK,
    "apps:\n  a:\n    command: \"python3 -c 'print(1)' {socket}\"\n",
    "apps:\n  a: { type: fastapi, dir: '@APPS@/fastapi' }\n",
    "\ufeff" + OK,
    OK.replace("\n", "\r\n"),
], ids=["x-", "alias", "merge key", "merge list", "null", "listeners", "hosts", "private_ranges", "networks", "command text", "fastapi",
        "byte order mark", "CRLF"])
def test_no_mistake(faucet, text):
    done, out = report(faucet(start=False), text)
    assert done.returncode == 0, out


def test_merge_key_gives_way_to_the_app(faucet):
    f = faucet(start=False)
    f.write("x-b: &b { type: static, dir: '@DIR@', workers: 3 }\napps:\n  a:\n    <<: *b\n    workers: 5\n")
    assert re.search(r"\b5\b", f.tool("config", "apps.a.workers").stdout)


def test_no_paths(faucet):
    f = faucet(start=False)
    text = "apps:\n  a: { type: static, dir: /nonexistent/x }\n"
    assert report(f, text)[0].returncode == 78
    assert report(f, text, "--no-paths")[0].returncode == 0
    assert report(f, text + "  b: { type: static, dir: /nonexistent, workers: 0 }\n", "--no-paths")[0].returncode == 78


def test_warnings_and_strict(faucet):
    f = faucet(start=False)
    env = {"FAUCET_LOG_LEVLE": "debug"}
    done, out = report(f, OK, env=env)
    assert done.returncode == 0, out
    assert "FAUCET_LOG_LEVLE" in out and re.search(r"FAUCET_LOG_LEVEL\b", out), out
    done, out = report(f, OK, "--strict", env=env)
    assert done.returncode == 78, out
    assert report(f, OK, "--strict")[0].returncode == 0


def test_json(faucet):
    f = faucet(start=False)
    done, _ = report(f, "lissten: 1\napps:\n  a: { type: static, dir: '@DIR@', workers: 0 }\n", "--json")
    assert done.returncode == 78
    said = json.loads(done.stdout)
    errors = [p for p in said["problems"] if p["level"] == "error"]
    assert said["errors"] == len(errors) == 2 and said["file"] == f.conf
    assert [(p["key"], p["where"].startswith(f.conf + ":%d:" % n)) for p, n in zip(errors, (1, 3))] == [("lissten", True), ("apps.a.workers", True)]
    assert all(p["message"] for p in errors)
    done, _ = report(f, OK, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["problems"] == []


def test_include(faucet):
    f = faucet(start=False)
    f.file("apps.d/2.yaml", "apps:\n  two: { type: static, dir: . }\n".replace("dir: .", "dir: ./files"))
    f.file("apps.d/1.yaml", "apps:\n  one: { type: static, dir: files }\n")
    os.makedirs(os.path.join(f.dir, "apps.d/files"))
    done, out = report(f, "include: apps.d/*.yaml\n" + OK)
    assert done.returncode == 0, out
    assert os.path.join(f.dir, "apps.d/files") in f.tool("config", "apps.two.dir").stdout  # from the file that names it
    f.file("apps.d/3.yaml", "apps:\n  one: { type: static, dir: files }\n")
    done, out = report(f, "include: apps.d/*.yaml\n" + OK)
    assert done.returncode == 78 and re.search(r"3\.yaml:2:\d+: ", out), out
    f.file("apps.d/3.yaml", "listen: 127.0.0.1:1\napps: {}\n")
    done, out = report(f, "include: apps.d/*.yaml\n" + OK)
    assert done.returncode == 78 and re.search(r"3\.yaml:1:\d+: ", out), out
    f.file("apps.d/3.yaml", "apps:\n  three: { type: static, dir: files, workers: 0 }\n")
    done, out = report(f, "include: apps.d/*.yaml\n" + OK)
    assert done.returncode == 78 and re.search(r"3\.yaml:2:\d+: ", out), out


def test_unreadable_file(faucet):
    f = faucet(start=False)
    done = f.tool("check")
    assert done.returncode == 78 and "faucet.yaml" in done.stdout + done.stderr
    os.mkdir(f.conf)
    assert f.tool("check").returncode == 78


@pytest.mark.parametrize("argv", [["frobnicate"], ["check", "--no-such-flag"], ["run", "--set"], ["config", "a", "b", "c", "d"],
                                  ["run", "-c"]])
def test_wrong_usage(faucet, argv):
    f = faucet(start=False)
    f.write(OK)
    done = subprocess.run([BIN, *argv], cwd=f.dir, env=f.env(), capture_output=True, text=True, timeout=20)
    assert done.returncode == 64, done.stdout + done.stderr
    assert done.stderr.strip(), "it says nothing"


def test_run_refuses_what_check_refuses(faucet):
    f = faucet("listen: 127.0.0.1:@PORT@\napps:\n  a: { type: static, dir: '@DIR@', workers: 0 }\n", start=False)
    assert f.run_to_end() == 78
    assert re.search(r"faucet\.yaml:3:\d+: apps\.a\.workers: ", f.log())


def test_bare_faucet_where_there_is_a_file(faucet):
    f = faucet("listen: 127.0.0.1:@PORT@\napps: { a: { type: static, dir: '@DIR@/files', route: / } }\n", start=False)
    f.file("files/index.html", "<p>here")
    f.process = subprocess.Popen([BIN], cwd=f.dir, env=f.env(), stdin=subprocess.DEVNULL, stdout=open(f.stdout_path, "ab"),
                                 stderr=open(f.stderr_path, "ab"))
    f.wait_listening()
    assert f.get("/").text == "<p>here"


BAD_STRINGS = ("telemetry: { postgres_string: 'postgresql://u:hunter2@hunter3@db/x' }\napps:\n  a: { type: static, dir: '@DIR@' }\n"
               "  b: { type: static, dir: '@DIR@', telemetry: { postgres_string: 'host=db password=hunter2 hunter3' } }\n")


def test_connection_strings_never_come_out(faucet):
    f = faucet(start=False)
    done, out = report(f, BAD_STRINGS)
    assert done.returncode == 78 and "hunter" not in out, out
    assert [int(n) for n in re.findall(r"faucet\.yaml:(\d+):\d+: [^\n]*postgres_string: the connection string ", out)] == [1, 4], out
    done, out = report(f, BAD_STRINGS, "--json")
    assert done.returncode == 78 and "hunter" not in out, out
    said = json.loads(done.stdout)
    assert [p["key"] for p in said["problems"]] == ["telemetry.postgres_string", "apps.b.telemetry.postgres_string"] and said["errors"] == 2
    assert report(f, BAD_STRINGS, "--no-paths")[0].returncode == 78
    text = "telemetry: { postgres_string: 'service=elsewhere' }\n" + OK  # whose file need not be here
    assert report(f, text)[0].returncode == 78
    done, out = report(f, text, "--no-paths")
    assert done.returncode == 0, out
    f.file("secret", "host=db password='hunter2")
    done, out = report(f, "telemetry: { postgres_string_file: secret }\n" + OK)
    assert done.returncode == 78 and re.search(r"faucet\.yaml:1:\d+: telemetry\.postgres_string_file: ", out) and "hunter" not in out, out


def test_run_and_reload_refuse_such_a_string_as_check_does(faucet):
    f = faucet("listen: 127.0.0.1:@PORT@\n" + BAD_STRINGS, start=False)
    assert f.run_to_end() == 78
    assert re.search(r"faucet\.yaml:5:\d+: apps\.b\.telemetry\.postgres_string: the connection string ", f.log()) and "hunter" not in f.log()
    f.expected_exit = 0
    f.write("listen: 127.0.0.1:@PORT@\n" + OK)
    f.start()
    f.write("listen: 127.0.0.1:@PORT@\n" + BAD_STRINGS)
    done = f.reload(expect=78)
    assert "faucet.yaml:2:" in done.stdout + done.stderr and "hunter" not in done.stdout + done.stderr + f.log()
    assert f.config_number() == 1


# -- config
def test_config_says_where_from_and_what_it_beat(faucet):
    f = faucet(start=False)
    f.write("defaults: { workers: 2 }\napps:\n  sales:\n    type: static\n    dir: '@DIR@'\n    workers: 3\n")
    out = f.tool("config", "apps.sales.workers").stdout
    assert re.search(r"\b3\b", out) and re.search(r"faucet\.yaml:6\b", out), out
    out = f.tool("config", "apps.sales.workers", env={"FAUCET_APPS_SALES_WORKERS": "4"}).stdout
    assert re.search(r"\b4\b", out) and "FAUCET_APPS_SALES_WORKERS" in out and re.search(r"faucet\.yaml:6\b", out), out
    out = f.tool("config", "--set", "apps.sales.workers=5", "apps.sales.workers", env={"FAUCET_APPS_SALES_WORKERS": "4"}).stdout
    assert re.search(r"\b5\b", out) and re.search(r"--set|flag|command line", out) and "FAUCET_APPS_SALES_WORKERS" in out, out
    out = f.tool("config", "timeouts.header").stdout
    assert re.search(r"\b10s\b", out) and "default" in out, out


def test_config_whole(faucet):
    f = faucet(start=False)
    f.write("log: { level: debug }\n" + OK)
    done = f.tool("config")
    assert done.returncode == 0, done.stderr
    for word in ("log", "level", "debug", "timeouts", "header", "workers", "concurrency", "telemetry"):
        assert word in done.stdout, word
    assert f.tool("config", "no.such.key").returncode in (64, 78)


def test_secrets_are_redacted(faucet):
    f = faucet(start=False)
    f.write("telemetry: { postgres_string: 'host=db password=hunter2' }\n" + OK)
    for args in ([], ["telemetry.postgres_string"]):
        done = f.tool("config", *args)
        assert done.returncode == 0 and "hunter2" not in done.stdout + done.stderr
    out = f.tool("config", "telemetry.postgres_string", env={"FAUCET_TELEMETRY_POSTGRES_STRING": "host=db password=hunter3"})
    assert "hunter" not in out.stdout + out.stderr
    f.write("telemetry: { postgres_string: 'host=db password=hunter2', pool_size: lots }\n" + OK)
    done = f.tool("check")
    assert done.returncode == 78 and "hunter2" not in done.stdout + done.stderr


def test_config_of_a_broken_file(faucet):
    f = faucet(start=False)
    f.write("apps: { a: { type: static, dir: '@DIR@', workers: 0 } }\n")
    assert f.tool("config").returncode == 78


# -- schema
@pytest.fixture(scope="module")
def schema():
    done = subprocess.run([BIN, "schema"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    jsonschema.validators.validator_for(value).check_schema(value)
    return done.stdout, jsonschema.validators.validator_for(value)(value)


def test_schema_is_current(schema):
    with open(os.path.join(ROOT, "schemas", "faucet.schema.json")) as f:
        assert f.read() == schema[0], "run: make schema"


@pytest.mark.parametrize("path", [os.path.relpath(p, ROOT) for p in sorted(glob.glob(os.path.join(ROOT, "conf", "**", "*.yaml"), recursive=True))]
                         or ["conf/faucet.yaml"])
def test_schema_accepts_our_samples(schema, path):
    with open(os.path.join(ROOT, path)) as f:
        errors = list(schema[1].iter_errors(yaml.safe_load(f)))
    assert not errors, errors


@pytest.mark.parametrize("text", [
    "lissten: 127.0.0.1:1", "log: { level: loud }", "log: info", "apps: [a]", "apps: { a: { worker: 2 } }", "apps: { a: { workers: many } }",
    "apps: { a: { workers: 0 } }", "apps: { a: { strategy: random } }", "apps: { a: { type: shyny } }", "apps: { Sales!: { type: static } }",
    "max_parallel_starts: 0", "defaults: { nope: 1 }", "apps: { a: { queue: { sise: 1 } } }",
])
def test_schema_flags(schema, text):
    assert list(schema[1].iter_errors(yaml.safe_load(text))), text


@pytest.mark.parametrize("text", [
    "x-note: { any: thing }", "apps: { a: { workers: '${WORKERS:-2}' } }", "listen: ['127.0.0.1:1', 'unix:/x']", "apps: { a: { route: [/a/, /b/] } }",
    "apps: { a: { command: 'python3 x.py {socket}' } }", "apps: { a: { command: [python3, x.py, '{socket}'] } }", "apps: { a: { workers: null } }",
    "apps: { a: { body_size: unlimited, concurrency: 4, start_timeout: 500ms } }", "defaults: { env: { A: b } }", "include: apps.d/*.yaml",
])
def test_schema_accepts(schema, text):
    errors = list(schema[1].iter_errors(yaml.safe_load(text)))
    assert not errors, errors


def test_samples_pass_check():
    for path in glob.glob(os.path.join(ROOT, "conf", "*.yaml")):
        done = subprocess.run([BIN, "check", "--no-paths", "-c", path], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("words, said", [
    ([], "no command is given, and there is no faucet.yaml here"),
    (["relaod"], 'did you mean "reload"?'),
    (["serve-all"], 'there is no command "serve-all"\n'),   # near to nothing
    (["run", "apps.yaml"], "name one with -c FILE"),
    (["schema", "apps.yaml"], "is one word too many\n"),
    (["start", "apps"], "the app's directory is named by --dir DIR"),
])
def test_a_command_line_that_is_almost_right(tmp_path, words, said):
    done = subprocess.run([BIN, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 64 and said in done.stderr, done.stderr


def test_a_directory_that_is_a_file_or_missing_is_told_apart(faucet):
    f = faucet(start=False)
    f.write("apps:\n  a: { dir: nowhere }\n  b: { dir: faucet.yaml }\n")
    out = f.tool("check").stderr
    assert "nowhere: there is no such directory\n" in out and "faucet.yaml: it is not a directory\n" in out, out


def test_help_lists_the_settings_under_one_heading():
    out = subprocess.run([BIN, "run", "--help"], capture_output=True, text=True).stdout
    assert out.count("Settings as flags") == 1 and out.count("each is also a key") == 1, out
