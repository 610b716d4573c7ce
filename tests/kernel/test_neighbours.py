"""A GPU's work-item takes neighbouring iterations of loops that use each element once, and of no others but tiles."""

from __future__ import annotations

import pytest

from benchmarks.codegen import kernels
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.compile import build
from pytest_xdevice.kernel.kernel import Kernel

m, n = dim("m"), dim("n")


@kernel
def positive(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(n):
        if a[i] > a[0]:
            b[i] = a[i]


@kernel
def gathered(indices: In[i64, n], a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[indices[i]]


@kernel
def mirrored(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        j = n - 1 - i
        b[i] = a[j]


@kernel
def wide(a: In[f64, n], b: Out[f64, n]):
    for i in parallel(n):
        b[i] = a[i] + 1


@kernel
def rising(a: In[f32, n], b: InOut[f32, n]):
    for i in parallel(n):
        if i > 0 and a[i] > a[i - 1]:
            b[i] = a[i]


@kernel
def plane(a: In[f32, m, n], b: InOut[f32, m, n]):
    for y, x in parallel(m, n):
        if a[y, x] > 0:
            b[y, x] = a[y, x]


def named(kernel: Kernel) -> str:
    return kernel.name


@pytest.mark.parametrize("kernel", [kernels.add_one, positive], ids=named)
def test_neighbours_are_taken_together(kernel: Kernel) -> None:
    assert "= XD_BESIDE(" in build(kernel, "opencl").opencl_source


@pytest.mark.parametrize("kernel", [kernels.scan_step, rising, gathered, mirrored, wide, plane], ids=named)
def test_iterations_are_taken_a_work_group_apart(kernel: Kernel) -> None:
    assert "= XD_APART(" in build(kernel, "opencl").opencl_source
