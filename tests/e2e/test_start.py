"""`faucet start` serves one app with no file; `rscript` and `uv` pass through."""
import json
import os
import subprocess

from faucet import APPS, BIN, PYTHON


def start(faucet, *args, **kwargs):
    f = faucet(start=False, command="start", **kwargs)
    f.args = ["--listen", "127.0.0.1:%d" % f.port, *args]
    f.spawn()
    f.wait_listening()
    return f


def test_start_a_directory(faucet):
    f = start(faucet, "--dir", APPS + "/fastapi")
    r = f.wait_ready("fastapi", "/items/5")
    if r.status == 404:
        r = f.wait_ready("fastapi", "/fastapi/items/5")
    assert json.loads(r.body)["number"] == 5
    f.log_contains(r"Worker::fastapi::1\]")


def test_start_with_options(faucet):
    f = start(faucet, "--type", "fast-api", "--dir", APPS + "/fastapi", "--workers", "2", "--strategy", "cookie-hash")
    prefix = "" if f.wait_ready("fastapi", "/items/5").status == 200 else "/fastapi"
    r = f.get(prefix + "/items/5")
    assert r.status == 200 and "FAUCET_LB_COOKIE" in (r["Set-Cookie"] or "")
    f.log_contains(r"Worker::fastapi::2\]", 20)


def test_start_from_the_environment(faucet):
    f = start(faucet, env={"FAUCET_DIR": APPS + "/fastapi", "FAUCET_TYPE": "fast-api", "FAUCET_WORKERS": "2", "FAUCET_STRATEGY": "ip-hash"})
    f.wait_ready("fastapi", "/items/5")
    f.log_contains(r"Worker::fastapi::2\]", 20)


def test_start_host_is_an_alias(faucet):
    f = faucet(start=False, command="start")
    f.args = ["--host", "127.0.0.1:%d" % f.port, "--dir", APPS + "/fastapi"]
    f.spawn()
    f.wait_listening()
    f.wait_ready("fastapi", "/items/5")


def test_start_says_what_is_wrong(faucet):
    f = faucet(start=False, command="start")
    f.args = ["--dir", f.dir]
    assert f.run_to_end() == 78
    assert "plumber.R" in f.log() and "app.R" in f.log()
    f = faucet(start=False, command="start")
    f.args = ["--dir", "/nonexistent/x"]
    assert f.run_to_end() == 78 and "/nonexistent/x" in f.log()
    f = faucet(start=False, command="start")
    f.args = ["--dir", APPS + "/fastapi", "--workers", "many"]
    assert f.run_to_end() in (64, 78) and "many" in f.log()


def tool(faucet, name, *args, env=None, files=()):
    f = faucet(start=False)
    for path, text in files:
        f.file(path, text)
    return subprocess.run([BIN, name, *args], cwd=f.dir, env={**f.env(), **(env or {})}, capture_output=True, text=True, timeout=60)


def test_rscript(faucet):
    done = tool(faucet, "rscript", "-e", "cat(1 + 1, commandArgs(TRUE), '\\n')", "a b", "--flag")
    assert done.returncode == 0 and done.stdout.split("\n")[0].split() == ["2", "a", "b", "--flag"], done
    assert tool(faucet, "rscript", "-e", "quit(status = 7)").returncode == 7


def test_rscript_environment(faucet):
    done = tool(faucet, "rscript", "-e", "cat(Sys.getenv('SECRET_LEVEL'), Sys.getenv('FAUCET_LOG_LEVEL', 'unset'))", env={"FAUCET_LOG_LEVEL": "debug"},
                files=[(".env", "SECRET_LEVEL=from-dotenv\n")])
    assert done.stdout.split() == ["from-dotenv", "unset"], done


def test_uv(faucet):
    f = faucet(start=False)
    uv = f.file("uv", "#!%s\nimport os, sys\nprint('uv', sys.argv[1:], os.environ.get('FAUCET_LOG'))\nsys.exit(5)\n" % PYTHON, 0o755)
    done = subprocess.run([BIN, "uv", "run", "--x", "y"], cwd=f.dir, env={**f.env(), "FAUCET_UV": uv, "FAUCET_LOG": "info"}, capture_output=True, text=True, timeout=20)
    assert done.returncode == 5 and done.stdout.strip() == "uv ['run', '--x', 'y'] None", done


def test_tool_that_is_missing(faucet):
    done = tool(faucet, "uv", "run", env={"FAUCET_UV": "/nonexistent/uv"})
    assert done.returncode != 0 and "/nonexistent/uv" in done.stderr
    assert os.path.exists(BIN)
