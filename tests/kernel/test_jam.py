"""Loops that add to the same row are taken several turns at a time, and change no result."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.kernel.kernel import Kernel
from pytest_xdevice.kernel.passes.jam import jam_loops
from pytest_xdevice.kernel.passes.legalise import legalise

from .native import Native

m, n, k = dim("m"), dim("n"), dim("k")


@kernel
def product(a: In[f32, m, k], b: In[f32, k, n], c: Out[f32, m, n]):
    for i in parallel(m):
        for j in range(n):
            c[i, j] = 0.0
        for p in range(k):
            for j in range(n):
                c[i, j] += a[i, p] * b[p, j]


@kernel
def tiles(a: In[f32, m, k], b: In[f32, k, n], c: InOut[f32, m, n], last: Out[i64, m, 2]):
    for i in parallel(m):
        p, j = -5, -7
        for p in range(1, k):
            for j in range(min(2, n), min(2 * 4, n)):
                c[i, j] = a[i, p] - b[p, j] * c[i, j]
        last[i, 0], last[i, 1] = p, j


@kernel
def running(a: InOut[f32, m, n]):
    for p in range(1, m):
        for j in range(n):
            a[p, j] += a[p - 1, j]


@kernel
def shifted(a: InOut[f32, n], b: In[f32, m, n]):
    for p in range(m):
        for j in range(1, n):
            a[j] += b[p, j] * a[j - 1]


@kernel
def triangle(a: In[f32, m, n], c: InOut[f32, n]):
    for p in range(m):
        for j in range(min(p, n)):
            c[j] += a[p, j]


@kernel
def growing(a: In[f32, m, n], c: InOut[f32, n]):
    end = 0
    for p in range(m):
        end = end + 1
        for j in range(min(end, n)):
            c[j] += a[p, j]


def is_jammed(source: Kernel) -> bool:
    legal = legalise(source.ir)
    return jam_loops(legal) != legal


def test_a_matrix_product_is_the_same_to_the_last_bit() -> None:
    assert is_jammed(product)
    native, rng = Native(product.ir), np.random.default_rng(0)
    for depth, width in itertools.product((0, 1, 3, 4, 5, 8, 11), (0, 1, 19)):
        a, b = (rng.uniform(-1, 1, shape).astype(np.float32) for shape in ((2, depth), (depth, width)))
        expected = np.zeros((2, width), np.float32)
        for p in range(depth):
            expected += a[:, p : p + 1] * b[p]
        c = np.full_like(expected, np.nan)
        native(a, b, c)
        np.testing.assert_array_equal(c, expected)


def test_variables_keep_their_last_values_even_where_the_inner_loop_has_no_turn() -> None:
    assert is_jammed(tiles)
    native, rng = Native(tiles.ir), np.random.default_rng(0)
    for depth, width in itertools.product((0, 1, 2, 5, 7), (0, 1, 2, 3, 12)):
        a, b, c = (rng.uniform(-1, 1, shape).astype(np.float32) for shape in ((2, depth), (depth, width), (2, width)))
        expected, got = (c.copy(), np.zeros((2, 2), np.int64)), (c.copy(), np.zeros((2, 2), np.int64))
        tiles.python(a, b, *expected)
        native(a, b, *got)
        np.testing.assert_array_equal(got[0], expected[0])
        np.testing.assert_array_equal(got[1], expected[1])


@pytest.mark.parametrize("source", [running, shifted, triangle, growing], ids=lambda source: source.name)
def test_turns_that_depend_on_one_another_stay_apart(source: Kernel) -> None:
    assert not is_jammed(source)
