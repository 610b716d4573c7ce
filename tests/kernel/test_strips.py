"""Parallel loops whose inner loops walk down columns run in strips, and change no result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i8
from pytest_xdevice import i32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import private
from pytest_xdevice.kernel.kernel import Kernel
from pytest_xdevice.kernel.passes.legalise import legalise
from pytest_xdevice.kernel.passes.strips import strip_mine

from .native import Native

m, n, k = dim("m"), dim("n"), dim("k")
WIDTHS = (0, 1, 3, 31, 32, 33, 63, 64, 65, 130)


def make_product(T: Any) -> Kernel:
    @kernel
    def product(a: In[T, m, k], b: In[T, k, n], c: Out[T, m, n]):
        for i, j in parallel(m, n):
            total = T(0)
            for p in range(k):
                total += a[i, p] * b[p, j]
            c[i, j] = total

    return product


@kernel
def centred_columns(a: InOut[f32, m, n], below: f32, first: Out[f32, n]):
    for j in parallel(range(1, n - 1)):
        total = below
        for p in range(m):
            total += a[p, j - 1]
        mean = total / f32(m)
        first[j] = mean
        for p in range(m - 1, -1, -1):
            first[j] = first[j] * 0.5 + a[p, j + 1]
            mean = first[j]
        first[j] += mean


@kernel
def rows(a: In[f32, m, n], b: Out[f32, m]):
    for i in parallel(m):
        total = f32(0)
        for p in range(n):
            total += a[i, p]
        b[i] = total


@kernel
def triangle(a: In[f32, m, n], b: Out[f32, n]):
    for j in parallel(n):
        total = f32(0)
        for p in range(min(j, m)):
            total += a[p, j]
        b[j] = total


@kernel
def last_row(a: In[f32, m, n], b: Out[f32, n]):
    for j in parallel(n):
        p = 0
        total = f32(0)
        for p in range(m):
            total += a[p, j]
        b[j] = total + f32(i32(p))


@kernel
def chosen(a: In[f32, m, n], b: Out[f32, n]):
    for j in parallel(n):
        total = f32(0)
        for p in range(m):
            if a[p, j] > 0:
                total += a[p, j]
        b[j] = total


@kernel
def own_array(a: In[f32, m, n], b: Out[f32, n]):
    for j in parallel(n):
        total = private(f32, 1)
        for p in range(m):
            total[0] += a[p, j]
        b[j] = total[0]


def is_in_strips(source: Kernel) -> bool:
    legal = legalise(source.ir)
    return strip_mine(legal) != legal


@pytest.mark.parametrize("T", [f32, f64, i32, i8], ids=repr)
def test_a_matrix_product_in_strips_is_the_same_to_the_last_bit(T: Any) -> None:
    product = make_product(T)
    assert is_in_strips(product)
    native, rng = Native(product.ir), np.random.default_rng(0)
    for width in WIDTHS:
        a, b = (rng.uniform(-100, 100, shape).astype(T.dtype) for shape in ((3, 7), (7, width)))
        expected = np.zeros((3, width), T.dtype)
        for p in range(7):
            expected += a[:, p : p + 1] * b[p]
        c = np.zeros_like(expected)
        native(a, b, c)
        np.testing.assert_array_equal(c, expected)


def test_what_an_iteration_remembers_stays_its_own() -> None:
    assert is_in_strips(centred_columns)
    native, rng = Native(centred_columns.ir), np.random.default_rng(0)
    for width in WIDTHS[1:]:
        a = rng.uniform(-1, 1, (3, width)).astype(np.float32)
        expected, got = np.zeros((2, width), np.float32)
        centred_columns.python(a, np.float32(3), expected)
        native(a, 3, got)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("source", [rows, triangle, last_row, chosen, own_array], ids=lambda source: source.name)
def test_loops_that_differ_between_iterations_stay_as_they_are(source: Kernel) -> None:
    assert not is_in_strips(source)
