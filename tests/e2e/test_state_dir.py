"""Where events wait: a directory that somebody asked for must work; one that the environment offers is left where it does not."""
import os

import pytest

from faucet import backend
from postgres import closed_port
from telemetry import destinations

NOWHERE = "/proc/nowhere"


def config(**more):
    """Its database never answers: a stop need not wait for it long."""
    return {"shutdown": {"mode": "immediate"}, "telemetry": {"postgres_string": "host=127.0.0.1 port=%d dbname=x" % closed_port()}, "apps": {"a": backend()}, **more}


@pytest.mark.parametrize("name", ["STATE_DIRECTORY", "XDG_STATE_HOME", "HOME"])
def test_one_from_the_environment_that_cannot_be_used(faucet, name):
    nothing = {"STATE_DIRECTORY": None, "XDG_STATE_HOME": None}
    f = faucet(config(), env={**nothing, name: NOWHERE})
    f.log_contains(r"WARN .*events wait in memory .*: %s\b" % NOWHERE)
    assert f.get("/a/me").status == 200
    assert [d["on_disk"] for d in destinations(f)] == [False]


@pytest.mark.parametrize("how", ["file", "variable", "flag"])
def test_one_that_was_asked_for_and_cannot_be_used(faucet, how):
    f = faucet(config(**({"state_dir": NOWHERE} if how == "file" else {})), start=False, env={"FAUCET_STATE_DIR": NOWHERE} if how == "variable" else {})
    assert f.run_to_end(*(["--state-dir", NOWHERE] if how == "flag" else [])) == 1
    f_says = f.log()
    assert "state_dir: %s: " % NOWHERE in f_says and "in memory" not in f_says


def test_systemds_is_used_where_it_can_be(faucet):
    f = faucet(config(), start=False)
    f.extra_env = {"STATE_DIRECTORY": os.path.join(f.dir, "state") + ":/another"}
    f.start()
    assert f.get("/a/me").status == 200
    assert [d["on_disk"] for d in destinations(f)] == [True] and f.status()["telemetry"]["state_dir"] == os.path.join(f.dir, "state")


def test_systemds_that_another_faucet_uses_is_an_error(faucet):
    """Otherwise two of them would seem to be safe, and one of them not be."""
    f = faucet(config(), start=False)
    f.extra_env = {"STATE_DIRECTORY": os.path.join(f.dir, "state")}
    f.start()
    other = faucet(config(), start=False, env=f.extra_env)
    assert other.run_to_end() == 1
    assert "in use by another faucet" in other.log()
