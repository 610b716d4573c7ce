"""Softmax over rows: several loops in an iteration, a maximum, and exp from the device's math library."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import exp
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.remote import Device

rows, columns = dim("rows"), dim("columns")


@kernel
def softmax(x: In[f32, rows, columns], y: Out[f32, rows, columns]) -> None:
    for row in parallel(rows):
        largest = x[row, 0]
        for column in range(1, columns):
            largest = max(largest, x[row, column])
        total = f32(0)
        for column in range(columns):
            y[row, column] = exp(x[row, column] - largest)
            total += y[row, column]
        for column in range(columns):
            y[row, column] /= total


@pytest.mark.cpu
@pytest.mark.opencl
def test_softmax(xdevice: Device) -> None:
    x = np.random.default_rng(0).normal(scale=5, size=(16, 100)).astype(np.float32)
    shifted = np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True))
    xdevice.assert_close(xdevice.run(softmax, x), (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32))
