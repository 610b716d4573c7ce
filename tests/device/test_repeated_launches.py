"""A launch that is done again and again is prepared once; nobody can tell, but by the clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import DeviceError
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import KernelCrash
from pytest_xdevice import KernelTimeout
from pytest_xdevice import MemoryViolation
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.client import Batch
from pytest_xdevice.remote import Device

n = dim("n")


@kernel
def scale(a: In[f32, n], b: Out[f32, n], factor: f32) -> None:
    for i in parallel(n):
        b[i] = a[i] * factor


@kernel
def count(a: InOut[i32, n]) -> None:
    for i in parallel(n):
        a[i] = a[i] + 1


@kernel
def write_at(a: InOut[i32, n], where: In[i32, 1]) -> None:
    a[where[0]] = 1


@kernel
def wait_for(flag: InOut[i32, 1]) -> None:
    while flag[0] == 0:
        flag[0] = 0


def ramp(size: int = 8) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(1, size + 1, dtype=np.float32)


@pytest.mark.cpu
@pytest.mark.opencl
class TestResults:
    def test_each_launch_is_carried_out(self, xdevice: Device) -> None:
        array, function = xdevice.array(np.zeros(8, np.int32)), xdevice.compile(count)
        for _ in range(100):
            function(array)
        np.testing.assert_array_equal(array, np.full(8, 100))
        assert [record.kernel for record in xdevice.records] == ["count"] * 100

    def test_new_contents_are_seen(self, xdevice: Device) -> None:
        a, b, function = xdevice.array(ramp()), xdevice.empty(8), xdevice.compile(scale)
        for values in (ramp(), -ramp(), ramp()):
            a.copy_from(values)
            function(a, b, 2.0)
            np.testing.assert_array_equal(b, values * 2)

    def test_new_contents_of_a_numpy_array_are_seen(self, xdevice: Device) -> None:
        values, b, function = ramp(), xdevice.empty(8), xdevice.compile(scale)
        for _ in range(3):
            values += 1
            function(values, b, 2.0)
            np.testing.assert_array_equal(b, values * 2)

    @pytest.mark.parametrize("factors", [(2.0, 3.0, 2.0), (0.0, -0.0, 0.0), (1, True, 1.0)])
    def test_another_number_is_another_launch(self, xdevice: Device, factors: tuple[float, ...]) -> None:
        a, b, function = xdevice.array(ramp()), xdevice.empty(8), xdevice.compile(scale)
        for factor in factors:
            if isinstance(factor, bool):
                factor = np.float32(factor)
            function(a, b, factor)
            expected = ramp() * np.float32(factor)
            np.testing.assert_array_equal(b, expected)
            np.testing.assert_array_equal(np.signbit(b), np.signbit(expected))

    def test_arrays_that_come_and_go_in_between(self, xdevice: Device) -> None:
        a, b, function = xdevice.array(ramp()), xdevice.empty(8), xdevice.compile(scale)
        for _ in range(3):
            other = xdevice.array(ramp())
            function(a, b, 2.0)
            function(other, b, 3.0)
            np.testing.assert_array_equal(b, ramp() * 3)
            other.free()
            function(a, b, 2.0)
            np.testing.assert_array_equal(b, ramp() * 2)

    def test_the_device_itself_looks_where_the_arrays_are(self, xdevice: Device) -> None:
        a, b, function = xdevice.array(ramp()), xdevice.empty(8), xdevice.compile(scale)
        function(a, b, 2.0)
        moved, gap = Batch(), Batch()
        moved.add("free", ids=[a.identity])
        xdevice.worker().submit(moved)
        gap.add("new", id=xdevice.worker().new_identity(), nbytes=a.nbytes, fill=0)
        gap.send("put", (ramp() * 10).tobytes(), id=a.identity)
        xdevice.worker().submit(gap)
        function(a, b, 2.0)
        np.testing.assert_array_equal(b, ramp() * 20)


@pytest.mark.cpu
class TestErrors:
    def test_an_array_that_was_freed(self, xdevice: Device) -> None:
        a, b, function = xdevice.array(ramp()), xdevice.empty(8), xdevice.compile(scale)
        function(a, b, 2.0)
        a.free()
        with pytest.raises(DeviceError, match="the array was freed"):
            function(a, b, 2.0)

    def test_an_array_of_another_size_or_type(self, xdevice: Device) -> None:
        a, b, function = xdevice.array(ramp()), xdevice.empty(8), xdevice.compile(scale)
        function(a, b, 2.0)
        with pytest.raises(ArgumentError, match="expected n = 8 along axis 0"):
            function(a, xdevice.empty(9), 2.0)
        with pytest.raises(ArgumentError, match="b: expected float32, got float64"):
            function(a, xdevice.empty(8, np.float64), 2.0)
        with pytest.raises(ArgumentError, match="takes 3 arguments, and got 2"):
            function(a, b)
        function(a, b, 2.0)
        np.testing.assert_array_equal(b, ramp() * 2)

    def test_shape_and_dtype_of_an_array_are_its_own(self, xdevice: Device) -> None:
        with pytest.raises(AttributeError):
            xdevice.empty(8).shape = (2, 4)  # type: ignore[misc]

    @pytest.mark.parametrize("timeout", [0, float("nan"), float("inf"), "soon"])
    def test_a_timeout_that_is_none(self, xdevice: Device, timeout: Any) -> None:
        array, function = xdevice.array(np.zeros(8, np.int32)), xdevice.compile(count)
        function(array)
        with pytest.raises(ArgumentError, match=f"timeout must be positive, .*; got {timeout!r}"):
            function(array, timeout=timeout)

    @pytest.mark.parametrize("index", [5, -1])
    def test_a_canary_that_a_later_launch_changes(self, xdevice: Device, index: int) -> None:
        array, where = xdevice.array(np.zeros(5, np.int32)), xdevice.array(np.zeros(1, np.int32))
        function = xdevice.compile(write_at)
        function(array, where)
        where.copy_from(np.array([index], np.int32))
        with pytest.raises(MemoryViolation) as violation:
            function(array, where)
        assert (violation.value.argument, violation.value.index) == ("a", index)

    def test_a_crash_of_a_later_launch(self, xdevice: Device) -> None:
        array, where = xdevice.array(np.zeros(5, np.int32)), xdevice.array(np.zeros(1, np.int32))
        function = xdevice.compile(write_at)
        function(array, where)
        where.copy_from(np.array([100_000_000], np.int32))
        with pytest.raises(KernelCrash, match="write_at crashed with SIGSEGV"):
            function(array, where)
        with pytest.raises(DeviceError, match="lost when the worker that held it ended"):
            function(array, where)
        array, where = xdevice.array(np.zeros(5, np.int32)), xdevice.array(np.ones(1, np.int32))
        for _ in range(2):
            function(array, where)
        np.testing.assert_array_equal(array, [0, 1, 0, 0, 0])

    def test_a_later_launch_that_does_not_end(self, xdevice: Device) -> None:
        flag, function = xdevice.array(np.ones(1, np.int32)), xdevice.compile(wait_for)
        seconds = 0.3
        function(flag, timeout=seconds)
        flag.copy_from(np.zeros(1, np.int32))
        with pytest.raises(KernelTimeout, match=r"wait_for ran longer than 0\.3 s"):
            function(flag, timeout=seconds)
