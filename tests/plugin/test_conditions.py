"""What disturbs timings: pinning, and the warnings at a run's end."""

from __future__ import annotations

import os

import pytest

from .conftest import ADD_ONE

TIMED = (
    ADD_ONE
    + """
@pytest.mark.parametrize("round", range(2))
def test_time(xdevice, round):
    a, b = xdevice.array(np.ones(64, np.float32)), xdevice.empty(64)
    timing = xdevice.compile(add_one).time(a, b, number=3, repeat=4)
    print("on", timing.conditions)
"""
)


@pytest.mark.parametrize("source", ["option", "ini"])
def test_the_worker_keeps_to_a_core(pytester: pytest.Pytester, source: str) -> None:
    cpu = max(os.sched_getaffinity(0))
    pytester.makepyfile(TIMED)
    arguments = [f"--xdevice-pin={cpu}"] if source == "option" else ["-o", f"xdevice_pin={cpu}"]
    result = pytester.runpytest("-s", *arguments)
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"*cpu={cpu},*cores=1,*"])


def test_a_named_device_keeps_its_kernels_to_its_cores(pytester: pytest.Pytester) -> None:
    cpu = max(os.sched_getaffinity(0))
    pytester.makepyprojecttoml(f'[tool.xdevice.devices.board]\naddress = "local"\npin = [{cpu}]')
    pytester.makepyfile(TIMED)
    result = pytester.runpytest("-s", "--xdevice=board")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([f"*cpu={cpu},*cores=1,*"])


def test_a_core_that_is_not_there_is_a_usage_error_that_names_those_that_are(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TIMED)
    result = pytester.runpytest("--xdevice-pin=4095")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    there = ", ".join(map(str, sorted(os.sched_getaffinity(0))))
    result.stderr.fnmatch_lines([f"*--xdevice-pin: there is no CPU 4095 *; there are: {there}*"])


def test_a_core_of_a_devices_entry_that_is_not_there_is_told_by_its_key(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TIMED)
    pytester.path.joinpath("xdevice.toml").write_text("[devices.board]\naddress = 'local'\npin = [4095]\n")
    result = pytester.runpytest("--xdevice=board")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: xdevice board: pin: there is no CPU 4095 *"])


@pytest.mark.parametrize("value", ["first", "-1", "0,1", "²"])
def test_a_pin_that_is_no_number_is_a_usage_error(pytester: pytest.Pytester, value: str) -> None:
    result = pytester.runpytest(f"--xdevice-pin={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--xdevice-pin: '{value}' is no CPU; give its number*"])


def test_a_cause_is_told_once_a_device(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TIMED)
    pytester.makeconftest(
        """
        from pytest_xdevice import launch

        class Busy(launch.Conditions):
            @classmethod
            def from_wire(cls, data):
                return super().from_wire({**data, "load": 99.0, "cores": 2})

        launch.Conditions = Busy
        """
    )
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2)
    assert result.stdout.str().count("warning: local: a load of 99.0 on 2 cores; end what else runs there") == 1
    quiet = pytester.runpytest_subprocess("--no-summary")
    assert "warning: local" not in quiet.stdout.str()
