"""A device that fails is left out of the rest of the run, with one line; its tests go to others, or error with one."""

from __future__ import annotations

import json
import re

import pytest

from tests.faults.test_runs import BEFORE_AND_AFTER
from tests.faults.test_runs import Between
from tests.fleet.conftest import ENDLESS
from tests.fleet.conftest import Fleet
from tests.harness import unnamed

KILL = """
@pytest.mark.parametrize("time", [1, 2])
def test_between(xdevice_session, time):
    os.kill(xdevice_session._control.request("pid"), signal.SIGKILL)
    wait_until(lambda: xdevice_session.lost is not None)
"""
AWAIT_THE_END = """
def test_between(xdevice_session):
    wait_until(lambda: xdevice_session.name == "rack-2" or xdevice_session.lost is not None)
"""
LATE = """
from kernels import add_one
from endless import endless
import numpy as np
import pytest

def test_before(xdevice):
    xdevice.run(add_one, np.zeros(3, np.float32))

@pytest.mark.parametrize("time", range({times}))
def test_late(xdevice, time):
    xdevice.run(endless, np.zeros(3, np.int32), timeout=0.3)

def test_after(xdevice):
    xdevice.run(add_one, np.zeros(3, np.float32))
"""
LATE_FIXTURE = """
from kernels import add_one
from endless import endless
import numpy as np
import pytest

@pytest.fixture{scope}
def result(xdevice_session):
    return xdevice_session.device("cpu").run(endless, np.zeros(3, np.int32), timeout=0.3)

@pytest.mark.parametrize("time", range(3))
def test_late(result, time): pass

def test_after(xdevice):
    xdevice.run(add_one, np.zeros(3, np.float32))
"""
CRASHING_FIXTURE = """
import pytest
from pytest_xdevice import DeviceLost

@pytest.fixture
def crashing(xdevice_session):
    raise DeviceLost("it was lost")

def test_crash(crashing): pass
"""


def usage_of(pytester: pytest.Pytester) -> dict[str, tuple[int, int, int]]:
    """Return the tests, failures and crashes of each device, as the JSON report has them."""
    usage = json.loads((pytester.path / "run.json").read_text())["usage"]
    return {entry["device"]: (entry["tests"], entry["failures"], entry["crashes"]) for entry in usage}


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["one process", "xdist"])
def test_the_tests_of_a_device_that_ends_go_to_another(
    frail_fleet: Fleet, add_one: pytest.Pytester, workers: list[str]
) -> None:
    add_one.makepyfile(test_run=BEFORE_AND_AFTER.format(between=AWAIT_THE_END))
    stop = Between("test_before", frail_fleet.servers[0].service.stop)
    options = ["-v", "--xdevice-dist=load", "--xdevice-report=run.json", *frail_fleet.options, *workers]
    result = add_one.runpytest(*options, plugins=[stop])
    result.assert_outcomes(passed=4)
    line = "xdevice rack-1: quarantined for the rest of this run: lost (*), and not reached again: *"
    result.stdout.fnmatch_lines([line, "*xdevice devices*", "device *", "rack-1 *", "rack-2 *", "*=", line])
    assert usage_of(add_one)["rack-2"][0] >= 2
    assert sum(tests for tests, _, _ in usage_of(add_one).values()) == 4


def test_a_device_that_is_not_there_is_left_out_with_one_line(
    fleet: Fleet, add_one: pytest.Pytester, closed_port: str
) -> None:
    add_one.makepyfile(test_run=BEFORE_AND_AFTER.format(between=""))
    options = ["--xdevice-dist=load", f"--xdevice-token-file={fleet.servers[0].token_file}"]
    result = add_one.runpytest(*options, f"--xdevice={closed_port}", *fleet.options)
    result.assert_outcomes(passed=3)
    lines = [line for line in result.outlines if line.startswith(f"xdevice {closed_port}: quarantined")]
    assert len(lines) == 2  # at once, and at the end
    assert "onnection refused" in lines[0]


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["one process", "xdist"])
def test_where_no_device_is_there_the_run_ends(
    pytester: pytest.Pytester, closed_port: str, workers: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDEVICE_TOKEN", "secret")
    pytester.makepyfile("def test_one(xdevice): pass\ndef test_two(xdevice): pass")
    options = ["--xdevice-dist=load", f"--xdevice={closed_port}", "--xdevice=exec:/nowhere/python3", *workers]
    result = pytester.runpytest(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: xdevice {closed_port}: *", "xdevice exec:/nowhere/python3: *"])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


def test_a_session_that_is_lost_twice_is_not_opened_again(fleet: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(test_run=BEFORE_AND_AFTER.format(between=KILL))
    result = add_one.runpytest("-r", "N", "--xdevice-report=run.json", *fleet.options)
    # On each device: what came before, and the killing ones, pass.
    result.assert_outcomes(passed=6, errors=4)
    for name in ("rack-1", "rack-2"):
        line = rf"xdevice {name}: quarantined for the rest of this run: lost 2 times, at last: "
        assert len(re.findall(line, result.stdout.str())) == 4  # at once, two tests, and at the end
    assert usage_of(add_one)["rack-1"] == (3, 0, 0)


@pytest.mark.parametrize(("times", "workers"), [(2, []), (3, []), (3, ["-n1"])], ids=["two", "three", "under xdist"])
def test_three_tests_in_a_row_that_take_too_long_are_enough(
    fleet: Fleet, add_one: pytest.Pytester, times: int, workers: list[str]
) -> None:
    add_one.makepyfile(endless=ENDLESS, test_run=LATE.format(times=times))
    result = add_one.runpytest("--xdevice=rack-1", *workers)
    if times == 2:
        result.assert_outcomes(passed=2, failed=2)
        return
    result.assert_outcomes(passed=1, failed=3, errors=1)
    line = "xdevice rack-1: quarantined for the rest of this run: 3 tests in a row took too long, at last: endless"
    assert len([found for found in result.outlines if found.startswith(line)]) == 3  # at once, one test, at the end


def test_under_load_others_take_over_from_a_device_on_which_all_takes_too_long(
    fleet: Fleet, add_one: pytest.Pytester
) -> None:
    add_one.makepyfile(endless=ENDLESS, test_run=LATE.format(times=3))
    result = add_one.runpytest("-v", "--xdevice-dist=load", *fleet.options)
    result.assert_outcomes(passed=2, failed=3)
    result.stdout.fnmatch_lines(["*test_after[[]cpu[]] PASSED on rack-2*"])


@pytest.mark.parametrize(("scope", "errors"), [("", 4), ("(scope='module')", 3)], ids=["of a test", "of a module"])
def test_fixtures_that_take_too_long_count_once_each(
    fleet: Fleet, add_one: pytest.Pytester, scope: str, errors: int
) -> None:
    add_one.makepyfile(endless=ENDLESS, test_run=LATE_FIXTURE.format(scope=scope))
    result = add_one.runpytest("--xdevice=rack-1")
    result.assert_outcomes(passed=4 - errors, errors=errors)


def test_a_crash_in_a_fixture_is_in_the_table(fleet: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(CRASHING_FIXTURE)
    add_one.runpytest("--xdevice=rack-1", "--xdevice-report=run.json").assert_outcomes(errors=1)
    assert usage_of(add_one) == {"rack-1": (1, 1, 1)}


def test_tests_that_do_not_name_the_fixture_name_the_device_that_is_lost(
    fleet: Fleet, add_one: pytest.Pytester
) -> None:
    add_one.makepyfile(test_run=BEFORE_AND_AFTER.format(between=KILL) + unnamed.TESTS)
    result = add_one.runpytest("-rN", "--xdevice=rack-1")
    result.assert_outcomes(passed=3, errors=3, failed=1)
    line = "xdevice rack-1: quarantined for the rest of this run: lost 2 times, at last: "
    assert len([found for found in result.outlines if found.startswith(line)]) == 6  # at once, each test, at the end
    result.stdout.fnmatch_lines(["3 tests could not run there. *"])
