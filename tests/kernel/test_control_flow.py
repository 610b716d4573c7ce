"""Loops, branches and early returns do the same in the interpreter, in LLVM and in OpenCL."""

# ruff: noqa: SIM113 - kernels have no enumerate()

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import u8
from pytest_xdevice.kernel import Kernel

from . import cl_program
from .native import Native

n, m, p = dim("n"), dim("m"), dim("p")
Launch = Callable[..., None]


@pytest.fixture(params=["native", "opencl"])
def launcher(request: pytest.FixtureRequest) -> Callable[[Kernel], Launch]:
    """Return a function that builds a kernel one way or the other and gives back how to launch it."""
    if request.param == "native":
        return lambda each: Native(each.ir)
    request.getfixturevalue("opencl_device")

    def build(each: Kernel) -> Launch:
        built = cl_program.build(each.signature, each.opencl_program())
        return lambda *arguments: built.run(each.name, *arguments)

    return build


def assert_same(each: Kernel, launch: Launch, *arguments: Any) -> None:
    """Launch and interpret on copies of the same arguments; every array must come out the same."""
    expected, got = ([a.copy() if isinstance(a, np.ndarray) else a for a in arguments] for _ in "eg")
    each.python(*expected)
    launch(*got)
    for wanted, found in zip(expected, got, strict=True):
        if isinstance(wanted, np.ndarray):
            np.testing.assert_array_equal(found, wanted)


@kernel
def ranges(start: i64, stop: i64, step: i64, out: InOut[i64, n]):
    count = 0
    last = -77
    for value in range(start, stop, step):
        if count >= n:
            break
        out[count] = value
        count += 1
        last = value
    out[n - 1] = last


EXTREMES = [-(1 << 63), -(1 << 63) + 1, (1 << 63) - 1, (1 << 63) - 2]


def test_a_range_with_any_step(launcher: Callable[[Kernel], Launch]) -> None:
    launch = launcher(ranges)
    for start in (0, 3, -5, *EXTREMES):
        for stop in (0, 4, -7, *EXTREMES):
            for step in (0, 1, 2, 3, -1, -2, *EXTREMES):
                assert_same(ranges, launch, start, stop, step, np.zeros(9, np.int64))


@kernel
def constant_steps(start: i64, stop: i64, out: InOut[i64, 5, n]):
    for i in range(n):
        for k in range(5):
            out[k, i] = -1
    a = 0
    for x in range(start, stop):
        out[0, a] = x
        a += 1
    a = 0
    for x in range(start, stop, 2):
        out[1, a] = x
        a += 1
    a = 0
    for x in range(start, stop, 7):
        out[2, a] = x
        a += 1
    a = 0
    for x in range(stop, start, -1):
        out[3, a] = x
        a += 1
    a = 0
    for x in range(stop, start, -3):
        out[4, a] = x
        a += 1


def test_a_range_with_constant_steps(launcher: Callable[[Kernel], Launch]) -> None:
    launch = launcher(constant_steps)
    for start, stop in (
        (0, 0),
        (0, 8),
        (-3, 5),
        (5, -3),
        (EXTREMES[0], EXTREMES[0] + 9),
        (EXTREMES[2] - 9, EXTREMES[2]),
    ):
        assert_same(constant_steps, launch, start, stop, np.zeros((5, 20), np.int64))


@kernel
def breaking(out: InOut[i64, n]):
    for i in parallel(n):
        total = 0
        k = -1
        for k in range(i):
            inner = 0
            for inner in range(k, 0, -2):
                if inner % 5 == 0:
                    continue
                total += inner
            total -= inner
            if total > 40:
                break
        out[i] = total * 100 + k


@kernel
def searching(a: In[i32, n], out: InOut[i64, n]):
    for i in parallel(n):
        k = i
        while k > 0 and a[k - 1] < a[i]:
            k -= 1
            if a[k] == 7:
                continue
            if a[k] == 9:
                break
        out[i] = k


@kernel
def guarded_loads(a: In[f32, n], out: Out[f32, n]):
    for i in parallel(n):
        left = a[i - 1] if i > 0 else f32(0)
        right = a[i + 1] if i + 1 < n else f32(0)
        if i == 0 or a[i - 1] > a[i]:
            out[i] = left
        elif i + 1 == n or not (a[i + 1] > a[i]):
            out[i] = right
        else:
            out[i] = left + right


@kernel
def nest(a: In[i32, m, n, p], out: InOut[i32, m, n, p]):
    for i, j, k in parallel(m, n, p, block=(2, 2, 4)):
        if (i + j + k) % 3 == 0:
            continue
        out[i, j, k] = a[i, j, k] * 100 + i32(i * 16 + j * 4 + k)


def test_loops_and_branches(launcher: Callable[[Kernel], Launch]) -> None:
    rng = np.random.default_rng(3)
    assert_same(breaking, launcher(breaking), np.zeros(12, np.int64))
    search = launcher(searching)
    for size in (0, 1, 2, 50):
        assert_same(searching, search, rng.integers(0, 12, size).astype(np.int32), np.zeros(size, np.int64))
    loads = launcher(guarded_loads)
    for size in (0, 1, 2, 50):
        assert_same(guarded_loads, loads, rng.normal(size=size).astype(np.float32), np.zeros(size, np.float32))
    nested = launcher(nest)
    for shape in ((3, 5, 7), (2, 2, 4), (1, 1, 1), (4, 0, 3)):
        a = rng.integers(-100, 100, shape).astype(np.int32)
        assert_same(nest, nested, a, np.zeros(shape, np.int32))


# --- several phases ---------------------------------------------------------------------------------------


@kernel
def carried(a: In[f64, n], scale: f64, out: InOut[f64, n], flags: InOut[u8, 3]):
    doubled = scale * 2.0
    total = 0.0
    largest = a[0]
    for k in range(n):
        total += a[k]
        largest = max(largest, a[k])
    for i in parallel(n):
        out[i] = (a[i] - largest) * doubled
    positive = total > 0.0
    if positive:
        total = total * 0.5
        flags[0] = 1
    for i in parallel(n, block=8):
        out[i] += total
    flags[1] = u8(positive)
    flags[2] = u8(total)


@kernel
def leaving(a: In[f32, n], limit: i64, out: InOut[f32, n]):
    if limit > 100:
        return
    for i in parallel(n):
        out[i] = a[i]
    half = n // 2
    if a[0] > f32(limit):
        out[0] = -1.0
        return
    for i in parallel(n // 2):
        out[i] += 1.0
    if out[half] == 3.0:
        return
    for i in parallel(n - n // 2, block=4):
        out[half + i] *= 2.0
    out[n - 1] = 99.0


def test_locals_travel_from_phase_to_phase(launcher: Callable[[Kernel], Launch]) -> None:
    launch = launcher(carried)
    for sign in (1, -1):
        a = np.arange(1, 21, dtype=np.float64) * sign
        assert_same(carried, launch, a, 0.5, np.zeros(20), np.zeros(3, np.uint8))


def test_an_early_return_stops_the_phases_after_it(launcher: Callable[[Kernel], Launch]) -> None:
    launch = launcher(leaving)
    for first in (0.0, 50.0):
        for middle in (3.0, 4.0):
            for limit in (10, 1000):
                a = np.linspace(5, 6, 11).astype(np.float32)
                a[0], a[5] = first, middle
                assert_same(leaving, launch, a, limit, np.zeros(11, np.float32))
