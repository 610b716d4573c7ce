"""The benchmark of timings: both ways to time call the same functions, and each gives its samples."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.placement import placements
from benchmarks.timing import build_driver
from benchmarks.timing import build_libraries
from benchmarks.timing import c_kernel_of
from benchmarks.timing import google_samples
from benchmarks.timing import our_sampler
from pytest_xdevice.remote import Device
from tests.harness.requirement import unavailable

pytestmark = pytest.mark.cpu


@pytest.fixture
def driver(request: pytest.FixtureRequest, xdevice: Device, tmp_path: Path) -> Path:
    if shutil.which("c++") is None or not Path("/usr/include/benchmark/benchmark.h").exists():
        unavailable(request.config, "no Google Benchmark or no C++ compiler: apt-get install libbenchmark-dev g++")
    build_libraries(xdevice.session.compiler, tmp_path)
    return build_driver(tmp_path)


def test_both_time_the_same_calls(xdevice: Device, driver: Path) -> None:
    if xdevice.session.address != "local":
        pytest.skip("built for this machine")
    ours = our_sampler(xdevice, "saxpy", 1024, 1024)()
    theirs = google_samples(driver, "saxpy_1024", ours.number, placements()[-1])
    assert (len(theirs), ours.repeat) == (31, 31)
    assert min(*ours.results, *theirs) > 0


def test_the_functions_do_what_they_are_called(xdevice: Device) -> None:
    a = np.arange(16, dtype=np.float32)
    for name, n, expected in (
        ("add_one", 16, a + 1),
        ("saxpy", 16, a / 2),
        ("matmul", 4, (a.reshape(4, 4) @ a.reshape(4, 4)).ravel()),
    ):
        result = xdevice.run(c_kernel_of(name), n, a, np.zeros(16, np.float32))
        np.testing.assert_array_equal(result, expected)
