"""Fixtures of the language's tests."""

from __future__ import annotations

import pytest

from tests.harness.requirement import unavailable

from . import cl_program


@pytest.fixture(scope="session")
def opencl_device(pytestconfig: pytest.Config) -> None:
    """Skip a test where no OpenCL device can build programs."""
    try:
        cl_program.context()
    except cl_program.NoDevice as error:
        unavailable(pytestconfig, str(error))
