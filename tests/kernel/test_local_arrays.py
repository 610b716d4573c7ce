"""Arrays of an iteration: zeros at first, each iteration's own, the same in the interpreter, in LLVM and in OpenCL."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_xdevice import bool_
from pytest_xdevice import dim
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i8
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import private
from pytest_xdevice import u8
from pytest_xdevice import u16
from pytest_xdevice import u64

from .ways import agree
from .ways import Run

n, m = dim("n"), dim("m")
DEPTH = 5


@kernel
def smallest(a: In[f32, m, n], b: Out[f32, m, 3]):
    for y in parallel(m):
        best = private(f32, 3)
        for k in range(3):
            best[k] = 1e30
        for x in range(n):
            value = a[y, x]
            for k in range(len(best)):
                if value < best[k]:
                    value, best[k] = best[k], value
        for k in range(best.shape[0]):
            b[y, k] = best[k]


def test_each_iteration_has_an_array_of_its_own(run: Run) -> None:
    values = np.random.default_rng(0).uniform(size=(23, 17)).astype(np.float32)
    got = np.zeros((23, 3), np.float32)
    run(smallest, values, got)
    np.testing.assert_array_equal(got, np.sort(values, axis=1)[:, :3])


@kernel
def counted(a: In[u8, n], b: Out[i64, n, DEPTH]):
    for i in parallel(n, block=4):
        for k in range(DEPTH):
            seen = private(i64, DEPTH)
            seen[a[i] % DEPTH] += 1
            seen[k] += 10
            b[i, k] = seen[a[i] % DEPTH]


def test_it_is_zeros_each_time_it_is_made(run: Run) -> None:
    agree(run, counted, np.arange(37, dtype=np.uint8), np.zeros((37, DEPTH), np.int64))


@pytest.mark.parametrize("element", [bool_, i8, u16, i32, u64, f16, f32, f64], ids=repr)
def test_elements_of_every_type(run: Run, element: Any) -> None:
    @kernel
    def shifted(a: In[element, n], b: Out[element, n]):
        for i in parallel(n):
            held = private(element, 2, 3)
            for k in range(6):
                held[k // 3, k % 3] = element(a[(i + k) % n])
            b[i] = element(held[1, -1])

    values = np.arange(11).astype(element.dtype)
    agree(run, shifted, values, np.zeros(11, element.dtype))


@kernel
def in_three_dimensions(a: In[i32, n], b: Out[i32, n]):
    for i in parallel(n):
        cube = private(i32, 2, 3, 4)
        for x in range(2):
            for y in range(3):
                for z in range(4):
                    cube[x, y, z] = i32(100 * x + 10 * y + z) + a[i]
        b[i] = cube[i % 2, i % 3, i % 4] - cube[0, 0, 0] + cube[-1, -1, -1]


def test_up_to_three_dimensions(run: Run) -> None:
    agree(run, in_three_dimensions, np.arange(24, dtype=np.int32), np.zeros(24, np.int32))


@kernel
def histogram(a: In[u8, n], counts: InOut[i64, 8], doubled: Out[u8, n], total: Out[i64, 1]):
    bins = private(i64, 8)
    for i in range(n):
        bins[a[i] % 8] += 1
    for k in range(8):
        counts[k] = bins[k]
    for i in parallel(n):
        pair = private(u8, 2)
        pair[i % 2] = a[i]
        doubled[i] = pair[0] + pair[1] + a[i]
    bins = private(i64, 8)
    bins[3] = 1
    total[0] = bins[0] + bins[3]


def test_the_part_that_runs_once_has_arrays_too(run: Run) -> None:
    values = np.random.default_rng(0).integers(0, 256, 100, np.uint8)
    agree(run, histogram, values, np.zeros(8, np.int64), np.zeros(100, np.uint8), np.zeros(1, np.int64))


@kernel
def beyond(b: Out[i32, n]):
    for i in parallel(n):
        held = private(i32, 4)
        b[i] = held[i]


def test_the_interpreter_checks_the_bounds() -> None:
    with pytest.raises(IndexError, match=r"held\[4\] is outside of its 4 elements"):
        beyond.python(np.zeros(5, np.int32))


def test_private_has_a_meaning_only_in_a_kernel() -> None:
    with pytest.raises(TypeError, match="inside a @kernel"):
        private(f32, 8)
