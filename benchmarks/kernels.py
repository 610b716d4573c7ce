"""The kernels that are measured."""

from __future__ import annotations

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel

k, m, n = dim("k"), dim("m"), dim("n")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + 1.0


@kernel
def saxpy(alpha: f32, x: In[f32, n], y: InOut[f32, n]) -> None:
    for i in parallel(n):
        y[i] = alpha * x[i] + y[i]


@kernel
def matmul(a: In[f32, m, k], b: In[f32, k, n], c: Out[f32, m, n]) -> None:
    for i, j in parallel(m, n):
        total = f32(0)
        for p in range(k):
            total += a[i, p] * b[p, j]
        c[i, j] = total


@kernel
def nothing(a: InOut[f32, n]) -> None:
    pass
