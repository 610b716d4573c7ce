"""Kernels that crash, hang or overrun, and arguments that do not fit: what a user sees, and that the run goes on."""

from __future__ import annotations

from pathlib import Path
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
from pytest_xdevice import KernelError
from pytest_xdevice import KernelTimeout
from pytest_xdevice import MemoryViolation
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.compile import build
from pytest_xdevice.remote import Device
from tests.faults.kernels import add_one

n = dim("n")


@kernel
def add(a: In[f32, n], b: In[f32, n], c: Out[f32, n]) -> None:
    for i in parallel(n):
        c[i] = a[i] + b[i]


@kernel
def write_far_away(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i + 100000000] = a[i]


@kernel
def write_one_too_many(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in range(n):
        b[i] = a[i]
    b[n] = 3.0


@kernel
def spin(a: In[i32, n], b: InOut[i32, n]) -> None:
    while a[0] == 0:
        b[0] += 1


@kernel
def normalise(a: In[f32, n], b: Out[f32, n]) -> None:
    total = f32(0)
    for i in range(n):
        total += a[i]
    for i in parallel(n):
        b[i] = a[i] / total


@kernel
def wrong(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + undefined  # noqa: F821 - the mistake under test


def ramp(size: int = 8) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(1, size + 1, dtype=np.float32)


@pytest.mark.cpu
class TestKernels:
    def test_a_crash_names_signal_and_kernel_and_the_next_launch_works(self, xdevice: Device) -> None:
        kept = xdevice.array(ramp())
        with pytest.raises(KernelCrash, match="write_far_away crashed with SIGSEGV") as crash:
            xdevice.run(write_far_away, ramp())
        assert (crash.value.signal, crash.value.kernel) == ("SIGSEGV", "write_far_away")
        np.testing.assert_array_equal(xdevice.run(add_one, ramp()), ramp() + 1)
        with pytest.raises(DeviceError, match="lost when the worker that held it ended"):
            kept.numpy()

    @pytest.mark.parametrize("size", [5, 8])
    def test_an_overrun_into_the_canary_names_the_argument(self, xdevice: Device, size: int) -> None:
        with pytest.raises(MemoryViolation) as violation:
            xdevice.run(write_one_too_many, ramp(size))
        assert (violation.value.argument, violation.value.index) == ("b", size)

    def test_an_overrun_into_the_guard_page_names_the_argument(self, xdevice: Device) -> None:
        message = r"past the end of argument b \(index 1024 of 1024\) on \S+ cpu: SIGSEGV"
        with pytest.raises(MemoryViolation, match=rf"write_one_too_many \w+ 4 bytes {message}") as violation:
            xdevice.run(write_one_too_many, ramp(1024))
        assert (violation.value.argument, violation.value.index) == ("b", 1024)

    @pytest.mark.opencl
    def test_an_endless_loop_is_ended_on_the_device(self, xdevice: Device) -> None:
        zeros = np.zeros(4, np.int32)
        with pytest.raises(KernelTimeout, match=r"spin ran longer than 0\.3 s") as timeout:
            xdevice.run(spin, zeros, zeros, timeout=0.3)
        assert timeout.value.kernel == "spin"
        np.testing.assert_array_equal(xdevice.run(add_one, ramp()), ramp() + 1)

    def test_a_mistake_is_located(self, xdevice: Device) -> None:
        with pytest.raises(KernelError, match=r"test_misbehaviour\.py:\d+:\d+: the name 'undefined' is not defined"):
            xdevice.run(wrong, ramp())


@pytest.mark.cpu
@pytest.mark.opencl
class TestCanaries:
    @pytest.mark.parametrize("size", [0, 5, 1023])
    def test_an_overrun_names_the_argument_and_counts_the_bytes(self, xdevice: Device, size: int) -> None:
        # An array of none ends with a page; whether a fault there was a write, not every emulated processor tells.
        message = rf"(wrote|touched) 4 bytes past the end of argument b \(index {size} of {size}\)"
        with pytest.raises(MemoryViolation, match=message) as violation:
            xdevice.run(write_one_too_many, ramp(size))
        assert (violation.value.argument, violation.value.index) == ("b", size)
        np.testing.assert_array_equal(xdevice.run(add_one, ramp()), ramp() + 1)


@pytest.mark.opencl
class TestOpenCL:
    def test_an_overrun_of_an_array_that_ends_with_a_page(self, xdevice: Device) -> None:
        with pytest.raises(MemoryViolation, match=r"wrote 4 bytes past the end of argument b \(index 1024 of 1024\)"):
            xdevice.run(write_one_too_many, ramp(1024))

    def test_an_overrun_is_found_when_a_kernel_is_timed(self, xdevice: Device) -> None:
        a, b = xdevice.array(ramp(64)), xdevice.empty(64)
        with pytest.raises(MemoryViolation, match="argument b"):
            xdevice.compile(write_one_too_many).time(a, b, number=1, repeat=2)


@pytest.mark.cpu
@pytest.mark.opencl
class TestShapes:
    def test_a_local_is_carried_from_a_loop_into_a_parallel_one(self, xdevice: Device) -> None:
        xdevice.assert_close(xdevice.run(normalise, ramp()), ramp() / ramp().sum())

    @pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 1000])
    def test_sizes_around_vectors_and_blocks(self, xdevice: Device, size: int) -> None:
        np.testing.assert_array_equal(xdevice.run(add_one, ramp(size)), ramp(size) + 1)

    def test_empty_arrays_live_on_the_device(self, xdevice: Device) -> None:
        assert xdevice.array(np.zeros(0, np.float32)).numpy().shape == (0,)

    def test_arrays_of_up_to_three_dimensions_come_back_as_they_went(self, xdevice: Device) -> None:
        values = np.random.default_rng(0).integers(0, 100, (3, 4, 5)).astype(np.int16)
        array = xdevice.array(values)
        np.testing.assert_array_equal(array.numpy(), values)
        array.copy_from(values + 1)
        np.testing.assert_array_equal(array, values + 1)

    def test_an_array_of_no_dimension_keeps_its_shape(self, xdevice: Device) -> None:
        array = xdevice.array(np.float32(3))
        assert (array.shape, array.numpy().shape, array[()]) == ((), (), 3)
        array.copy_from(np.float32(4))
        np.testing.assert_array_equal(array, np.float32(4))
        with pytest.raises(TypeError, match=r"^len\(\) of an array of shape \(\)"):
            len(array)
        with pytest.raises(IndexError, match="too many indices"):
            array[0]

    def test_a_masked_array_is_refused(self, xdevice: Device) -> None:
        masked = np.ma.masked_array(ramp(4), mask=[True, False, False, False])
        message = r"a masked array has elements to skip: pass (a|values)\.filled\(\.\.\.\)"
        for use in (
            lambda: xdevice.run(add_one, masked),
            lambda: add_one.python(masked),
            lambda: xdevice.array(masked),
        ):
            with pytest.raises(ArgumentError, match=message):
                use()

    def test_other_kinds_of_arrays_are_what_numpy_says(self, xdevice: Device) -> None:
        record = np.rec.array(ramp(4))
        np.testing.assert_array_equal(xdevice.run(add_one, record), ramp(4) + 1)

    @pytest.mark.parametrize("shape", [-1, 2.5, (2, 2.5), None, "ab", (2, "x")], ids=repr)
    def test_a_shape_is_of_whole_numbers(self, xdevice: Device, shape: Any) -> None:
        with pytest.raises(ArgumentError, match=r"an array cannot have the shape .*: give integers of 0 or more"):
            xdevice.empty(shape)


@pytest.mark.cpu
class TestArguments:
    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ((ramp().astype(np.float64),), r"a: expected float32, got float64: pass a\.astype\(np\.float32\)"),
            ((ramp().reshape(2, 4),), "expected 1 dimension"),
            ((ramp()[::2],), "C-contiguous"),
            ((ramp(), ramp(), ramp()), "takes 2 arguments, or 1 without b, and got 3"),
            ((3,), "expected an array of float32, got int"),
        ],
        ids=["dtype", "ndim", "order", "count", "scalar"],
    )
    def test_what_does_not_fit_is_refused(self, xdevice: Device, args: tuple[Any, ...], message: str) -> None:
        with pytest.raises(ArgumentError, match=message):
            xdevice.run(add_one, *args)

    def test_what_is_no_kernel(self, xdevice: Device) -> None:
        def plain(a: object) -> None: ...

        for use in (xdevice.compile, build):
            with pytest.raises(ArgumentError, match=r"plain.* is no kernel: decorate the function with @kernel"):
                use(plain)
        with pytest.raises(ArgumentError, match=r"is loaded already: call it with arrays on the device"):
            xdevice.run(xdevice.compile(add_one), ramp())

    def test_dims_that_disagree(self, xdevice: Device) -> None:
        with pytest.raises(ArgumentError, match="expected n = 8 along axis 0"):
            xdevice.run(add, ramp(8), ramp(9))

    def test_a_written_array_must_live_on_the_device(self, xdevice: Device) -> None:
        with pytest.raises(ArgumentError, match="b is written by the kernel"):
            xdevice.compile(add_one)(ramp(), ramp())

    def test_one_array_for_two_parameters(self, xdevice: Device) -> None:
        array = xdevice.array(ramp())
        with pytest.raises(ArgumentError, match="same array is given for a and b"):
            xdevice.compile(add_one)(array, array)

    def test_more_memory_than_there_is(self, xdevice: Device) -> None:
        with pytest.raises(DeviceError, match=r"\d{14} bytes.* \(\d+ bytes|no room"):
            xdevice.empty(1 << 42, np.float32)
        np.testing.assert_array_equal(xdevice.run(add_one, ramp()), ramp() + 1)

    def test_a_dtype_that_no_kernel_takes(self, xdevice: Device) -> None:
        with pytest.raises(ArgumentError, match="arrays of complex64 cannot live on a device"):
            xdevice.empty(4, np.complex64)

    def test_run_leaves_its_inputs_alone(self, xdevice: Device) -> None:
        @kernel
        def double(x: InOut[f32, n]) -> None:
            for i in parallel(n):
                x[i] = x[i] * 2.0

        values = ramp()
        np.testing.assert_array_equal(xdevice.run(double, values), ramp() * 2)
        np.testing.assert_array_equal(values, ramp())


@pytest.mark.cpu
class TestFiles:
    def test_upload_list_download_remove(self, xdevice: Device) -> None:
        xdevice.upload(b"weights", "model/weights.bin")
        assert xdevice.listdir() == ["model/weights.bin"]
        assert xdevice.download("model/weights.bin") == b"weights"
        xdevice.remove("model")
        assert xdevice.listdir() == []

    def test_names_may_be_paths_and_bytes_of_any_kind(self, xdevice: Device) -> None:
        name = Path("model", "weights.bin")
        for data in (bytearray(b"weights"), memoryview(b"weights")):
            xdevice.upload(data, name)
            assert xdevice.download(name) == b"weights"
        xdevice.remove(name)
        assert xdevice.listdir() == []

    @pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "", "a/../../b", "nul\0"])
    def test_names_stay_inside_the_session_s_directory(self, xdevice: Device, name: str) -> None:
        with pytest.raises(DeviceError, match=r"not a name inside the session's directory|is no name of a file"):
            xdevice.upload(b"", name)

    def test_a_file_that_is_not_there(self, xdevice: Device) -> None:
        with pytest.raises(DeviceError, match="cannot be read on the device"):
            xdevice.download("nothing")


def test_poison_shows_what_was_not_written(xdevice: Device) -> None:
    assert np.isnan(xdevice.empty(4, np.float32).numpy()).all()


@pytest.mark.parametrize("option", ["number", "repeat", "min_repeat_ms"])
def test_timing_refuses_what_is_not_positive(xdevice: Device, option: str) -> None:
    a, b = xdevice.array(ramp()), xdevice.empty(8)
    options: dict[str, Any] = {option: 0}
    with pytest.raises(ArgumentError, match=f"{option} must be positive"):
        xdevice.compile(add_one).time(a, b, **options)
