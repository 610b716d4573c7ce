"""Tests on devices with pytest-rerunfailures and pytest-timeout."""

from __future__ import annotations

import json
import threading
import time

import pytest

from tests.fleet.conftest import ENDLESS
from tests.fleet.conftest import Fleet


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["one process", "xdist"])
@pytest.mark.parametrize("way", ["each", "load"])
def test_a_test_that_is_run_again_is_told_of_once(
    fleet: Fleet, add_one: pytest.Pytester, way: str, workers: list[str]
) -> None:
    add_one.makepyfile(
        """
        import pytest
        from kernels import add_one, np

        attempts = []

        def test_second_time(xdevice):
            attempts.append(xdevice.name)
            a, b = xdevice.array(np.zeros(3, np.float32)), xdevice.empty(3)
            xdevice.compile(add_one).time(a, b, number=1, repeat=1)
            assert len(attempts) == 2
        """
    )
    options = [f"--xdevice-dist={way}", "--xdevice=rack-1", "--reruns=1", "--xdevice-report=run.json", *workers]
    result = add_one.runpytest(*options)
    assert result.parseoutcomes() == {"passed": 1, "rerun": 1}
    report = json.loads((add_one.path / "run.json").read_text())
    assert [test["device"] for test in report["tests"]] == ["rack-1"]
    assert len(report["timings"]) == 1
    assert [(entry["tests"], entry["failures"]) for entry in report["usage"]] == [(2, 1)]


def test_a_test_whose_device_was_lost_is_run_again_on_another(fleet: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile(
        """
        import os
        import signal
        from kernels import add_one, np

        def test_add(xdevice):
            if xdevice.name == "rack-1":
                os.kill(xdevice.session._control.request("pid"), signal.SIGKILL)
            assert xdevice.run(add_one, np.zeros(3, np.float32)).tolist() == [1, 1, 1]
        """
    )
    result = add_one.runpytest("-v", "--xdevice-dist=load", "--reruns=2", *fleet.options)
    assert result.parseoutcomes() == {"passed": 1, "rerun": 2}
    result.stdout.fnmatch_lines(["*RERUN on rack-1*", "*RERUN on rack-1*", "*PASSED on rack-2*"])


def test_waiting_for_a_device_is_no_part_of_a_tests_time(fleet: Fleet, add_one: pytest.Pytester) -> None:
    add_one.makepyfile("def test_add(xdevice): pass")
    held = fleet.open(0)

    def keep_it() -> None:
        while not fleet.who(0).waiting:
            time.sleep(0.05)
        time.sleep(4.5)  # longer than the test may take
        held.close()

    keeper = threading.Thread(target=keep_it)
    keeper.start()
    # With a worker, since it waits for the device not before but in the run of the tests.
    result = add_one.runpytest("-n1", "--timeout=4", "--xdevice=rack-1")
    keeper.join()
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_a_test_that_takes_too_long_does_not_spoil_the_next(
    fleet: Fleet, add_one: pytest.Pytester, method: str
) -> None:
    add_one.makepyfile(endless=ENDLESS)
    add_one.makepyfile(
        """
        import pytest
        from endless import endless
        from kernels import add_one, np

        @pytest.mark.timeout(2, func_only=True)
        def test_endless(xdevice):
            xdevice.run(endless, np.zeros(3, np.int32))

        def test_next(xdevice):
            assert xdevice.run(add_one, np.zeros(3, np.float32)).tolist() == [1, 1, 1]
        """
    )
    # The method "thread" ends the process, which with a worker costs the one test.
    workers = ["-n1"] if method == "thread" else []
    result = add_one.runpytest(f"--timeout-method={method}", "--xdevice=rack-1", *workers)
    result.assert_outcomes(passed=1, failed=1)
