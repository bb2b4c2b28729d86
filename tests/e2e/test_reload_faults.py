"""Every step of a reload can fail; then nothing changed and nothing is left over (DESIGN 7.1). The faults are put in by the daemon itself."""
import pytest

from reloading import Socket, backend, look, me, settled, tiny

BEFORE = {"a": backend(gen=1, workers=2), "b": tiny(), "gone": tiny()}
AFTER = {"a": backend(gen=2, workers=3), "b": tiny(concurrency=3), "new": tiny()}


def config(apps, **more):
    return {"apps": apps, **more}


@pytest.mark.parametrize("step, status", [("read", 78), ("check", 78), ("plan", 1), ("log", 1), ("bind", 1), ("spawn", 1), ("ready", 1)])
def test_a_fault_at_each_step_changes_nothing(faucet, tmp_path, step, status):
    fault = tmp_path / "fault"
    fault.write_text("")
    f = faucet(config(BEFORE), env={"FAUCET_TEST_FAULT_FILE": str(fault)})
    socket = Socket(f, "a")
    before = settled(f, ["a", "b", "gone"])
    fault.write_text(step + "\n")
    done = f.reload(config(AFTER), expect=status)
    assert "fault" in done.stdout + done.stderr or step == "log", done
    assert f.config_number() == 1
    assert settled(f, ["a", "b", "gone"], like=before) == before
    assert socket.alive() and me(f).gen == "1" and f.get("/gone/").status == 200 and f.get("/new/").status == 404
    fault.write_text("")
    f.reload(expect=0)
    assert f.config_number() == 2 and f.get("/gone/").status == 404 and f.get("/new/").status == 200
    assert me(f).gen == "2" and socket.alive()
    socket.close()
    assert look(f, ["b"])["workers"]["b"] == before["workers"]["b"]
