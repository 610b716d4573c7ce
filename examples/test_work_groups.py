"""Work-groups: a matrix product through shared tiles, and a histogram with atomic operations."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_xdevice import atomic_add
from pytest_xdevice import barrier
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import shared
from pytest_xdevice import u8
from pytest_xdevice import u32
from pytest_xdevice.remote import Device

m, n, k = dim("m"), dim("n"), dim("k")
TILE = 16


@kernel
def tiled_matmul(a: In[f32, m, k], b: In[f32, k, n], c: Out[f32, m, n]) -> None:
    """Each element of `a` and `b` comes from memory once for a tile of the result, instead of once for an element."""
    for y, x in parallel((m + TILE - 1) // TILE * TILE, (n + TILE - 1) // TILE * TILE, block=(TILE, TILE)):
        left = shared(f32, TILE, TILE)
        right = shared(f32, TILE, TILE)
        row, column = y % TILE, x % TILE
        total = f32(0)
        for tile in range((k + TILE - 1) // TILE):
            first = tile * TILE
            left[row, column] = a[y, first + column] if y < m and first + column < k else f32(0)
            right[row, column] = b[first + row, x] if first + row < k and x < n else f32(0)
            barrier()  # the tiles are there
            for inner in range(TILE):
                total += left[row, inner] * right[inner, column]
            barrier()  # nobody needs them any more
        if y < m and x < n:
            c[y, x] = total


@pytest.mark.cpu
@pytest.mark.opencl
@pytest.mark.parametrize("shape", [(32, 48, 64), (33, 7, 50)], ids=str)
def test_tiled_matmul(xdevice: Device, shape: tuple[int, int, int]) -> None:
    rows, inner, columns = shape
    rng = np.random.default_rng(0)
    a = rng.uniform(-1, 1, size=(rows, inner)).astype(np.float32)
    b = rng.uniform(-1, 1, size=(inner, columns)).astype(np.float32)
    c = xdevice.run(tiled_matmul, a, b)
    xdevice.assert_close(c, a.astype(np.float64) @ b.astype(np.float64), rtol=1e-4, atol=1e-5)


@kernel
def histogram(image: In[u8, n], counts: InOut[u32, 256]) -> None:
    """A work-group counts in memory of its own first, where its items wait less for each other."""
    for i in parallel((n + 255) // 256 * 256, block=256):
        mine = shared(u32, 256)
        mine[i % 256] = 0
        barrier()
        if i < n:
            atomic_add(mine[image[i]], 1)
        barrier()
        atomic_add(counts[i % 256], mine[i % 256])


@pytest.mark.cpu
@pytest.mark.opencl
def test_histogram(xdevice: Device) -> None:
    image = np.random.default_rng(0).integers(0, 256, 10_000).astype(np.uint8)
    counts = xdevice.run(histogram, image, np.zeros(256, np.uint32))
    np.testing.assert_array_equal(counts, np.bincount(image, minlength=256))
