"""Fixtures of the language's tests."""

from __future__ import annotations

import pytest

from tests.harness.requirement import unavailable

from . import cl_program
from .ways import Run
from .ways import WAYS


@pytest.fixture(scope="session")
def opencl_device(pytestconfig: pytest.Config) -> None:
    """Skip a test where no OpenCL device can build programs."""
    try:
        cl_program.context()
    except cl_program.NoDevice as error:
        unavailable(pytestconfig, str(error))


@pytest.fixture(params=WAYS)
def run(request: pytest.FixtureRequest) -> Run:
    """Return how to run a kernel one way: interpreted, compiled by LLVM, on threads, or by OpenCL."""
    if request.param == "opencl":
        request.getfixturevalue("opencl_device")
    return WAYS[request.param]
