"""Fixtures: `faucet` makes a started daemon for one test, `module_faucet` one for a file; `origin` makes scripted backends.

A failed test shows the logs of the daemons it used. After each daemon the promises of Faucet.check_end are asserted.
"""
import faulthandler
import os
import resource
import signal
import sys
import threading

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import faucet as faucet_module  # noqa: E402
from faucet import BIN, Faucet  # noqa: E402
from origin import Origin  # noqa: E402

LIVE = []
TEST_DEADLINE = float(os.environ.get("E2E_DEADLINE", "150"))


def pytest_configure(config):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_sessionstart(session):
    if not os.access(BIN, os.X_OK):
        pytest.exit("no faucet at %s: build it, or name it in FAUCET_BIN" % BIN, 2)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for daemon in LIVE:
            report.sections.append(("faucet in %s" % daemon.dir, daemon.dump()))


@pytest.fixture(autouse=True)
def deadline(request):
    """No test hangs for good: after a while it fails and says where it stood."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def expired(_number, _frame):
        faulthandler.dump_traceback(all_threads=False)
        raise AssertionError("the test took more than %.0f s" % TEST_DEADLINE)
    previous = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, TEST_DEADLINE * faucet_module.SLOW)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)


def _factory():
    made = []

    def make(config=None, *, start=True, wait=True, origins=(), **kwargs):
        daemon = Faucet(config, **kwargs)
        made.append(daemon)
        LIVE.append(daemon)
        daemon.origins += [o for o in origins]
        if start:
            daemon.start(wait=wait)
        return daemon

    def finish():
        wrong = []
        for daemon in made:
            wrong += ["%s: %s" % (daemon.dir, w) for w in daemon.check_end()]
        text = "\n".join(wrong)
        if wrong:
            text += "\n" + "\n".join(d.dump() for d in made)
        for daemon in made:
            LIVE.remove(daemon)
            daemon.remove()
        if wrong:
            pytest.fail(text, pytrace=False)
    return make, finish


@pytest.fixture
def faucet():
    make, finish = _factory()
    yield make
    finish()


@pytest.fixture(scope="module")
def module_faucet():
    make, finish = _factory()
    yield make
    finish()


def _origins():
    made = []

    def make(*args, **kwargs):
        made.append(Origin(*args, **kwargs))
        return made[-1]
    return make, made


@pytest.fixture
def origin():
    make, made = _origins()
    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def module_origin():
    make, made = _origins()
    yield make
    for one in made:
        one.close()


def pytest_terminal_summary(terminalreporter):
    """What tests counted (record_property) is shown, also of those that passed and in other processes."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties if report.when == "call" else ():
                terminalreporter.write_line("%s: %s" % (name, value))
