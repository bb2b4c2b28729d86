"""`make install` honours DESTDIR and PREFIX, and what it installs runs."""
import os
import subprocess

import pytest

from faucet import BIN, ROOT


@pytest.mark.parametrize("prefix", [None, "/opt/faucet"])
def test_install(tmp_path, prefix):
    destination = str(tmp_path / "root")
    argv = ["make", "-s", "-o", "all", "install", "DESTDIR=" + destination, "FAUCET=" + BIN] + (["PREFIX=" + prefix] if prefix else [])
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    base = destination + (prefix or "/usr/local")
    files = sorted(os.path.relpath(os.path.join(b, n), destination) for b, _, names in os.walk(destination) for n in names)
    assert all(("/" + f).startswith(prefix or "/usr/local") for f in files), files
    installed = base + "/bin/faucet"
    assert os.access(installed, os.X_OK)
    assert os.path.exists(base + "/share/faucet/faucet.schema.json")
    schema = subprocess.run([installed, "schema"], capture_output=True, text=True, timeout=20, cwd="/")
    assert schema.returncode == 0 and schema.stdout == open(base + "/share/faucet/faucet.schema.json").read()
