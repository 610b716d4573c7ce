"""A test run whose device is lost on the way: it goes on, with the device where that comes back, else without it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.relay import link_to
from tests.harness.server import DeviceServer
from tests.harness.server import module_command
from tests.harness.server import running_server

BEFORE_AND_AFTER = """
import os
import signal
import time
import numpy as np
import pytest
from kernels import add_one

def check(xdevice):
    np.testing.assert_array_equal(xdevice.run(add_one, np.zeros(3, np.float32)), np.ones(3))

def wait_until(happened):
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)

def test_before(xdevice):
    check(xdevice)

{between}

def test_after(xdevice):
    check(xdevice)

def test_last(xdevice):
    check(xdevice)
"""


def port_of(server: DeviceServer) -> int:
    return int(server.address.split(":")[1])


def write_tests(pytester: pytest.Pytester, between: str) -> None:
    pytester.makepyfile(test_run=BEFORE_AND_AFTER.format(between=between))


KILL_SESSION = """
def test_between(xdevice_session):
    os.kill(xdevice_session._control.request("pid"), signal.SIGKILL)
    wait_until(lambda: xdevice_session.lost is not None)
"""

KILL_WORKER = """
def test_between(xdevice):
    check(xdevice)
    session = xdevice.session._control.request("pid")
    with open(f"/proc/{session}/task/{session}/children") as children:
        for worker in children.read().split():
            os.kill(int(worker), signal.SIGKILL)
    wait_until(lambda: not xdevice.worker()._connection.is_silent())
"""

FREEZE_SESSION = """
def test_between(xdevice):
    os.kill(xdevice.session._control.request("pid"), signal.SIGSTOP)
"""


@pytest.mark.parametrize("way", ["local", "exec", "server"])
@pytest.mark.parametrize("killed", [KILL_SESSION, KILL_WORKER], ids=["session", "worker"])
def test_the_run_goes_on_when_a_process_is_killed(
    add_one: pytest.Pytester, server: DeviceServer, way: str, killed: str
) -> None:
    devices = {"local": ["--xdevice=local"], "exec": [f"--xdevice=exec:{sys.executable}"], "server": server.options}
    write_tests(add_one, killed)
    add_one.runpytest(*devices[way]).assert_outcomes(passed=4)


class Between:
    """A plugin that does something when a test has ended."""

    def __init__(self, test: str, action: Callable[[], object]) -> None:
        self._test = test
        self._action = action

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if self._test in nodeid:
            self._action()


def test_the_run_goes_on_when_the_server_was_restarted(add_one: pytest.Pytester, tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(running_server(module_command(), tmp_path))
        link = stack.enter_context(link_to(port_of(first)))

        def restart() -> None:
            first.service.stop()
            second = stack.enter_context(running_server(module_command(), tmp_path))
            link.target = port_of(second)

        write_tests(add_one, "")
        options = [f"--xdevice=127.0.0.1:{link.port}", f"--xdevice-token-file={first.token_file}"]
        result = add_one.runpytest(*options, plugins=[Between("test_before", restart)])
        result.assert_outcomes(passed=3)


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["one process", "xdist"])
def test_a_device_that_stays_away_costs_a_line_a_test(
    add_one: pytest.Pytester, tmp_path: Path, workers: list[str]
) -> None:
    with running_server(module_command(), tmp_path) as server:
        write_tests(add_one, "")
        stop = Between("test_before[127", server.service.stop)
        result = add_one.runpytest(*server.options, "--xdevice=local", "-r", "N", *workers, plugins=[stop])
    result.assert_outcomes(passed=4, errors=2)
    address = server.address
    result.stdout.fnmatch_lines(
        [
            f"_* ERROR at setup of test_after[[]{address}-cpu[]] _*",
            f"xdevice {address}: quarantined for the rest of this run: lost (the session is over: it was *), and not "
            "reached again: *Connection refused*",
            "=* xdevice: quarantined devices =*",
            f"xdevice {address}: quarantined for the rest of this run: lost *",
            "2 tests could not run there. *",
        ]
    )
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert result.stdout.str().count("not reached again") == 4  # at once, a line for each test, and once in all


def test_a_board_that_is_frozen_fails_a_test_and_is_reached_again(add_one: pytest.Pytester) -> None:
    write_tests(add_one, FREEZE_SESSION)
    result = add_one.runpytest(f"--xdevice=exec:{sys.executable}", "--xdevice-timeout=1")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines([f"E *DeviceLost: exec:{sys.executable}: the session did not answer *"])
