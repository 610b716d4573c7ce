"""Kernels whose parallel loops run on several threads of the device's CPU: the same results, and the same mishaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import atomic_add
from pytest_xdevice import atomic_cas
from pytest_xdevice import atomic_max
from pytest_xdevice import barrier
from pytest_xdevice import bool_
from pytest_xdevice import dim
from pytest_xdevice import exp
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import KernelTimeout
from pytest_xdevice import MemoryViolation
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import private
from pytest_xdevice import shared
from pytest_xdevice.remote import Device

k, m, n = dim("k"), dim("m"), dim("n")
SIZES = [0, 1, 16_385, 200_003]


@kernel
def saxpy(alpha: f32, x: In[f32, n], y: InOut[f32, n]) -> None:
    for i in parallel(n):
        y[i] = alpha * x[i] + y[i]


@kernel
def matmul(a: In[f32, m, k], b: In[f32, k, n], c: Out[f32, m, n]) -> None:
    for i, j in parallel(m, n):
        total = f32(0)
        for p in range(k):
            total += a[i, p] * b[p, j]
        c[i, j] = total


@kernel
def several_loops(a: In[f64, n], total: Out[f64, 2], b: Out[f64, n]) -> None:
    """Sequential parts before, between and after parallel loops, with locals that the loops read."""
    largest = -np.inf
    for i in range(n):
        largest = max(largest, a[i])
    for i in parallel(n):
        b[i] = exp(a[i] - largest)
    total[0] = 0.0
    for i in range(n):
        total[0] = total[0] + b[i]
    factor = 1.0 / total[0]
    wide = n > 1000
    for i in parallel(n):
        if 0 < i < n - 1 and wide:
            b[i] = b[i] * factor + a[i - 1]
    total[1] = factor


@kernel
def returns_early(a: InOut[i64, n], stops: i64) -> None:
    for i in parallel(n):
        a[i] = a[i] + i
    if stops > 0:
        return
    for i in parallel(n):
        a[i] = a[i] * 2


@kernel
def cube(a: In[f32, k, m, n], b: Out[f32, n, m, k]) -> None:
    for x, y, z in parallel(k, m, n):
        b[z, y, x] = a[x, y, z] * 2.0


@kernel
def histograms(a: In[f32, m, n], b: Out[f32, m, 4]) -> None:
    for y in parallel(m):
        counts = private(f32, 4)
        for x in range(n):
            counts[i64(a[y, x] * 4.0)] += 1.0
        for p in range(4):
            b[y, p] = counts[p]


@kernel
def inner_part(a: InOut[f32, m, n]) -> None:
    for y, x in parallel(range(1, m - 1), range(n - 1, 0, -2)):
        a[y, x] = a[y, x] + f32(y) * 0.5


@kernel
def sums_of_groups(a: In[f32, n], b: Out[f32, m]) -> None:
    """Work-groups that share memory: each is one thread's."""
    for i in parallel((n + 63) // 64 * 64, block=64):
        group = shared(f32, 64)
        group[i % 64] = a[i] if i < n else f32(0)
        barrier()
        if i % 64 == 0:
            total = f32(0)
            for p in range(64):
                total += group[p]
            b[i // 64] = total


@kernel
def tallies(a: In[i64, n], counts: InOut[i64, 16], most: InOut[f32, 16], taken: InOut[i64, 16]) -> None:
    """Threads that change the same elements, most of the time."""
    for i in parallel(n):
        old = atomic_add(counts[a[i]], 1)
        atomic_max(most[a[i]], f32(old))
        if is_first(taken):
            counts[15] = -1


def is_first(taken: InOut[i64, 16]) -> bool_:
    """Return whether nobody has come here before."""
    before = atomic_cas(taken[0], 0, 1)
    return before == 0


def same_with_threads(device: Device, source: Any, *arguments: Any) -> None:
    """Check that a kernel gives the same, bit by bit, whatever number of threads runs it."""
    expected = device.run(source, *arguments)
    for threads in (2, 3, 16):
        np.testing.assert_array_equal(device.run(source, *arguments, threads=threads), expected)


@pytest.mark.cpu
class TestResults:
    @pytest.mark.parametrize("size", SIZES)
    def test_one_dimension(self, xdevice: Device, size: int) -> None:
        values = np.linspace(-1, 1, size, dtype=np.float32)
        same_with_threads(xdevice, saxpy, 0.5, values, values[::-1].copy())

    @pytest.mark.parametrize("shape", [(0, 3, 4), (1, 1, 1), (33, 40, 50), (200, 3, 70)])
    def test_two_dimensions(self, xdevice: Device, shape: tuple[int, int, int]) -> None:
        rows, inner, columns = shape
        rng = np.random.default_rng(1)
        left = rng.uniform(size=(rows, inner)).astype(np.float32)
        same_with_threads(xdevice, matmul, left, rng.uniform(size=(inner, columns)).astype(np.float32))

    @pytest.mark.parametrize("size", [1, 16_385, 300_000])
    def test_atomic_operations(self, xdevice: Device, size: int) -> None:
        values = np.random.default_rng(2).integers(0, 15, size)
        most, taken = np.full(16, -1, np.float32), np.zeros(16, np.int64)
        same_with_threads(xdevice, tallies, values, np.zeros(16, np.int64), most, taken)

    def test_three_dimensions(self, xdevice: Device) -> None:
        same_with_threads(xdevice, cube, np.random.default_rng(2).uniform(size=(40, 30, 20)).astype(np.float32))

    def test_private_arrays_and_ranges(self, xdevice: Device) -> None:
        values = np.random.default_rng(2).uniform(size=(300, 100)).astype(np.float32)
        same_with_threads(xdevice, histograms, values)
        same_with_threads(xdevice, inner_part, values)

    @pytest.mark.parametrize("size", SIZES[1:])
    def test_work_groups(self, xdevice: Device, size: int) -> None:
        values = np.random.default_rng(4).uniform(size=size).astype(np.float32)
        same_with_threads(xdevice, sums_of_groups, values, np.zeros((size + 63) // 64, np.float32))

    @pytest.mark.parametrize("size", SIZES[1:])
    def test_locals_between_loops(self, xdevice: Device, size: int) -> None:
        values = np.random.default_rng(3).uniform(-1, 1, size)
        for one, several in zip(
            xdevice.run(several_loops, values), xdevice.run(several_loops, values, threads=3), strict=True
        ):
            np.testing.assert_array_equal(one, several)

    @pytest.mark.parametrize("stops", [0, 1])
    def test_an_early_return(self, xdevice: Device, stops: int) -> None:
        same_with_threads(xdevice, returns_early, np.arange(50_000), stops)

    def test_every_launch_of_many(self, xdevice: Device) -> None:
        values = np.zeros(60_000, np.float32)
        function = xdevice.compile(saxpy, threads=4)
        x, y = xdevice.array(np.ones_like(values)), xdevice.array(values)
        for _ in range(200):
            function(1.0, x, y)
        np.testing.assert_array_equal(y.numpy(), np.full_like(values, 200))

    def test_timing(self, xdevice: Device) -> None:
        values = xdevice.array(np.ones(60_000, np.float32))
        timing = xdevice.compile(saxpy, threads=2).time(1.0, values, xdevice.array(np.ones(60_000, np.float32)))
        assert timing.min > 0
        record = xdevice.records[-1]
        assert (record.kernel, record.threads) == ("saxpy", 2)


@pytest.mark.cpu
class TestMishaps:
    def test_a_crash_in_a_thread(self, xdevice: Device) -> None:
        @kernel
        def past_the_end(a: InOut[f32, n]) -> None:
            for i in parallel(n):
                a[i + 512 * (i // (n - 1))] = 1.0  # the last one, into the page that guards the array

        with pytest.raises(MemoryViolation, match=r"past the end of argument a .* SIG(SEGV|BUS)") as caught:
            xdevice.run(past_the_end, np.zeros(100_000, np.float32), threads=4)
        assert (caught.value.argument, caught.value.index) == ("a", 100_511)
        same_with_threads(xdevice, saxpy, 2.0, np.ones(9, np.float32), np.ones(9, np.float32))

    def test_endless_threads_end_in_time(self, xdevice: Device) -> None:
        @kernel
        def endless(a: InOut[f32, n]) -> None:
            for i in parallel(n):
                while a[i] < 1.0:
                    a[i] = a[i] * 0.5

        with pytest.raises(KernelTimeout):
            xdevice.run(endless, np.zeros(50_000, np.float32), threads=3, timeout=0.5)
        same_with_threads(xdevice, saxpy, 2.0, np.ones(9, np.float32), np.ones(9, np.float32))

    @pytest.mark.parametrize("threads", [0, -1, 257, 2.0, True, "4", None])
    def test_what_is_no_number_of_threads(self, xdevice: Device, threads: Any) -> None:
        with pytest.raises(ArgumentError, match=r"threads must be a whole number from 1 to 256; got "):
            xdevice.compile(saxpy, threads=threads)


@pytest.mark.opencl
def test_an_opencl_device_takes_no_threads(xdevice: Device) -> None:
    with pytest.raises(ArgumentError, match="threads=4: an OpenCL device divides the work by itself"):
        xdevice.compile(saxpy, threads=4)
    assert xdevice.compile(saxpy, threads=1).artifact.threads == 1
