"""Figures that are none: a device whose clock is broken, results that are no numbers; no other result is lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.harness.requirement import unavailable

# Answers for the clock that times kernels, in the processes of a device that loads it before libc.
BROKEN_CLOCK = """
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    static long steps;
    const char *step = getenv("CLOCK_STEP");
    if (id != CLOCK_MONOTONIC || step == NULL) return syscall(SYS_clock_gettime, id, now);
    now->tv_sec = 1000000 + steps++ * atol(step);
    now->tv_nsec = 0;
    return 0;
}
"""
DEVICE = '[tool.xdevice.devices.broken]\naddress = "local"\nenv = {{ LD_PRELOAD = "{}", CLOCK_STEP = "{}" }}\n'
RUN = """
    import numpy as np
    from kernels import add_one

    def test_speed(xbenchmark):
        xbenchmark(add_one, np.ones(100, np.float32), number=5)

    def test_values(xdevice):
        xdevice.assert_close(xdevice.run(add_one, np.zeros(5, np.float32)), np.ones(5, np.float32))
"""
# What a test tells of its timings, with results that no device of ours gives.
NO_NUMBERS = """
    import json
    import pytest

    TIMING = {
        "kernel": "add_one", "target": "t", "arguments": ["a: float32[4]"], "threads": 1, "key": "k", "processor": "p",
        "number": 1, "bytes": 8, "flops": 8, "outliers": 0, "conditions": None, "counters": None,
        "counters_missing": "", "events": None, **dict.fromkeys(("mean", "stdev", "median", "iqr", "min", "max")),
    }

    @pytest.mark.parametrize("second", ["NaN", "Infinity", "-1.0"])
    def test_speed(request, second):
        value = float(second.lower().replace("infinity", "inf"))
        found = {name: value if known is None and name in ("mean", "stdev", "median", "iqr", "min", "max") else known
                 for name, known in TIMING.items()}
        timing = json.dumps({**found, "results": [1e-6, value, 2e-6]})
        request.node.user_properties += [
            ("xdevice.device", "board"), ("xdevice.kind", "cpu"), ("xdevice.timing", timing),
        ]
"""


def results(pytester: pytest.Pytester) -> dict[str, bool]:
    """Return whether each test passed, as JUnit has it."""
    cases = ElementTree.parse(pytester.path / "r.xml").iter("testcase")
    return {case.get("name", ""): case.find("failure") is None for case in cases}


def report(pytester: pytest.Pytester) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((pytester.path / "r.json").read_text(encoding="utf-8"))
    return data


@pytest.fixture(scope="module")
def broken_clock(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Return the library with a clock that moves by whole steps, or not."""
    if shutil.which("cc") is None:
        unavailable(request.config, "there is no C compiler: apt-get install gcc")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "clock.c").write_text(BROKEN_CLOCK)
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", "clock.so", "clock.c"], cwd=folder, check=True)
    return folder / "clock.so"


@pytest.mark.parametrize(("step", "message"), [(0, "stands still: 155 calls"), (-1, "went back: * calls took -1 s")])
def test_a_broken_clock_fails_what_is_timed_and_nothing_else(
    add_one: pytest.Pytester, broken_clock: Path, step: int, message: str
) -> None:
    add_one.makepyfile(test_clock=RUN)
    add_one.makepyprojecttoml(DEVICE.format(broken_clock, step))
    result = add_one.runpytest("--xdevice=broken", "--junitxml=r.xml", "--xdevice-report=r.json")
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([f"E *DeviceError: add_one: the device's clock {message}*"])
    assert results(add_one) == {"test_speed[broken-cpu]": False, "test_values[cpu]": True}
    assert report(add_one)["counts"] == {"failed": 1, "passed": 1}
    assert report(add_one)["timings"] == []


@pytest.mark.parametrize("workers", [[], ["-n1"]], ids=["one process", "xdist"])
def test_results_that_are_no_times_lose_nothing(pytester: pytest.Pytester, workers: list[str]) -> None:
    pytester.makepyfile(test_numbers=NO_NUMBERS)
    files = ["--junitxml=r.xml", *(f"--xdevice-report=r.{suffix}" for suffix in ("json", "html", "md"))]
    result = pytester.runpytest("--xdevice-baseline=b.json", "--xdevice-fail-slower=10%", *files, *workers)
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        ["*b.json: 3 unusable", "*has results that are no times: nan s a call", "board cpu  add_one*nan*"]
    )
    assert set(results(pytester).values()) == {True}
    assert len(report(pytester)["timings"]) == 3
    assert not (pytester.path / "b.json").exists()
    for suffix in ("html", "md"):
        assert "unusable" in (pytester.path / f"r.{suffix}").read_text(encoding="utf-8")


def test_a_test_that_was_run_again_has_the_verdict_of_its_last_try(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_numbers=NO_NUMBERS
        + """
        earlier = {"finding": "slower", "message": "of the first try", "ratio": 2.0, "before": 1e-6}
        request.node.user_properties.append(("xdevice.baseline", json.dumps(earlier)))
"""
    )
    pytester.runpytest("--xdevice-baseline=b.json", "--xdevice-report=r.json").assert_outcomes(passed=3)
    assert [timing["baseline"]["finding"] for timing in report(pytester)["timings"]] == ["unusable"] * 3
