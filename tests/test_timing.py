"""Timings, and how durations, rates and sizes are written."""

from __future__ import annotations

import math
import re
import statistics

import numpy as np
import pytest

from pytest_xdevice.errors import ArgumentError
from pytest_xdevice.measurement import Measurement
from pytest_xdevice.report.properties import DEVICE
from pytest_xdevice.report.properties import KIND
from pytest_xdevice.report.table import largest_shape
from pytest_xdevice.report.table import TimedKernel
from pytest_xdevice.report.table import timing_table
from pytest_xdevice.report.table import timings_of
from pytest_xdevice.runtime.caches import largest_cache
from pytest_xdevice.runtime.launch import DeviceProblem
from pytest_xdevice.runtime.timing import check_clock
from pytest_xdevice.runtime.timing import measure
from pytest_xdevice.runtime.timing import Plan
from pytest_xdevice.timing import format_bytes
from pytest_xdevice.timing import format_rate
from pytest_xdevice.timing import format_seconds
from pytest_xdevice.timing import Timing
from pytest_xdevice.timing import TimingRecord
from pytest_xdevice.timing import unit_of


def test_statistics_are_those_of_the_repetitions() -> None:
    results = (4e-6, 1e-6, 2e-6, 9e-6)
    timing = Timing(results, 10)
    assert timing.mean == pytest.approx(4e-6)
    assert timing.median == pytest.approx(3e-6)
    assert timing.min == 1e-6
    assert timing.max == 9e-6
    assert timing.stdev == pytest.approx(statistics.stdev(results))
    assert timing.repeat == 4
    assert timing.number == 10
    assert timing.results == results


def test_a_single_repetition_does_not_deviate() -> None:
    timing = Timing((1e-6,), 1)
    assert (timing.stdev, timing.cv, timing.iqr, timing.outliers) == (0.0, 0.0, 0.0, 0)
    assert timing.quartiles == (1e-6, 1e-6)


def test_spread_is_told_in_ways_that_outliers_do_and_do_not_change() -> None:
    results = (1.0, 2.0, 3.0, 4.0, 100.0)
    timing = Timing(results, 1)
    assert timing.quartiles == (2.0, 4.0)
    assert timing.iqr == 2.0
    assert timing.outliers == 1
    assert timing.cv == pytest.approx(statistics.stdev(results) / 22)
    assert ", 1 outlier, 5 × 1 calls" in str(timing)


def test_nothing_measurable_does_not_vary() -> None:
    timing = Timing((0.0, 0.0), 10_000)
    assert (timing.cv, timing.bytes_per_second) == (0.0, None)
    assert str(timing).startswith("mean 0.000 ns ± 0.000 ns")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_results_that_are_no_times_are_shown_as_they_are(bad: float) -> None:
    timing = Timing((1e-6, bad, 2e-6), 1, bytes=8, flops=8)
    assert timing.repeat == 3
    assert "3 × 1 calls" in str(timing)
    assert math.isnan(timing.stdev) == (not math.isfinite(bad))
    record = TimingRecord("add_one", "t", ("a: float32[4]",), timing)
    assert len(timing_table([TimedKernel("board", "cpu", record)], 80)) == 2


def test_rates_are_over_the_median_and_unknown_without_their_amount() -> None:
    timing = Timing((1e-3, 3e-3), 1, bytes=8_000_000)
    assert timing.bytes_per_second == pytest.approx(4e9)
    assert timing.flops_per_second is None
    assert Timing((2e-3,), 1, flops=2_000).flops_per_second == pytest.approx(1e6)
    assert Timing((0.0,), 1, bytes=8).bytes_per_second is None


@pytest.mark.parametrize(("results", "number"), [((), 1), ((1.0,), 0)])
def test_a_timing_without_measurement_is_refused(results: tuple[float, ...], number: int) -> None:
    with pytest.raises(ValueError, match="a Timing needs at least one"):
        Timing(results, number)


def test_a_timing_in_words() -> None:
    assert str(Timing((1.5e-6, 2.5e-6), 100, bytes=8000, flops=1000)) == (
        "mean 2.000 µs ± 707.1 ns, median 2.000 µs, min 1.500 µs, max 2.500 µs, 2 × 100 calls, 4.00 GB/s, 0.50 GFLOP/s"
    )
    assert str(Timing((2.0,), 1)) == "mean 2.000 s, 1 × 1 calls"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.000 ns"),
        (1.5e-9, "1.500 ns"),
        (999.94e-9, "999.9 ns"),
        (999.96e-9, "1.000 µs"),
        (12.345e-6, "12.35 µs"),
        (0.1234, "123.4 ms"),
        (0.99996, "1.000 s"),
        (75.0, "75.00 s"),
        (3600.0, "3600.0 s"),
    ],
)
def test_a_duration_has_the_unit_that_suits_it(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(2.3734e12, "2373"), (99.96e9, "100"), (43.21e9, "43.2"), (9.996e9, "10.0"), (1.234e9, "1.23"), (5.2e6, "0.0052")],
)
def test_a_rate_has_about_three_digits(rate: float, text: str) -> None:
    assert format_rate(rate) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (1536, "1.5 KiB"), (512 << 20, "512 MiB"), (8 << 30, "8 GiB")],
)
def test_a_size_is_in_binary_units(count: int, text: str) -> None:
    assert format_bytes(count) == text


def timed(kernel: str = "add_one", device: str = "local", *, size: int | None = None) -> TimedKernel:
    record = TimingRecord(kernel, "llvm", ("a: float32[16]", "b: float32[4, 8]", "s: 2.0"), Timing((1e-6,), 1, size))
    return TimedKernel(device, "cpu", record)


def test_a_table_has_only_the_columns_that_say_something() -> None:
    assert timing_table([timed()], 80) == [
        "device     kernel   shape         median µs  stdev ns",
        "local cpu  add_one  float32[4×8]      1.000     0.000",
    ]
    assert timing_table([timed(), timed(size=4000)], 80)[0].endswith("  GB/s")


def test_a_table_names_the_threads_of_a_kernel() -> None:
    record = TimingRecord("add_one", "llvm", ("a: float32[16]",), Timing((1e-6,), 1), threads=4)
    assert timing_table([TimedKernel("local", "cpu", record)], 80)[1].startswith(
        "local cpu  add_one (4 threads)  float32"
    )


def test_a_table_gives_way_in_its_texts_to_fit() -> None:
    device, kernel = "exec:/opt/boards/rk3399/enter python3", "a_kernel_of_forty_characters_in_its_name"
    lines = timing_table([timed(kernel, device, size=10**9), timed()], 80)
    assert max(map(len, lines)) <= 80
    assert lines == [
        "device             kernel             shape         median µs  stdev ns     GB/s",
        "exec:/op…hon3 cpu  a_kernel…its_name  float32[4×8]      1.000     0.000  1000000",
        "local cpu          add_one            float32[4×8]      1.000     0.000",
    ]


def test_a_narrow_table_leaves_out_figures_before_its_texts_are_all_the_same() -> None:
    records = [
        TimingRecord("add_one", "llvm", (f"a: float32[{size}]",), Timing((1e-4, 2e-4), 1, 8 * size, size))
        for size in (1024, 1 << 20)
    ]
    timings = [TimedKernel("local", "opencl", record) for record in records]
    assert timing_table(timings, 80)[0].endswith("GB/s  GFLOP/s")
    assert timing_table(timings, 60) == [
        "device        kernel   shape             median µs  stdev µs",
        "local opencl  add_one  float32[1024]         150.0     70.71",
        "local opencl  add_one  float32[1048576]      150.0     70.71",
    ]
    assert timing_table(timings, 40)[1:] == [
        "loca…encl  add_one  floa…024]      150.0",
        "loca…encl  add_one  floa…576]      150.0",
    ]


def test_a_column_has_the_unit_of_its_shortest_time() -> None:
    records = [TimingRecord("k", "t", (), Timing((seconds,), 1)) for seconds in (41.77e-9, 104.237e-6, 0.0, 1e-6)]
    heading, *rows = timing_table([TimedKernel("local", "cpu", record) for record in records], 80)
    assert heading.split()[2:4] == ["median", "ns"]
    assert [row.split()[3] for row in rows] == ["41.77", "104,237", "0.000", "1,000"]
    assert unit_of([]) == unit_of([0.0, math.nan]) == (1e-9, "ns")
    assert unit_of([2.0, 3e-3]) == (1e-3, "ms")


def test_the_shape_is_that_of_the_largest_array() -> None:
    assert largest_shape(["a: float32[4, 8]", "b: float32[31]", "s: 2.0"]) == "float32[4×8]"
    assert largest_shape(["s: 2.0"]) == ""


def test_properties_from_another_process_are_lists() -> None:
    assert timings_of([[DEVICE, "local"], [KIND, "cpu"], ["mine", 3]]) == []  # type: ignore[list-item]


class Work:
    """Calls that take so many seconds each by a clock of their own."""

    def __init__(self, seconds: float, log: list[str] | None = None, name: str = "") -> None:
        self.seconds = seconds
        self.calls: list[int] = []
        self.log = [] if log is None else log
        self.name = name

    def __call__(self, calls: int) -> float:
        self.calls.append(calls)
        self.log.append(self.name)
        return calls * self.seconds


def plan(**options: object) -> Plan:
    return Plan(Measurement.read(**options).to_wire())  # type: ignore[arg-type]


def no_flush() -> None:
    raise AssertionError("nobody asked for that")


def test_a_sample_takes_as_many_calls_as_the_clock_needs() -> None:
    for tick, least in ((1e-9, 200), (1e-4, 10_000)):  # 0.2 ms, and 100 ticks
        work = Work(1e-6)
        ((number, results),) = measure([work], plan(), tick, no_flush)
        assert least <= number <= 2 * least
        assert results == pytest.approx([1e-6] * 31)


def test_long_samples_are_fewer() -> None:
    ((number, results),) = measure([Work(0.25)], plan(), 1e-9, no_flush)
    assert (number, len(results)) == (1, 8)
    ((number, results),) = measure([Work(3.0)], plan(repeat=2), 1e-9, no_flush)
    assert (number, len(results)) == (1, 2)


def test_what_is_asked_for_is_done() -> None:
    work = Work(1e-6)
    measure([work], plan(number=7, repeat=3, warmup=5), 1e-9, no_flush)
    assert work.calls == [4, 7, 7, 7, 7]  # the first call of the warm-up was made before


def test_a_clock_that_stands_still_ends_the_search_and_is_told() -> None:
    figures = measure([Work(0.0)], plan(repeat=3), 1e-9, no_flush)
    assert figures == [(10_000, [0.0, 0.0, 0.0])]  # as of OpenCL kernels over no element
    with pytest.raises(DeviceProblem, match="the device's clock stands still: 30000 calls took no time by it"):
        check_clock(figures, lambda: False)


def test_a_clock_that_is_coarse_is_no_broken_one() -> None:
    check_clock([(1, [0.0]), (10_000, [0.0, 1e-9])], lambda: True)


def test_a_clock_that_goes_back_ends_the_search_and_is_told() -> None:
    figures = measure([Work(-1e-3)], plan(repeat=3), 1e-9, no_flush)
    with pytest.raises(DeviceProblem, match="the device's clock went back: 10000 calls took -10 s by it"):
        check_clock(figures, lambda: True)


def test_caches_are_flushed_before_each_sample_of_one_call() -> None:
    log: list[str] = []
    ((number, _),) = measure(
        [Work(1e-6, log, "run")], plan(repeat=2, flush_cache=True), 1e-9, lambda: log.append("flush")
    )
    assert number == 1
    assert log == ["run", "flush", "run", "flush", "run"]


def test_several_are_measured_in_turns() -> None:
    log: list[str] = []
    figures = measure([Work(1e-6, log, "a"), Work(2e-6, log, "b")], plan(number=3, repeat=2), 1e-9, no_flush)
    assert log == ["a", "b", "a", "b", "a", "b"]
    assert figures == [(3, pytest.approx([1e-6, 1e-6])), (3, pytest.approx([2e-6, 2e-6]))]


@pytest.mark.parametrize(
    "options",
    [
        {"number": 0}, {"number": -1}, {"number": 2.5}, {"number": True}, {"number": "3"}, {"repeat": 0}, {"warmup": 0},
        {"number": 1 << 63}, {"repeat": -1}, {"repeat": 1 << 32}, {"warmup": 1 << 64},
        {"min_repeat_ms": 0}, {"min_repeat_ms": float("inf")}, {"min_repeat_ms": float("nan")}, {"cooldown": -1},
        {"cooldown": float("inf")}, {"cooldown": 601}, {"flops": -1}, {"bytes": "many"},
    ],
    ids=str,
)  # fmt: skip
def test_values_that_cannot_be_meant_are_refused(options: dict[str, object]) -> None:
    (name,) = options
    with pytest.raises(ArgumentError, match=rf"^time: {name} must be .*; got {re.escape(repr(options[name]))}$"):
        Measurement.read(**options)  # type: ignore[arg-type]


def test_cold_calls_do_not_follow_each_other() -> None:
    with pytest.raises(ArgumentError, match="leave one of them out"):
        Measurement.read(flush_cache=True, min_repeat_ms=5)


def test_numbers_of_numpy_and_amounts_as_floats_are_taken() -> None:
    measurement = Measurement.read(number=np.int32(3), repeat=np.int64(2), flops=2e9)  # type: ignore[arg-type]
    assert (measurement.number, measurement.repeat, measurement.flops) == (3, 2, 2_000_000_000)
    assert type(measurement.number) is int


def test_the_largest_cache_of_this_machine() -> None:
    assert 1 << 14 <= largest_cache() <= 1 << 33
