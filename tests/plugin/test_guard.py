"""--xdevice-guard and --no-xdevice-guard: what is found with guards is not without them."""

from __future__ import annotations

import pytest

TESTS = """
import numpy as np
from pytest_xdevice import In, InOut, c_kernel, dim, f32, i64, kernel

n = dim("n")

@kernel
def writes_at(x: InOut[f32, n], where: i64):
    x[where] = 7.0

def test_writes_into_the_slack(xdevice):
    xdevice.run(writes_at, np.zeros(5, np.float32), 5)

def test_writes_what_is_to_be_read(xdevice):
    code = "void store(const float *x) { *(float *)x = 7; }"
    x = xdevice.array(np.zeros(5, np.float32))
    xdevice.compile(c_kernel(code, "void store(const float *x)"))(x)
    assert x.numpy()[0] == 7
"""


def test_guards_are_on(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest()
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "E * writes_at wrote 4 bytes past the end of argument x (index 5 of 5)*",
            "E * store wrote to argument x, which is In: to be read only (index 0 of 5) on local cpu: SIGSEGV",
        ]
    )


def test_guards_can_be_turned_off(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TESTS)
    pytester.runpytest("--no-xdevice-guard").assert_outcomes(passed=2)
