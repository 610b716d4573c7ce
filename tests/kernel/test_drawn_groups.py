"""Drawn work-groups with shared memory and barriers give the same in the interpreter and in LLVM.

Not in OpenCL, where PoCL 3.0 aborts on barriers in loops that nest and break: `test_groups` has what it compiles.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st

from .drawn_groups import DrawnGroups
from .native import Native


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1 << 30))
def test_llvm_does_what_the_interpreter_does(seed: int) -> None:
    drawn = DrawnGroups(seed)
    kernel = drawn.kernel()
    native = Native(kernel.ir)
    for size in (0, 1, 3, 8, 13):
        values, table = np.arange(size) * 7919 % 101 - 50, np.arange(5) * 3 - 4
        expected, got = np.zeros(size, np.int64), np.zeros(size, np.int64)
        kernel.python(values, table, expected, 5)
        native(values, table, got, 5)
        np.testing.assert_array_equal(got, expected, err_msg=f"block={drawn.block}\n{drawn.text}")
