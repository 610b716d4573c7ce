"""The kernels that faults meet: two that are done at once, and one that does not end."""

from __future__ import annotations

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i32
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
def add_two(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + 2.0


@kernel
def spin(a: In[i32, n], b: InOut[i32, n]) -> None:
    while a[0] == 0:
        b[0] += 1
