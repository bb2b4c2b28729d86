"""default < faucet.yaml < environment < command line, with one rule for names; defaults:, interpolation, secrets, aliases, paths."""
import os
import re

import pytest

BASE = "log: { level: warn }\ntelemetry: { namespace: of-file }\napps:\n  sales:\n    type: static\n    dir: '@DIR@'\n    workers: 2\n    env: { A: '1', B: '2' }\n"


def value(f, key, *args, env=None):
    """The effective value as `faucet config KEY` shows it first."""
    done = f.tool("config", *args, key, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    first = done.stdout.strip().splitlines()[0]
    found = re.match(r"\s*%s\s*[:=]?\s*(.*)" % re.escape(key), first)
    return (found[1] if found else first).partition("  # ")[0].strip()


def starts(f, key, expected, *args, env=None):
    got = value(f, key, *args, env=env)
    assert re.match(r"[\"']?%s[\"']?(\s|$)" % re.escape(expected), got), "%s shows %r, expected %r" % (key, got, expected)


@pytest.fixture
def f(faucet):
    one = faucet(start=False)
    one.write(BASE)
    return one


@pytest.mark.parametrize("key,default,name,flag,other", [
    ("log.level", "info", "FAUCET_LOG_LEVEL", "--log-level", ("debug", "error", "trace")),
    ("telemetry.namespace", "faucet", "FAUCET_TELEMETRY_NAMESPACE", "--telemetry-namespace", ("one", "two", "three")),
    ("timeouts.header", "10s", "FAUCET_TIMEOUTS_HEADER", "--timeouts-header", ("1s", "2s", "3s")),
    ("limits.header_size", "32KiB", "FAUCET_LIMITS_HEADER_SIZE", "--limits-header-size", ("8KiB", "16KiB", "64KiB")),
    ("max_parallel_starts", "4", "FAUCET_MAX_PARALLEL_STARTS", "--max-parallel-starts", ("1", "2", "3")),
    ("shutdown.timeout", "30s", "FAUCET_SHUTDOWN_TIMEOUT", "--shutdown-timeout", ("5s", "6s", "7s")),
])
def test_ladder(faucet, key, default, name, flag, other):
    f = faucet(start=False)
    ok = "apps: { a: { type: static, dir: '@DIR@' } }\n"
    f.write(ok)
    starts(f, key, default)
    top, _, leaf = key.partition(".")
    f.write(("%s: { %s: %s }\n" % (top, leaf, other[0]) if leaf else "%s: %s\n" % (top, other[0])) + ok)
    starts(f, key, other[0])
    starts(f, key, other[1], env={name: other[1]})
    starts(f, key, other[2], flag, other[2], env={name: other[1]})
    starts(f, key, other[2], "%s=%s" % (flag, other[2]), env={name: other[1]})
    starts(f, key, other[2], "--set", "%s=%s" % (key, other[2]), env={name: other[1]})


def test_app_keys(f):
    starts(f, "apps.sales.workers", "2")
    starts(f, "apps.sales.workers", "3", env={"FAUCET_APPS_SALES_WORKERS": "3"})
    starts(f, "apps.sales.workers", "4", "--set", "apps.sales.workers=4", env={"FAUCET_APPS_SALES_WORKERS": "3"})
    starts(f, "apps.sales.queue.size", "7", env={"FAUCET_APPS_SALES_QUEUE_SIZE": "7"})


def test_every_app(f):
    f.write(BASE + "  other: { type: static, dir: '@DIR@' }\n")
    for app in ("sales", "other"):
        starts(f, "apps.%s.workers" % app, "9", "--set", "apps.*.workers=9")
        starts(f, "apps.%s.telemetry.namespace" % app, "n", "--set", "apps.*.telemetry.namespace=n")


def test_name_of_an_app_in_the_environment(f):
    f.write("apps:\n  my-app: { type: static, dir: '@DIR@' }\n")
    starts(f, "apps.my-app.workers", "6", env={"FAUCET_APPS_MY_APP_WORKERS": "6"})


def test_lists_and_maps_are_flow_text(f):
    shown = value(f, "apps.sales.env", "--set", "apps.sales.env={C: '3'}")
    assert "C" in shown and "3" in shown
    shown = value(f, "apps.sales.route", env={"FAUCET_APPS_SALES_ROUTE": "[/a/, /b/]"})
    assert "/a/" in shown and "/b/" in shown
    assert "10.0.0.0/8" in value(f, "trusted_proxies", env={"FAUCET_TRUSTED_PROXIES": "[10.0.0.0/8]"})


@pytest.mark.parametrize("env,args", [({"FAUCET_APPS_NEW_DIR": "/tmp"}, []), ({}, ["--set", "apps.new.dir=/tmp"])])
def test_apps_come_from_files_only(f, env, args):
    done = f.tool("check", "--strict", *args, env=env)
    assert done.returncode != 0, done.stdout + done.stderr


@pytest.mark.parametrize("args,rc", [(["--set", "apps.sales.worker=1"], (64, 78)), (["--set", "log.level=loud"], (78,)),
                                     (["--log-level", "loud"], (78,)), (["--log-levle", "info"], (64,))])
def test_mistakes_on_the_command_line(f, args, rc):
    done = f.tool("check", *args)
    assert done.returncode in rc and (done.stdout + done.stderr).strip(), done


def test_mistake_in_the_environment_names_the_variable(f):
    done = f.tool("check", env={"FAUCET_LOG_LEVEL": "loud"})
    assert done.returncode == 78 and "FAUCET_LOG_LEVEL" in done.stdout + done.stderr


# -- defaults
def test_defaults_merge_maps_and_replace_lists(f):
    f.write("defaults:\n  workers: 5\n  env: { A: a, B: b }\n  upgrade: [one, two]\n  queue: { size: 3, timeout: 9s }\n"
            "apps:\n  x:\n    type: static\n    dir: '@DIR@'\n    env: { B: bb, C: c }\n    upgrade: [three]\n    queue: { size: 4 }\n"
            "  y: { type: static, dir: '@DIR@' }\n")
    starts(f, "apps.x.workers", "5")
    env = value(f, "apps.x.env")
    assert re.search(r"A\W+a\b", env) and re.search(r"B\W+bb\b", env) and re.search(r"C\W+c\b", env), env
    assert "three" in value(f, "apps.x.upgrade") and "one" not in value(f, "apps.x.upgrade")
    starts(f, "apps.x.queue.size", "4")
    starts(f, "apps.x.queue.timeout", "9s")
    starts(f, "apps.y.workers", "5")



def test_defaults_lose_to_the_environment_of_an_app(f):
    f.write("defaults: { workers: 5 }\napps: { x: { type: static, dir: '@DIR@' } }\n")
    starts(f, "apps.x.workers", "6", env={"FAUCET_APPS_X_WORKERS": "6"})


# -- interpolation
def test_interpolation(f):
    f.write("log: { level: \"${LEVEL:-debug}\" }\ntelemetry: { namespace: \"a-${NAME}-z\", version: \"$${NAME}\" }\nmax_parallel_starts: ${N:-3}\n"
            "apps:\n  sales: { type: static, dir: \"${DIR_OF_APP:?}\" }\n")
    env = {"NAME": "sales", "DIR_OF_APP": f.dir}
    starts(f, "log.level", "debug", env=env)
    starts(f, "log.level", "error", env={**env, "LEVEL": "error"})
    starts(f, "log.level", "debug", env={**env, "LEVEL": ""})
    starts(f, "telemetry.namespace", "a-sales-z", env=env)
    assert "${NAME}" in value(f, "telemetry.version", env=env)
    starts(f, "max_parallel_starts", "3", env=env)
    starts(f, "max_parallel_starts", "8", env={**env, "N": "8"})


def test_interpolation_happens_once_and_after_parsing(f):
    f.write("telemetry: { namespace: \"${A}\" }\napps: { a: { type: static, dir: '@DIR@' } }\n")
    assert "${B}" in value(f, "telemetry.namespace", env={"A": "${B}", "B": "no"})
    assert "x: y" in value(f, "telemetry.namespace", env={"A": "x: y"})


def test_strings_keep_their_text(f):
    f.write("telemetry: { version: 1.10 }\napps: { a: { type: static, dir: '@DIR@', env: { A: 0x10, B: yes, C: 1e3, D: 012 } } }\n")
    starts(f, "telemetry.version", "1.10")
    shown = value(f, "apps.a.env")
    for text in ("0x10", "yes", "1e3", "012"):
        assert text in shown, shown
    starts(f, "telemetry.version", "2.50", env={"FAUCET_TELEMETRY_VERSION": "2.50"})


# -- secrets
def test_secret_files(f):
    f.file("secret", "host=db password=hunter2\n")
    for env, text in (({"FAUCET_TELEMETRY_POSTGRES_STRING_FILE": f.dir + "/secret"}, BASE),
                      ({}, BASE.replace("{ namespace: of-file }", "{ postgres_string_file: secret }"))):
        f.write(text)
        done = f.tool("config", "telemetry.postgres_string", env=env)
        assert done.returncode == 0, done.stderr
        assert "hunter2" not in done.stdout and re.search(r"secret|_FILE|_file", done.stdout), done.stdout
    f.write(BASE.replace("{ namespace: of-file }", "{ namespace_file: secret }"))
    assert f.tool("check").returncode == 78          # not a secret: no such key
    f.write(BASE.replace("{ namespace: of-file }", "{ postgres_string_file: missing }"))
    done = f.tool("check")
    assert done.returncode == 78 and "missing" in done.stdout + done.stderr


# -- names of the original
@pytest.mark.parametrize("env,args,key,expected", [
    ({"FAUCET_HOST": "127.0.0.1:4000"}, [], "listen", "127.0.0.1:4000"),
    ({}, ["--host", "127.0.0.1:4001"], "listen", "127.0.0.1:4001"),
    ({"FAUCET_LOG": "debug"}, [], "log.level", "debug"),
    ({"FAUCET_MAX_LOG_FILE_SIZE": "10MiB"}, [], "log.max_size", "10MiB"),
    ({"FAUCET_SHUTDOWN": "immediate"}, [], "shutdown.mode", "immediate"),
    ({"FAUCET_RSCRIPT": "/usr/bin/Rscript"}, [], "rscript", "/usr/bin/Rscript"),
    ({"FAUCET_QUARTO": "/x/quarto"}, [], "quarto", "/x/quarto"),
    ({"FAUCET_UV": "/x/uv"}, [], "uv", "/x/uv"),
    ({"FAUCET_TELEMETRY_NAMESPACE": "n"}, [], "telemetry.namespace", "n"),
    ({"FAUCET_TELEMETRY_VERSION": "1.0"}, [], "telemetry.version", "1.0"),
])
def test_aliases(f, env, args, key, expected):
    assert expected in value(f, key, *args, env=env)


def test_alias_for_the_log_file_and_the_file(f):
    assert f.dir + "/x.log" in value(f, "log.file", env={"FAUCET_LOG_FILE": "x.log"})
    os.rename(f.conf, f.dir + "/other.yaml")
    done = f.tool("config", "apps.sales.workers", conf=False, env={"FAUCET_ROUTER_CONF": f.dir + "/other.yaml"})
    assert done.returncode == 0 and "other.yaml" in done.stdout, done


def test_pg_con_string_is_an_alias(f):
    for flag in ("--pg-con-string", "--telemetry-postgres-string"):
        done = f.tool("config", flag, "host=db password=hunter2", "telemetry.postgres_string")
        assert done.returncode == 0 and "hunter2" not in done.stdout, done


def test_app_that_names_its_namespace_keeps_it(f):
    f.write(BASE + "    telemetry: { namespace: mine }\n  other: { type: static, dir: '@DIR@' }\n")
    env = {"FAUCET_TELEMETRY_NAMESPACE": "theirs"}
    starts(f, "apps.sales.telemetry.namespace", "mine", env=env)
    starts(f, "telemetry.namespace", "theirs", env=env)
    done = f.tool("check", env=env)
    out = done.stdout + done.stderr
    assert done.returncode == 0 and "sales" in out and "apps.*.telemetry.namespace" in out, out


# -- paths
def test_relative_paths(f):
    os.makedirs(f.dir + "/conf/files")
    os.makedirs(f.dir + "/files")
    f.write("apps: { a: { type: static, dir: files } }\nlog: { file: x.log }\n", name="conf/faucet.yaml")
    f.conf = "conf/faucet.yaml"
    assert f.dir + "/conf/files" in value(f, "apps.a.dir")
    assert f.dir + "/conf/x.log" in value(f, "log.file")
    assert f.dir + "/files" in value(f, "apps.a.dir", env={"FAUCET_APPS_A_DIR": "files"})
    assert f.dir + "/files" in value(f, "apps.a.dir", "--set", "apps.a.dir=files")


# -- and the daemon obeys
def test_the_daemon_obeys_environment_and_flags(faucet):
    f = faucet(start=False, args=["--set", "apps.a.env={WHO: flag}"])
    f.write("listen: 127.0.0.1:1\napps:\n  a:\n    command: [@PYTHON@, '@APPS@/backend.py', \"{socket}\"]\n    env: { WHO: file }\n")
    f.extra_env["FAUCET_LISTEN"] = "127.0.0.1:%d" % f.port
    f.start()
    assert '"WHO": "flag"' in f.get("/a/env").text
