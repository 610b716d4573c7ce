"""The tests whose output ``draw.py`` draws: some pass, one computes a wrong column, one reads too far, one is timed."""

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel

m, n = dim("m"), dim("n")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] + 1.0


@kernel
def smooth(a: In[f32, m, n], b: Out[f32, m, n]):
    for y, x in parallel(m, n):
        left = a[y, x - 1] if x > 1 else f32(0)  # should be: x > 0
        b[y, x] = (left + a[y, x]) * 0.5


@kernel
def blur(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = 0.5 * (a[i] + a[i + 1])


@pytest.mark.cpu
@pytest.mark.opencl
def test_add_one(xdevice):
    a = np.arange(1 << 16, dtype=np.float32)
    xdevice.assert_close(xdevice.run(add_one, a), a + 1)


@pytest.mark.cpu
def test_smooth(xdevice):
    a = np.random.default_rng(0).uniform(size=(12, 48)).astype(np.float32)
    left = np.pad(a, ((0, 0), (1, 0)))[:, :-1]
    xdevice.assert_close(xdevice.run(smooth, a), (left + a) / 2)


@pytest.mark.cpu
def test_blur(xdevice):
    a = np.ones(1024, np.float32)
    xdevice.assert_close(xdevice.run(blur, a), a)


@pytest.mark.cpu
def test_speed(xbenchmark):
    a = np.ones(1 << 16, np.float32)
    xbenchmark(add_one, a, np.empty_like(a))
