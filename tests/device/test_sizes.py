"""Arrays of no element and of one, of every rank, through every kind of launch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.remote import Device

k, m, n = dim("k"), dim("m"), dim("n")
pytestmark = [pytest.mark.cpu, pytest.mark.opencl]
LINES = [0, 1, 2]
PLANES = [(0, 0), (0, 5), (5, 0), (1, 1), (1, 5), (5, 1)]
CUBES = [(0, 0, 0), (0, 2, 3), (2, 0, 3), (2, 3, 0), (1, 1, 1), (1, 2, 3), (2, 3, 1)]


@kernel
def line(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + 1.0


@kernel
def line_in_blocks(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n, block=32):
        b[i] = a[i] + 1.0


@kernel
def plane(a: In[i64, m, n], b: Out[i64, n, m]) -> None:
    for y, x in parallel(m, n):
        b[x, y] = a[y, x] * 2


@kernel
def plane_in_blocks(a: In[i64, m, n], b: Out[i64, n, m]) -> None:
    for y, x in parallel(m, n, block=(4, 8)):
        b[x, y] = a[y, x] * 2


@kernel
def cube(a: In[f64, k, m, n], b: Out[f64, k, m, n]) -> None:
    for z, y, x in parallel(k, m, n):
        b[z, y, x] = -a[z, y, x]


@kernel
def cube_in_blocks(a: In[f64, k, m, n], b: Out[f64, k, m, n]) -> None:
    for z, y, x in parallel(k, m, n, block=(2, 2, 4)):
        b[z, y, x] = -a[z, y, x]


@kernel
def halves(a: In[f16, n], b: Out[f16, n]) -> None:
    for i in parallel(n):
        b[i] = f16(a[i] * 2.0)


@kernel
def several_loops(a: In[f32, m, n], rows: Out[f32, m], columns: Out[f32, n], total: Out[f32, 1]) -> None:
    """Loops over each extent, so that some are empty where others are not, and sequential parts between them."""
    for y in parallel(m):
        rows[y] = 0.0
        for x in range(n):
            rows[y] = rows[y] + a[y, x]
    sum_ = f32(0)
    for y in range(m):
        sum_ += rows[y]
    for x in parallel(n):
        columns[x] = sum_
    total[0] = sum_


@kernel
def by_hand(a: InOut[f32, n]) -> None:
    """No parallel loop at all."""
    for i in range(n):
        a[i] = a[i] + 1.0


@kernel
def edges(a: InOut[f32, n]) -> None:
    for i in parallel(n):
        if 0 < i < n - 1:
            a[i] = 2.0
    for i in parallel(min(n, 1)):
        a[i] = 1.0


def agree(device: Device, source: Any, values: np.ndarray[Any, np.dtype[Any]]) -> None:
    """Compare a run with the interpreter's, through NumPy arrays and through arrays on the device."""
    expected = source.python(values.copy())
    actual = device.run(source, values)
    if not isinstance(expected, tuple):
        expected, actual = (expected,), (actual,)
    for mine, theirs in zip(actual, expected, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_array_equal(mine, theirs)
    function = device.compile(source)
    given, results = device.array(values), [device.empty(each.shape, each.dtype) for each in expected]
    function(given, *results)
    assert function.time(given, *results, number=1, repeat=1).repeat == 1
    for result, theirs in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result.numpy(), theirs)
    np.testing.assert_array_equal(given.numpy(), values)


def values_of(shape: int | tuple[int, ...], dtype: str) -> np.ndarray[Any, np.dtype[Any]]:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("size", LINES)
@pytest.mark.parametrize("source", [line, line_in_blocks], ids=lambda source: source.name)
def test_lines(xdevice: Device, source: Any, size: int) -> None:
    agree(xdevice, source, values_of(size, "f4"))


def test_the_time_of_nothing(xdevice: Device) -> None:
    timing = xdevice.compile(line).time(xdevice.empty(0), xdevice.empty(0), min_repeat_ms=1)
    assert 0 <= timing.min < 1e-3


@pytest.mark.parametrize("shape", PLANES, ids=str)
@pytest.mark.parametrize("source", [plane, plane_in_blocks], ids=lambda source: source.name)
def test_planes(xdevice: Device, source: Any, shape: tuple[int, ...]) -> None:
    agree(xdevice, source, values_of(shape, "i8"))


@pytest.mark.parametrize("shape", CUBES, ids=str)
@pytest.mark.parametrize("source", [cube, cube_in_blocks], ids=lambda source: source.name)
def test_cubes(xdevice: Device, source: Any, shape: tuple[int, ...]) -> None:
    agree(xdevice, source, values_of(shape, "f8"))


@pytest.mark.parametrize("size", LINES)
def test_halves(xdevice: Device, size: int) -> None:
    agree(xdevice, halves, values_of(size, "f2"))


@pytest.mark.parametrize("shape", PLANES, ids=str)
def test_several_loops_of_which_some_are_empty(xdevice: Device, shape: tuple[int, ...]) -> None:
    agree(xdevice, several_loops, values_of(shape, "f4"))


@pytest.mark.parametrize("size", [0, 1, 2, 3])
@pytest.mark.parametrize("source", [by_hand, edges], ids=lambda source: source.name)
def test_arrays_changed_in_place(xdevice: Device, source: Any, size: int) -> None:
    values = values_of(size, "f4")
    expected = values.copy()
    source.python(expected)
    np.testing.assert_array_equal(xdevice.run(source, values), expected)
    array = xdevice.array(values)
    xdevice.compile(source)(array)
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("shape", [0, (0, 3), (2, 0, 3), 1, (1, 1, 1)], ids=str)
def test_arrays_without_a_launch(xdevice: Device, shape: int | tuple[int, ...]) -> None:
    values = values_of(shape, "f4")
    array = xdevice.array(values)
    np.testing.assert_array_equal(array.numpy(), values)
    array.copy_from(values + 1)
    np.testing.assert_array_equal(array.numpy(), values + 1)
    poisoned = xdevice.empty(shape)
    assert poisoned.shape == values.shape
    assert poisoned.size == values.size
    assert np.isnan(poisoned.numpy()).all()
    array.free()
