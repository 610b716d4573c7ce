"""A five-point stencil with its border, and a kernel of two loops one after the other."""

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

h, w = dim("h"), dim("w")


@kernel
def diffuse(u: In[f32, h, w], v: Out[f32, h, w], rate: f32) -> None:
    for y, x in parallel(h, w):
        if 0 < y < h - 1 and 0 < x < w - 1:
            around = u[y - 1, x] + u[y + 1, x] + u[y, x - 1] + u[y, x + 1]
            v[y, x] = u[y, x] + rate * (around - 4.0 * u[y, x])
        else:
            v[y, x] = u[y, x]


@kernel
def blur(u: In[f32, h, w], tmp: Out[f32, h, w], v: Out[f32, h, w]) -> None:
    """A separable filter: along the rows, then along the columns of what the first loop left."""
    for y, x in parallel(h, w):
        left = u[y, max(x - 1, 0)]
        right = u[y, min(x + 1, w - 1)]
        tmp[y, x] = 0.25 * left + 0.5 * u[y, x] + 0.25 * right
    for y, x in parallel(h, w):
        above = tmp[max(y - 1, 0), x]
        below = tmp[min(y + 1, h - 1), x]
        v[y, x] = 0.25 * above + 0.5 * tmp[y, x] + 0.25 * below


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(33, 50)).astype(np.float32)


@pytest.mark.cpu
@pytest.mark.opencl
def test_diffuse(xdevice: Device, image: np.ndarray) -> None:
    expected = image.copy()
    around = image[:-2, 1:-1] + image[2:, 1:-1] + image[1:-1, :-2] + image[1:-1, 2:]
    expected[1:-1, 1:-1] += np.float32(0.1) * (around - 4 * image[1:-1, 1:-1])
    xdevice.assert_close(xdevice.run(diffuse, image, rate=0.1), expected)


@pytest.mark.cpu
@pytest.mark.opencl
def test_blur(xdevice: Device, image: np.ndarray) -> None:
    weights = np.float32([0.25, 0.5, 0.25])
    wide = np.pad(image, ((0, 0), (1, 1)), mode="edge")
    across = sum(weight * wide[:, k : k + image.shape[1]] for k, weight in enumerate(weights))
    tall = np.pad(across, ((1, 1), (0, 0)), mode="edge")
    down = sum(weight * tall[k : k + image.shape[0]] for k, weight in enumerate(weights))
    tmp, v = xdevice.run(blur, image)
    xdevice.assert_close(tmp, across)
    xdevice.assert_close(v, down)
