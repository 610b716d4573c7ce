"""Times of kernels on whatever device the run has: one round trip each, whichever way the kernel got there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i32
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import KernelCrash
from pytest_xdevice import KernelTimeout
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.client import Batch
from pytest_xdevice.remote import Device
from tests.faults.kernels import add_one

n = dim("n")


@kernel
def count(calls: InOut[i32, 1]) -> None:
    calls[0] += 1


@kernel
def time(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + 2.0


@kernel
def write_far_away(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i + 100000000] = a[i]


@kernel
def spin(a: InOut[i64, 1]) -> None:
    while a[0] >= 0:
        a[0] = (a[0] * 3 + 1) & 1023


@pytest.mark.cpu
@pytest.mark.opencl
def test_a_measurement_is_one_round_trip_the_first_one_too(xdevice: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    function = xdevice.compile(add_one)
    a, b = xdevice.array(np.ones(64, np.float32)), xdevice.empty(64)
    batches: list[Batch] = []
    worker = xdevice.worker()
    submit = worker.submit

    def counted(batch: Batch, seconds: float) -> list[object]:
        batches.append(batch)
        return submit(batch, seconds)

    monkeypatch.setattr(worker, "submit", counted)
    for _ in range(2):
        assert function.time(a, b, number=3, repeat=4).repeat == 4
    assert len(batches) == 2
    np.testing.assert_array_equal(b, np.full(64, 2, np.float32))


def test_every_call_of_a_measurement_is_made(xdevice: Device) -> None:
    calls = xdevice.array(np.zeros(1, np.int32))
    xdevice.compile(count).time(calls, number=10, repeat=5)
    assert calls.numpy()[0] == 1 + 10 + 5 * 10  # one to bring it in, one sample to see how long it takes


def test_a_saved_kernel_is_timed(xdevice: Device, tmp_path: Path) -> None:
    path = xdevice.compile(add_one).artifact.save(tmp_path / "add_one.so")
    a, b = xdevice.array(np.ones(64, np.float32)), xdevice.empty(64)
    assert xdevice.load(path).time(a, b, number=3, repeat=4).min > 0


def test_a_kernel_may_be_called_time(xdevice: Device) -> None:
    a, b = xdevice.array(np.ones(64, np.float32)), xdevice.empty(64)
    assert xdevice.compile(time).time(a, b, number=3, repeat=4).min > 0
    np.testing.assert_array_equal(b, np.full(64, 3, np.float32))


def test_timing_goes_on_after_a_crash(xdevice: Device) -> None:
    function = xdevice.compile(add_one)
    ones = np.ones(64, np.float32)
    assert function.time(xdevice.array(ones), xdevice.empty(64), number=3, repeat=4).min > 0
    with pytest.raises(KernelCrash):
        xdevice.run(write_far_away, ones)
    assert function.time(xdevice.array(ones), xdevice.empty(64), number=3, repeat=4).min > 0


def test_the_work_of_a_call_becomes_rates(xdevice: Device) -> None:
    function = xdevice.compile(add_one)
    a, b = xdevice.array(np.ones(64, np.float32)), xdevice.empty(64)
    timing = function.time(a, b, number=3, repeat=4)
    assert (timing.bytes, timing.flops) == (2 * 64 * 4, None)
    timing = function.time(a, b, number=3, repeat=4, flops=64, bytes=1e3)
    assert (timing.bytes, timing.flops) == (1000, 64)
    assert "GFLOP/s" in str(timing)


def test_an_array_that_is_read_and_written_moves_twice(xdevice: Device) -> None:
    assert xdevice.compile(count).time(xdevice.array(np.zeros(1, np.int32)), number=1, repeat=1).bytes == 8


def test_the_calls_of_a_warm_up_are_made(xdevice: Device) -> None:
    calls = xdevice.array(np.zeros(1, np.int32))
    xdevice.compile(count).time(calls, number=10, repeat=5, warmup=7)
    assert calls.numpy()[0] == 7 + 10 + 5 * 10


@pytest.mark.cpu
@pytest.mark.opencl
def test_cold_and_rested_samples(xdevice: Device) -> None:
    function = xdevice.compile(add_one)
    a, b = xdevice.array(np.ones(1 << 16, np.float32)), xdevice.empty(1 << 16)
    timing = function.time(a, b, repeat=5, flush_cache=True, cooldown=0.001)
    assert (timing.number, timing.repeat) == (1, 5)
    assert timing.min > 0
    np.testing.assert_array_equal(b, np.full(1 << 16, 2, np.float32))


def test_a_crash_while_timing_is_the_kernel_s(xdevice: Device) -> None:
    function = xdevice.compile(write_far_away)
    a, b = xdevice.array(np.ones(64, np.float32)), xdevice.empty(64)
    with pytest.raises(KernelCrash) as caught:
        function.time(a, b)
    assert caught.value.kernel == "write_far_away"
    assert xdevice.records[-1].kernel == "write_far_away"


def test_a_kernel_that_takes_too_long_to_time(xdevice: Device) -> None:
    function = xdevice.compile(spin)
    with pytest.raises(KernelTimeout, match=r"^spin ran longer than 0\.2 s .* it was timed, and each sample"):
        function.time(xdevice.array(np.zeros(1, np.int64)), timeout=0.2, cooldown=1)


@kernel
def add_in_steps(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        total = a[i]
        for _ in range(200):
            total = total * 0.5 + 1.0
        b[i] = total


@pytest.mark.cpu
@pytest.mark.opencl
def test_two_kernels_are_compared_in_turns(xdevice: Device) -> None:
    function = xdevice.compile(add_in_steps)
    b = xdevice.empty(5000)
    found = function.compare(add_one, np.ones(5000, np.float32), b, repeat=21)
    assert found.names == ("add_in_steps", "add_one")
    assert (found.first.repeat, found.second.repeat) == (21, 21)
    low, high = found.interval
    assert 1 < low <= found.ratio <= high
    assert found.differs
    np.testing.assert_array_equal(b, np.full(5000, 2, np.float32))  # the other one came last
    assert [record.kernel for record in xdevice.records][-2:] == ["add_in_steps", "add_one"]


def test_a_kernel_reads_what_the_other_one_writes(xdevice: Device) -> None:
    a, b = xdevice.array(np.ones(64, np.float32)), xdevice.empty(64)
    found = xdevice.compile(add_one).compare(xdevice.compile(take_back), a=a, b=b, number=2, repeat=3)
    assert (found.first.number, found.second.number) == (2, 2)
    np.testing.assert_array_equal(a, np.ones(64, np.float32))


@kernel
def take_back(b: In[f32, n], a: Out[f32, n]) -> None:
    for i in parallel(n):
        a[i] = b[i] - 1.0


def test_a_mistake_of_either_kernel_is_told_as_its_own(xdevice: Device) -> None:
    function = xdevice.compile(add_one)
    a = xdevice.array(np.ones(64, np.float32))
    with pytest.raises(ArgumentError, match=r"^count "):
        function.compare(count, a, xdevice.empty(64))
    with pytest.raises(ArgumentError, match="b is written by the kernel"):
        function.compare(add_in_steps, a, np.ones(64, np.float32))
    with pytest.raises(ArgumentError, match=r"^compare: repeat must be positive"):
        function.compare(add_in_steps, a, xdevice.empty(64), repeat=0)
    with pytest.raises(KernelCrash) as caught:
        function.compare(write_far_away, a, xdevice.empty(64))
    assert caught.value.kernel == "write_far_away"


@pytest.mark.cpu
def test_counters_are_those_of_a_call(xdevice: Device) -> None:
    size = 1 << 20
    a, b = xdevice.array(np.ones(size, np.float32)), xdevice.empty(size)
    timing = xdevice.compile(add_one).time(a, b, number=4, repeat=5)
    counters = timing.counters
    if counters is None:
        assert "not allowed" in timing.counters_missing or "no perf_event_open" in timing.counters_missing
        return
    assert counters.task_clock is not None
    assert 0.1 * timing.mean < counters.task_clock < 10 * timing.mean
    assert counters.page_faults is not None
    assert counters.page_faults < 100  # of some 2048 pages, which were brought in before
    if counters.instructions is None:
        assert "instructions" in timing.counters_missing
        assert counters.ipc is None
    else:
        assert counters.instructions > size / 64  # one for the widest vector at least
        assert counters.ipc is not None
        assert counters.ipc > 0


@pytest.mark.cpu
def test_what_is_counted_grows_with_the_work(xdevice: Device) -> None:
    function = xdevice.compile(add_one)
    clocks = []
    for size in (1 << 10, 1 << 18):
        a, b = xdevice.array(np.ones(size, np.float32)), xdevice.empty(size)
        counters = function.time(a, b, number=200, repeat=5).counters
        if counters is None or counters.task_clock is None:
            return  # which the test above looks into
        clocks.append(counters.task_clock)
    assert clocks[1] > 3 * clocks[0]  # of 256 times the work


@pytest.mark.opencl
def test_the_time_of_an_opencl_launch_is_split(xdevice: Device) -> None:
    a, b = xdevice.array(np.ones(1 << 16, np.float32)), xdevice.empty(1 << 16)
    timing = xdevice.compile(add_one).time(a, b, number=3, repeat=4)
    events = timing.events
    assert events is not None
    assert events.run == pytest.approx(timing.mean)
    assert events.queue >= 0
    assert events.submit >= 0
    assert events.wall > 0.5 * events.run
    assert timing.counters is None
    assert "OpenCL" in timing.counters_missing


def test_two_kernels_in_turns_have_counters_of_their_own(xdevice: Device) -> None:
    a, b = xdevice.array(np.ones(64, np.float32)), xdevice.empty(64)
    found = xdevice.compile(add_one).compare(time, a, b, number=3, repeat=4)
    for timing in (found.first, found.second):
        assert timing.conditions is not None
        assert timing.counters is not None or timing.counters_missing
