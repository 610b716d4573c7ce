"""A matrix product in OpenCL C: work-groups bring tiles to local memory, where each element is read sixteen times."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import f32
from pytest_xdevice import local
from pytest_xdevice import opencl_kernel
from pytest_xdevice.remote import Device

TILE = 16

matmul = opencl_kernel(
    """
    __kernel __attribute__((reqd_work_group_size(TILE, TILE, 1)))
    void matmul(const int m, const int n, const int k, __global const float *a, __global const float *b,
                __global float *c, __local float *tile_of_a, __local float *tile_of_b) {
        const int x = get_local_id(0), y = get_local_id(1);
        const int column = get_global_id(0), row = get_global_id(1);
        float sum = 0.0f;
        for (int start = 0; start < k; start += TILE) {
            tile_of_a[y * TILE + x] = row < m && start + x < k ? a[row * k + start + x] : 0.0f;
            tile_of_b[y * TILE + x] = start + y < k && column < n ? b[(start + y) * n + column] : 0.0f;
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int i = 0; i < TILE; i++)
                sum += tile_of_a[y * TILE + i] * tile_of_b[i * TILE + x];
            barrier(CLK_LOCAL_MEM_FENCE);
        }
        if (row < m && column < n)
            c[row * n + column] = sum;
    }
    """,
    "matmul",
    defines={"TILE": TILE},
)


def whole_tiles(extent: int) -> int:
    return -(-extent // TILE) * TILE


@pytest.mark.opencl
@pytest.mark.parametrize(("m", "n", "k"), [(32, 48, 64), (37, 29, 65), (1, 1, 1)])
def test_matmul(xdevice: Device, m: int, n: int, k: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    tile = local(f32, TILE, TILE)
    c = xdevice.run(
        matmul, m, n, k, a, b, np.zeros((m, n), np.float32), tile, tile, global_size=(whole_tiles(n), whole_tiles(m))
    )
    # The error of a sum grows with the sum of its terms' magnitudes, not with the result (Higham, section 3.5).
    scale = np.abs(a).astype(np.float64) @ np.abs(b)
    assert (np.abs(c - a.astype(np.float64) @ b) <= k * np.finfo(np.float32).eps * scale).all()


@pytest.mark.opencl
def test_time_matmul(xdevice: Device) -> None:
    function = xdevice.compile(matmul)
    a, b, c = (xdevice.array(np.ones((64, 64), np.float32)) for _ in range(3))
    tile = local(f32, TILE, TILE)
    timing = function.time(64, 64, 64, a, b, c, tile, tile, global_size=(64, 64), repeat=5)
    assert timing.mean > 0


@pytest.mark.opencl
def test_tiles_larger_than_local_memory(xdevice: Device) -> None:
    one = np.ones((1, 1), np.float32)
    with pytest.raises(
        ArgumentError, match=r"matmul needs \d+ bytes of local memory for each work-group.*, and .* has"
    ):
        xdevice.run(matmul, 1, 1, 1, one, one, one, 1 << 30, 1 << 30, global_size=(TILE, TILE))
