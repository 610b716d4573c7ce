"""What fits 32 bits in a small launch: what sizes and constants bound, and nothing that only data bounds."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.kernel.kernel import Kernel
from pytest_xdevice.kernel.passes.legalise import legalise
from pytest_xdevice.kernel.passes.small_integers import SmallIntegers

from .ways import Run

m, n = dim("m"), dim("n")


@kernel
def rows(a: In[f32, m, n], b: Out[f32, m]):
    for y in parallel(m):
        total = f32(0)
        middle = n // 2
        for x in range(1, n, 3):
            total += a[y, x]
        b[y] = total + a[y, middle]


@kernel
def tiles(b: InOut[f32, n]):
    for tile in parallel((n + 31) // 32):
        first = tile * 32
        for x in range(first, min(first + 32, n)):
            b[x] = b[x] + f32(1)


@kernel
def inner(b: InOut[f32, n]):
    for i in parallel(range(1, n - 1)):
        b[i] = f32(i)


@kernel
def taken(indices: In[i32, n], b: InOut[f32, n]):
    for i in parallel(n):
        j = i64(indices[i])
        b[j] = f32(0)


@kernel
def hashed(count: i64, keys: In[i64, n], b: InOut[f32, n]):
    for i in parallel(count):
        key = keys[i]
        slot = key * 31 + count
        b[slot] = f32(0)


@kernel
def grown(b: InOut[f32, n]):
    step = 1
    while step < n:
        step = step * 2
    for x in range(n):
        square = x * x
        b[0] = f32(step + square)


@kernel
def shifted(b: InOut[f32, n]):
    for i in parallel(n):
        near = (i - 5) >> 31
        far = (i - 5) >> 32
        b[i] = f32(near + far)


@kernel
def moving_ends(ends: InOut[i32, n], b: InOut[i64, n]):
    for i in parallel(n):
        stop = n
        for x in range(i, stop):
            stop = 2
            b[i] += x + stop
        for x in range(i64(ends[i])):
            ends[i] = i32(0)
            b[i] += x
        for stop in range(stop, stop + 3):  # noqa: B020
            b[i] += stop


@pytest.mark.parametrize(
    ("kernel", "small", "large"),
    [
        (rows, {"y", "x", "middle"}, set()),
        (tiles, {"tile", "first", "x"}, set()),
        (inner, {"i"}, set()),
        (taken, {"i", "j"}, set()),
        (hashed, {"i"}, {"key", "slot"}),
        (grown, {"x"}, {"step", "square"}),
        (shifted, {"i", "near"}, {"far"}),
    ],
    ids=lambda value: value.name if isinstance(value, Kernel) else "",
)
def test_what_sizes_bound_is_small(kernel: Kernel, small: set[str], large: set[str]) -> None:
    integers = SmallIntegers(legalise(kernel.ir))
    assert {name for name in small | large if name in integers} == small


def test_a_local_that_another_phase_sets_is_not_known() -> None:
    assert "i" not in SmallIntegers(legalise(inner.ir), ["i"])


def test_the_end_of_a_loop_is_evaluated_once(run: Run) -> None:
    ends, b = np.full(9, 5, np.int32), np.zeros(9, np.int64)
    run(moving_ends, ends, b)
    expected = [sum(range(i, 9)) + 2 * (9 - i) + 10 + sum(range(2, 5)) for i in range(9)]
    np.testing.assert_array_equal(b, expected)
    assert not ends.any()
