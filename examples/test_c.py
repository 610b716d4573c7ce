"""Kernels in C and C++: vectors of NEON, AVX2 and RVV with a loop to fall back on, and templates."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_xdevice import c_kernel
from pytest_xdevice.remote import Device

saxpy = c_kernel("saxpy.c", "void saxpy(size_t n, float a, const float *x, float *restrict y)")
lanes = c_kernel("saxpy.c", "int lanes(void)")
pytestmark = pytest.mark.cpu


@pytest.mark.parametrize("n", [0, 1, 7, 8, 1000, 1023])
def test_saxpy(n: int, xdevice: Device) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(size=n).astype(np.float32), rng.uniform(size=n).astype(np.float32)
    result = xdevice.run(saxpy, n, 2.5, x, y)
    # Some processors round once where others round twice.
    np.testing.assert_allclose(result, 2.5 * x.astype(np.float64) + y, rtol=2e-7)


def test_saxpy_uses_vectors_where_there_are_some(xdevice: Device) -> None:
    machine = xdevice.info.machine
    expected = {"aarch64": [4], "armv7l": [1, 4], "x86_64": [1, 8], "riscv64": [0, 1]}
    assert xdevice.run(lanes) in expected.get(machine, [1])


def test_saxpy_speed(xdevice: Device) -> None:
    function = xdevice.compile(saxpy)
    x = xdevice.array(np.ones(1 << 14, np.float32))
    y = xdevice.array(np.ones(1 << 14, np.float32))
    assert function.time(1 << 14, 0.0, x, y).min > 0


FLOATS = c_kernel("sliding.cpp", "void sliding_mean_f32_4(size_t n, const float *x, float *y)")
SHORTS = c_kernel("sliding.cpp", "void sliding_mean_i16_8(size_t n, const int16_t *x, int16_t *y)")


def sliding_mean(x: np.ndarray, width: int) -> np.ndarray:
    """Return the means of the last `width` elements, fewer at the start."""
    sums = np.cumsum(x, dtype=np.float64)
    sums[width:] -= np.cumsum(x, dtype=np.float64)[:-width]
    return sums / np.minimum(np.arange(1, x.size + 1), width)


def test_a_template_for_floats(xdevice: Device) -> None:
    x = np.random.default_rng(1).uniform(size=100).astype(np.float32)
    y = xdevice.run(FLOATS, x.size, x, np.zeros_like(x))
    np.testing.assert_allclose(y, sliding_mean(x, 4), rtol=1e-6)


def test_a_template_for_integers(xdevice: Device) -> None:
    x = np.random.default_rng(2).integers(-1000, 1000, 100).astype(np.int16)
    y = xdevice.run(SHORTS, x.size, x, np.zeros_like(x))
    np.testing.assert_array_equal(y, np.trunc(sliding_mean(x, 8)))
