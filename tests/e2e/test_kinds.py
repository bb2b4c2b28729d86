"""What an app is: found by `auto` or named; what each kind starts, with which arguments and environment."""
import json
import os
import re
import stat

import pytest

from faucet import APPS, PYTHON, backend
from processes import command_line


def detected(f, files, **settings):
    for name, text in files.items():
        f.file("app/" + name, text)
    extra = "".join(", %s: %s" % kv for kv in settings.items())
    f.write("apps: { a: { dir: '@DIR@/app'%s } }\n" % extra)
    done = f.tool("check")
    return done, done.stdout + done.stderr


QUARTO = "---\ntitle: x\nserver: shiny\n---\n"
FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"


@pytest.mark.parametrize("files", [
    {"plumber.R": "#* @get /\n"}, {"entrypoint.R": "plumber::pr()\n"}, {"app.R": "library(shiny)\n"},
    {"ui.R": "", "server.R": ""}, {"main.py": FASTAPI}, {"app.py": FASTAPI},
], ids=["plumber", "entrypoint", "shiny", "ui and server", "main.py", "app.py"])
def test_auto_finds(faucet, files):
    done, out = detected(faucet(start=False), files)
    assert done.returncode == 0, out


@pytest.mark.parametrize("files,words", [
    ({"readme.md": ""}, r"plumber\.R"), ({"plumber.R": "", "app.R": ""}, r"(?s)plumber.*shiny|shiny.*plumber"),
    ({"main.py": "print('no framework')\n"}, r"(?i)fastapi|fast-api"), ({"ui.R": ""}, r"server\.R"),
    ({"a.qmd": QUARTO, "b.qmd": QUARTO}, r"qmd"), ({"a.qmd": "---\ntitle: x\n---\n"}, r"server: ?shiny|qmd"),
])
def test_auto_says_what_it_looked_for(faucet, files, words):
    done, out = detected(faucet(start=False), files)
    assert done.returncode == 78 and re.search(words, out), out


def stand_in(f, name, text):
    return f.file(name, "#!%s\n%s" % (PYTHON, text), 0o755)


def test_quarto(faucet):
    """A stand-in notes its arguments and serves on the port it was given."""
    f = faucet(start=False)
    f.file("app/report.qmd", QUARTO)
    quarto = stand_in(f, "quarto", "import os, sys, json\njson.dump({'argv': sys.argv[1:], 'cwd': os.getcwd(), 'env': dict(os.environ)}, "
                      "open('%s/noted', 'w'))\nport = sys.argv[sys.argv.index('--port') + 1]\n"
                      "os.execv('%s', ['%s', '%s/backend.py', port])\n" % (f.dir, PYTHON, PYTHON, APPS))
    f.write("listen: 127.0.0.1:@PORT@\nquarto: '%s'\napps: { a: { dir: '@DIR@/app' } }\n" % quarto)
    f.start()
    assert f.get("/a/x").status == 200
    noted = json.load(open(f.dir + "/noted"))
    argv = noted["argv"]
    assert argv[0] == "serve", argv
    assert any(os.path.basename(a) == "report.qmd" for a in argv), argv
    assert int(argv[argv.index("--port") + 1]) > 0
    assert argv[argv.index("--host") + 1] == "127.0.0.1"
    assert noted["env"]["FAUCET_APP"] == "a"
    assert noted["env"].get("PORT") == argv[argv.index("--port") + 1]


def test_quarto_is_sticky_by_default(faucet):
    f = faucet(start=False)
    f.file("app/report.qmd", QUARTO)
    quarto = stand_in(f, "quarto", "")
    f.write("quarto: '%s'\napps: { a: { dir: '@DIR@/app', type: quarto-shiny, qmd: report.qmd } }\n" % quarto)
    assert "cookie-hash" in f.tool("config", "apps.a.strategy").stdout


def test_missing_tools_are_named(faucet):
    f = faucet(start=False)
    f.file("app/report.qmd", QUARTO)
    f.write("uv: /nonexistent/uv\napps:\n  a: { type: fast-api, dir: '@APPS@/fastapi' }\n  b: { type: quarto-shiny, dir: '@DIR@/app' }\n"
            "  c: { type: shiny, dir: '@APPS@/shiny' }\n")
    done = f.tool("check", env={"PATH": f.dir})
    out = done.stdout + done.stderr
    assert done.returncode == 78
    assert "uvicorn" in out and re.search(r"\buv\b", out) and "quarto" in out and "Rscript" in out, out


def test_fast_api_by_uvicorn(faucet):
    f = faucet({"apps": {"api": {"dir": APPS + "/fastapi"}}})
    assert json.loads(f.get("/api/items/3?q=z").body)["number"] == 3
    assert any("--uds" in command_line(p) for p in f.worker_pids("uvicorn"))


def test_fast_api_by_uv(faucet):
    f = faucet(start=False)
    uv = stand_in(f, "uv", "import os, sys, json\nopen('%s/noted', 'w').write(json.dumps(sys.argv[1:]))\n"
                  "a = sys.argv[1:]\nat = a.index('uvicorn')\nos.execvp('uvicorn', a[at:])\n" % f.dir)
    f.file("app/main.py", open(APPS + "/fastapi/main.py").read())
    f.file("app/pyproject.toml", "[project]\nname = 'app'\nversion = '1'\ndependencies = ['fastapi', 'uvicorn']\n")
    f.write("listen: 127.0.0.1:@PORT@\nuv: '%s'\napps: { api: { type: fast-api, dir: app } }\n" % uv)
    f.start()
    assert json.loads(f.get("/api/items/4").body)["number"] == 4
    argv = json.load(open(f.dir + "/noted"))
    assert argv[0] == "run" and "uvicorn" in argv, argv


def test_app_py_and_app_dir(faucet):
    f = faucet(start=False)
    f.file("project/src/app.py", FASTAPI + "@app.get('/who')\ndef who():\n    return {'who': 'app.py'}\n")
    f.write("listen: 127.0.0.1:@PORT@\napps: { api: { type: fast-api, dir: '@DIR@/project', app_dir: src } }\n")
    f.start()
    assert json.loads(f.get("/api/who").body) == {"who": "app.py"}


def test_entrypoint(faucet):
    f = faucet({"apps": {"p": {"dir": APPS + "/entrypoint"}}})
    assert json.loads(f.get("/p/hello").body) == {"from": "entrypoint"}


# -- command
def test_command_with_a_socket(faucet):
    f = faucet({"apps": {"a": backend()}})
    me = json.loads(f.get("/a/me").body)
    path = me["argv"][1]
    assert path.endswith(".sock") and len(path) <= 107
    assert path.startswith(f.runtime + "/"), path
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert json.loads(f.get("/a/env").body)["FAUCET_SOCKET"] == path


def test_command_with_a_port(faucet):
    f = faucet({"apps": {"a": {"command": [PYTHON, APPS + "/backend.py", "{port}"], "workers": 3}}})
    ports = set()
    for _ in range(9):
        env = json.loads(f.get("/a/env").body)
        assert "FAUCET_SOCKET" not in env
        ports.add(env["PORT"])
    assert len(ports) == 3
    assert json.loads(f.get("/a/me").body)["argv"][1] in ports


def test_command_as_text_is_split_without_a_shell(faucet):
    f = faucet({"apps": {"a": {"command": PYTHON + " '" + APPS + "/backend.py' {socket} 'a b' \"c $HOME\" d\\ e ';' '|' '*'"}}})
    assert json.loads(f.get("/a/me").body)["argv"][2:] == ["a b", "c $HOME", "d e", ";", "|", "*"]


def test_placeholder_inside_an_argument(faucet):
    f = faucet({"apps": {"a": {"command": [PYTHON, "-c", "import sys, runpy; sys.argv = ['x', sys.argv[1].split('=')[1]]; "
                                           "runpy.run_path('%s/backend.py', run_name='__main__')" % APPS, "--listen={socket}"]}}})
    assert f.get("/a/").status == 200


def test_command_runs_in_its_directory(faucet):
    f = faucet(start=False)
    f.file("app/serve.py", "import sys\nsys.path.insert(0, %r)\nimport runpy\nrunpy.run_path(%r, run_name='__main__')\n"
           % (APPS, APPS + "/backend.py"))
    f.write("listen: 127.0.0.1:@PORT@\napps: { a: { command: [@PYTHON@, serve.py, \"{socket}\"], dir: app } }\n")
    f.start()
    assert json.loads(f.get("/a/me").body)["cwd"] == f.dir + "/app"


def test_long_runtime_directory(faucet):
    f = faucet(start=False)
    long = f.dir + "/" + "r" * 100
    os.mkdir(long, 0o700)
    f.extra_env["XDG_RUNTIME_DIR"] = f.runtime = long
    f.write({"apps": {"a": backend()}})
    f.start()
    path = json.loads(f.get("/a/me").body)["argv"][1]
    assert len(path) <= 107 and path.startswith("/tmp/")
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    assert f.stop() == 0
    assert not os.path.exists(os.path.dirname(path))


# -- environment
def test_environment_of_a_worker(faucet):
    secret = "host=127.0.0.1 port=1 dbname=x password=hunter2"
    f = faucet(start=False, env={
        "FROM_OUTSIDE": "yes", "DATABASE_URL": secret, "FAUCET_LOG_LEVEL": "debug", "NOTIFY_SOCKET": None,
        "WATCHDOG_USEC": "1000000000", "WATCHDOG_PID": "1", "CREDENTIALS_DIRECTORY": "/nonexistent", "LISTEN_FDNAMES": "x",
        "OVERRIDE_DOTENV": "outside", "OVERRIDE_RENVIRON": "outside",
    })
    f.file("app/.env", "# comment\nDOT=env\nexport EXPORTED=1\nQUOTED=\"a b\"\nSINGLE='c d'\nOVERRIDE_DOTENV=dotenv\nOVERRIDE_ENV=dotenv\n")
    f.file("app/.Renviron", "R_SIDE=renviron\nOVERRIDE_RENVIRON=renviron\nOVERRIDE_ENV2=renviron\n")
    f.write("listen: 127.0.0.1:@PORT@\ntelemetry: { namespace: ns, version: '1.10', postgres_string: \"${DATABASE_URL:-}\" }\napps:\n"
            "  a:\n    command: [@PYTHON@, '@APPS@/backend.py', \"{socket}\"]\n    dir: app\n"
            "    env: { OVERRIDE_ENV: key, OVERRIDE_ENV2: key, EMPTY: '', FAUCET_APP: forged }\n"
            "  b:\n    command: [@PYTHON@, '@APPS@/backend.py', \"{socket}\"]\n    telemetry: { namespace: of-b }\n")
    f.start()
    env = json.loads(f.get("/a/env").body)
    expected = {"FROM_OUTSIDE": "yes", "DOT": "env", "EXPORTED": "1", "QUOTED": "a b", "SINGLE": "c d", "R_SIDE": "renviron",
                "OVERRIDE_DOTENV": "dotenv", "OVERRIDE_RENVIRON": "renviron", "OVERRIDE_ENV": "key", "OVERRIDE_ENV2": "key", "EMPTY": "",
                "FAUCET_APP": "a", "FAUCET_WORKER_ID": "1", "FAUCET_TELEMETRY_NAMESPACE": "ns", "FAUCET_TELEMETRY_VERSION": "1.10"}
    assert {k: env.get(k) for k in expected} == expected
    assert not [k for k in env if k.startswith(("LISTEN_", "WATCHDOG_")) or k in ("NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", "DATABASE_URL")]
    known = {"FAUCET_APP", "FAUCET_WORKER_ID", "FAUCET_TELEMETRY_NAMESPACE", "FAUCET_TELEMETRY_VERSION", "FAUCET_SOCKET",
             "FAUCET_PROCESS"}       # the keeper's mark, by which it finds again what left its group
    assert {k for k in env if k.startswith("FAUCET_")} <= known
    assert "hunter2" not in json.dumps(env)
    assert json.loads(f.get("/b/env").body)["FAUCET_TELEMETRY_NAMESPACE"] == "of-b"


def test_renviron_does_not_beat_env_in_r(faucet):
    f = faucet(start=False)
    f.file("app/plumber.R", open(APPS + "/plumber/plumber.R").read())
    f.file("app/.Renviron", "WHO=renviron\nONLY_R=renviron\n")
    f.write("listen: 127.0.0.1:@PORT@\napps: { p: { dir: app, env: { WHO: key } } }\n")
    f.start()
    assert json.loads(f.get("/p/env?name=WHO").body) == {"value": "key"}
    assert json.loads(f.get("/p/env?name=ONLY_R").body) == {"value": "renviron"}


def test_signals_and_limits_of_a_worker(faucet):
    f = faucet({"apps": {"a": {"command": ["/bin/sh", "-c", "grep -E '^Sig(Ign|Blk)' /proc/self/status; ulimit -Sn; ls -l /proc/self/fd; "
                                           "exec %s %s/backend.py \"$0\"" % (PYTHON, APPS), "{socket}"]}}},
               wrap=["prlimit", "--nofile=1021:8192", "env", "--ignore-signal=PIPE", "--ignore-signal=HUP"])
    assert re.search(r"SigIgn:(\s|\\x09)0+$", f.log(), re.M) and re.search(r"SigBlk:(\s|\\x09)0+$", f.log(), re.M), f.log()
    assert re.search(r"\] 1021$", f.log(), re.M), "the soft limit of descriptors is not the one faucet was started with"
    numbers = [int(n) for n in re.findall(r"\d\d:\d\d (\d+) -> ", f.log())]
    assert set(numbers) - {0, 1, 2, 3} == set(), "descriptors leak into workers (3 is ls's own): %s" % numbers


def test_worker_numbers(faucet):
    f = faucet({"apps": {"a": backend(workers=3)}})
    assert {json.loads(f.get("/a/env").body)["FAUCET_WORKER_ID"] for _ in range(9)} == {"1", "2", "3"}
