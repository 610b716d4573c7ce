"""Arrays beyond 2³² bytes, of which hardly any memory is touched, and arrays that the device has no room for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_xdevice import DeviceError
from pytest_xdevice import dim
from pytest_xdevice import i64
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import u8
from pytest_xdevice.device_array import DeviceArray
from pytest_xdevice.remote import Device
from tests.faults.kernels import add_one

m, n = dim("m"), dim("n")
pytestmark = [pytest.mark.cpu, pytest.mark.opencl]
POISON = 0xA5
HUGE = (1 << 32) + 5


@kernel
def last_ones(a: InOut[u8, n], size: Out[i64, 2]) -> None:
    for i in parallel(range(n - 3, n)):
        a[i] = u8(i % 256)
    for i in parallel(range(1, n, 1 << 31)):
        a[i] = 9
    for i in parallel(1):
        a[i] = 1
        size[0] = n
        size[1] = i64(a[n - 5])


@kernel
def last_column(a: InOut[u8, m, n], b: Out[u8, m]) -> None:
    """Rows so far apart that only the index is large: the last one begins beyond 2³²."""
    for y in parallel(m):
        a[y, n - 1] = u8(y + 1)
    for y in parallel(m):
        b[y] = a[y, n - 1]


def still_works(device: Device) -> None:
    values = np.arange(10, dtype=np.float32)
    np.testing.assert_array_equal(device.run(add_one, values), values + 1)


def fits(device: Device, nbytes: int) -> bool:
    if device.kind == "opencl":
        return device.session.opencl_devices()[0].max_allocation >= nbytes
    return device.info.bits == 64 and device.info.memory > 2 * nbytes


def allocated(device: Device, *shape: int) -> DeviceArray | None:
    """Return an array of bytes; of a device that has no room for it, check that it says so, and return None."""
    nbytes = math.prod(shape)
    if fits(device, nbytes):
        return device.empty(shape, np.uint8)
    with pytest.raises(DeviceError, match=rf"{nbytes} bytes are more than .* \(\d+ bytes"):
        device.empty(shape, np.uint8)
    still_works(device)
    return None


def test_the_last_elements(xdevice: Device) -> None:
    array = allocated(xdevice, HUGE)
    if array is None:
        return
    assert (array.shape, array.nbytes, len(array)) == ((HUGE,), HUGE, HUGE)
    size = xdevice.empty(2, np.int64)
    xdevice.compile(last_ones)(array, size)
    np.testing.assert_array_equal(size, [HUGE, POISON])
    np.testing.assert_array_equal(array[-5:], [POISON, 9, 2, 3, 4])
    np.testing.assert_array_equal(array[:3], [1, 9, POISON])
    np.testing.assert_array_equal(array[(1 << 31) + 1], 9)
    assert array[-1] == 4
    assert array[1 << 32] == POISON


def test_rows_that_are_far_apart(xdevice: Device) -> None:
    width = (1 << 31) + 7
    array = allocated(xdevice, 3, width)
    if array is None:
        return
    column = xdevice.empty(3, np.uint8)
    xdevice.compile(last_column)(array, column)
    np.testing.assert_array_equal(column, [1, 2, 3])


def test_threads_in_a_huge_array(xdevice: Device) -> None:
    if xdevice.kind == "opencl":
        return
    array = allocated(xdevice, HUGE)
    if array is not None:
        xdevice.compile(last_ones, threads=2)(array, xdevice.empty(2, np.int64))
        np.testing.assert_array_equal(array[-3:], [2, 3, 4])


def test_poison_takes_no_memory(xdevice: Device) -> None:
    """Many huge arrays, which together are more than the device has; an OpenCL driver would refuse them."""
    if xdevice.kind == "opencl" or not fits(xdevice, HUGE):
        return
    for _ in range(xdevice.info.memory // HUGE + 2):
        array = xdevice.empty(HUGE, np.uint8)
        np.testing.assert_array_equal(array[-2:], [POISON, POISON])
    still_works(xdevice)


@pytest.mark.parametrize("exponent", [45, 62])
def test_more_than_there_is(xdevice: Device, exponent: int) -> None:
    nbytes = 4 << exponent
    with pytest.raises(DeviceError, match=rf"{nbytes} bytes are more than .* \(\d+ bytes"):
        xdevice.empty(1 << exponent, np.float32)
    still_works(xdevice)


def test_parts_of_an_array(xdevice: Device) -> None:
    values = np.arange(3 * 4 * 5, dtype=np.int32).reshape(3, 4, 5)
    array = xdevice.array(values)
    for key in (0, -1, np.int64(2), slice(1, 3), slice(2, 1), slice(None), slice(None, None, -1), (1, 2), (2, 3, 4),
                (slice(0, 2), 1), (0, slice(None), 2), (..., 0), [0, 2], values[:, 0, 0] > 10, None):  # fmt: skip
        np.testing.assert_array_equal(array[key], values[key])
    np.testing.assert_array_equal(list(array), list(values))
    for key in (3, -4, (0, 4)):
        with pytest.raises(IndexError, match="out of bounds"):
            array[key]
