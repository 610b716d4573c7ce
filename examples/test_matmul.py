"""Matrix products: the order of the loops, and a comparison that knows how long the sums are."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.remote import Device

m, n, k = dim("m"), dim("n"), dim("k")


@kernel
def matmul(a: In[f32, m, k], b: In[f32, k, n], c: Out[f32, m, n]) -> None:
    for i, j in parallel(m, n, block=(8, 8)):
        total = f32(0)
        for x in range(k):
            total += a[i, x] * b[x, j]
        c[i, j] = total


@kernel
def matmul_by_rows(a: In[f32, m, k], b: In[f32, k, n], c: Out[f32, m, n]) -> None:
    """The innermost loop walks along rows of `b` and `c`, which a CPU can do with vectors."""
    for i in parallel(m):
        for j in range(n):
            c[i, j] = 0.0
        for x in range(k):
            for j in range(n):
                c[i, j] += a[i, x] * b[x, j]


@pytest.mark.cpu
@pytest.mark.opencl
@pytest.mark.parametrize("product", [matmul, matmul_by_rows], ids=lambda product: product.name)
def test_matmul(xdevice: Device, product: object) -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((37, 65), np.float32)
    b = rng.standard_normal((65, 29), np.float32)
    c = xdevice.run(product, a, b)
    # The error of a sum grows with the sum of its terms' magnitudes, not with the result (Higham, section 3.5).
    scale = np.abs(a).astype(np.float64) @ np.abs(b)
    assert (np.abs(c - a.astype(np.float64) @ b) <= a.shape[1] * np.finfo(np.float32).eps * scale).all()


@pytest.mark.cpu
def test_time_matmul(xdevice: Device) -> None:
    function = xdevice.compile(matmul_by_rows)
    a = xdevice.array(np.ones((64, 64), np.float32))
    b = xdevice.array(np.ones((64, 64), np.float32))
    c = xdevice.empty((64, 64), np.float32)
    timing = function.time(a, b, c, repeat=5)
    assert timing.mean > 0
