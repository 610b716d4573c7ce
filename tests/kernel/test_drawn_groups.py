"""Drawn work-groups with shared memory and barriers give the same in the interpreter, in LLVM and in OpenCL C."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from tests.harness.requirement import unavailable

from .cl_on_threads import c_compiler
from .cl_on_threads import OnThreads
from .drawn_groups import DrawnGroups
from .native import Native

_EXAMPLES = 25


def agree(drawn: DrawnGroups, launch: Callable[[int, tuple[object, ...]], object]) -> None:
    kernel = drawn.kernel()
    for size in (0, 1, 3, 8, 13):
        values, table = np.arange(size) * 7919 % 101 - 50, np.arange(5) * 3 - 4
        expected, got = np.zeros(size, np.int64), np.zeros(size, np.int64)
        kernel.python(values, table, expected, 5)
        launch(size, (values, table, got, 5))
        np.testing.assert_array_equal(got, expected, err_msg=f"block={drawn.block}\n{drawn.text}")


@settings(max_examples=_EXAMPLES)
@given(seed=st.integers(0, 1 << 30))
def test_llvm_does_what_the_interpreter_does(seed: int) -> None:
    drawn = DrawnGroups(seed)
    native = Native(drawn.kernel().ir)
    agree(drawn, lambda size, arguments: native(*arguments))


@settings(max_examples=_EXAMPLES)
@given(seed=st.integers(0, 1 << 30))
def test_opencl_c_says_what_the_interpreter_does(pytestconfig: pytest.Config, seed: int) -> None:
    if c_compiler() is None:
        unavailable(pytestconfig, "needs a C compiler: install gcc or clang")
    drawn = DrawnGroups(seed)
    with tempfile.TemporaryDirectory() as folder:
        on_threads = OnThreads(drawn.kernel(), Path(folder))
        agree(drawn, lambda size, arguments: on_threads(*arguments, n=size))
