"""The benchmark of timings: both ways to time call the same functions, and each gives its samples."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.placement import placements
from benchmarks.timing import build_driver
from benchmarks.timing import build_library
from benchmarks.timing import google_samples
from benchmarks.timing import our_sampler
from pytest_xdevice import library_kernel
from pytest_xdevice.remote import Device
from tests.harness.requirement import unavailable

pytestmark = pytest.mark.cpu


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, Path]:
    if shutil.which("c++") is None or not Path("/usr/include/benchmark/benchmark.h").exists():
        unavailable("libbenchmark-dev and a C++ compiler are not installed")
    return build_library(tmp_path), build_driver(tmp_path)


def test_both_time_the_same_functions(xdevice: Device, built: tuple[Path, Path]) -> None:
    library, driver = built
    if xdevice.session.info.hostname and xdevice.session.address != "local":
        pytest.skip("built for this machine")
    ours = our_sampler(xdevice, library, "saxpy", 1024, 1024)()
    theirs = google_samples(driver, "saxpy_1024", placements()[-1])
    assert len(theirs) == 31
    assert 5 <= len(ours) <= 31
    assert min(*ours, *theirs) > 0


def test_the_functions_do_what_they_are_called(xdevice: Device, tmp_path: Path) -> None:
    if xdevice.session.address != "local":
        pytest.skip("built for this machine")
    library = build_library(tmp_path)
    a = np.arange(16, dtype=np.float32)
    for name, n, expected in (
        ("add_one", 16, a + 1),
        ("saxpy", 16, a / 2),
        ("matmul", 4, (a.reshape(4, 4) @ a.reshape(4, 4)).ravel()),
    ):
        kernel = library_kernel(library, f"void {name}(int n, const float *a, float *b)")
        np.testing.assert_array_equal(xdevice.run(kernel, n, a, np.zeros(16, np.float32)), expected)
