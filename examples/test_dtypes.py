"""One kernel for many element types: a factory makes it, pytest parametrises the test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i8
from pytest_xdevice import i16
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import u8
from pytest_xdevice import u16
from pytest_xdevice import u32
from pytest_xdevice import u64
from pytest_xdevice.remote import Device

n = dim("n")


def make_clamp(T: Any) -> Any:
    @kernel
    def clamp(x: In[T, n], low: T, high: T, y: Out[T, n]):
        for i in parallel(n):
            y[i] = min(max(x[i], low), high)

    return clamp


@pytest.mark.cpu
@pytest.mark.opencl
@pytest.mark.parametrize("T", [i8, i16, i32, i64, u8, u16, u32, u64, f32, f64], ids=repr)
def test_clamp(xdevice: Device, T: Any) -> None:
    x = np.arange(-100 if T.kind != "uint" else 0, 100).astype(T.dtype)
    y = xdevice.run(make_clamp(T), x, 10, 50)
    assert y.dtype == T.dtype
    np.testing.assert_array_equal(y, np.clip(x, 10, 50))
