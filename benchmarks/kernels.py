"""The kernels that are measured."""

from __future__ import annotations

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel

n = dim("n")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + 1.0


@kernel
def nothing(a: InOut[f32, n]) -> None:
    pass
