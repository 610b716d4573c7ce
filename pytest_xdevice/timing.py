"""What a measurement on a device gave, and how times, rates and sizes are written for people."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .counters import Counters
from .counters import Events
from .disturbances import Conditions

_SECONDS: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BINARY: Final = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


@dataclass(frozen=True)
class Timing:
    """Times of one kernel, measured on the device itself.

    Attributes
    ----------
    results : tuple of float
        Seconds per call, one entry a repetition; at least one.
    number : int
        Calls in each repetition.
    bytes : int or None
        Bytes that one call has to move between the kernel and its arrays, where known.
    flops : int or None
        Floating-point operations of one call, where known.
    conditions : Conditions or None
        What was found on the device that may have disturbed it.
    counters : Counters or None
        What the processor counted, where the device allows that.
    counters_missing : str
        Why `counters`, or some of them, are None; empty where none is.
    events : Events or None
        With OpenCL, where the time of a launch went.

    Raises
    ------
    ValueError
        If there is no result or `number` is below 1.
    """

    results: tuple[float, ...]
    number: int
    bytes: int | None = None
    flops: int | None = None
    conditions: Conditions | None = None
    counters: Counters | None = None
    counters_missing: str = ""
    events: Events | None = None

    def __post_init__(self) -> None:
        if not self.results:
            raise ValueError("a Timing needs at least one result")
        if self.number < 1:
            raise ValueError(f"a Timing needs at least one call in a repetition; got number={self.number}")

    @property
    def repeat(self) -> int:
        """Repetitions, each of `number` calls."""
        return len(self.results)

    @property
    def mean(self) -> float:
        """Arithmetic mean over the repetitions, in seconds per call."""
        return statistics.fmean(self.results)

    @property
    def median(self) -> float:
        """Median over the repetitions, in seconds per call."""
        return statistics.median(self.results)

    @property
    def min(self) -> float:
        """The fastest repetition, in seconds per call."""
        return min(self.results)

    @property
    def max(self) -> float:
        """The slowest repetition, in seconds per call."""
        return max(self.results)

    @property
    def stdev(self) -> float:
        """Sample standard deviation over the repetitions, in seconds per call; 0.0 for a single one.

        NaN where a result is not finite, with which the standard library would not compute.
        """
        if not all(map(math.isfinite, self.results)):
            return math.nan
        return statistics.stdev(self.results) if len(self.results) > 1 else 0.0

    @property
    def cv(self) -> float:
        """Coefficient of variation: `stdev` over `mean`; 0.0 where nothing was measurable."""
        return self.stdev / self.mean if self.mean > 0 else 0.0

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third quartile, in seconds per call, interpolated between repetitions."""
        if len(self.results) < 2:
            return self.results[0], self.results[0]
        first, _, third = statistics.quantiles(self.results, n=4, method="inclusive")
        return first, third

    @property
    def iqr(self) -> float:
        """Interquartile range: how far apart the middle half of the repetitions lies, in seconds per call."""
        first, third = self.quartiles
        return third - first

    @property
    def outliers(self) -> int:
        """How many repetitions are further than 1.5 interquartile ranges from the middle half (Tukey's fences)."""
        first, third = self.quartiles
        reach = 1.5 * (third - first)
        return sum(not first - reach <= seconds <= third + reach for seconds in self.results)

    @property
    def bytes_per_second(self) -> float | None:
        """`bytes` over the median time, or None where either is unknown or nothing was measurable."""
        return _rate(self.bytes, self.median)

    @property
    def flops_per_second(self) -> float | None:
        """`flops` over the median time, or None where either is unknown or nothing was measurable."""
        return _rate(self.flops, self.median)

    def __str__(self) -> str:
        parts = [f"mean {format_seconds(self.mean)}"]
        if self.repeat > 1:
            parts[0] += f" ± {format_seconds(self.stdev)}"
            parts.append(
                f"median {format_seconds(self.median)}, min {format_seconds(self.min)}, max {format_seconds(self.max)}"
            )
        if self.outliers:
            parts.append(f"{self.outliers} outlier{'s' if self.outliers > 1 else ''}")
        parts.append(f"{self.repeat} × {self.number} calls")
        if self.bytes_per_second is not None:
            parts.append(f"{format_rate(self.bytes_per_second)} GB/s")
        if self.flops_per_second is not None:
            parts.append(f"{format_rate(self.flops_per_second)} GFLOP/s")
        return ", ".join(parts)


@dataclass(frozen=True)
class LaunchRecord:
    """One launch of a kernel in a test.

    Attributes
    ----------
    kernel : str
        The kernel's name.
    target : str
        What it was compiled for.
    arguments : tuple of str
        Its arguments in words, in parameter order: ``"a: float32[1024]"``, ``"alpha: 2.0"``.
    threads : int
        How many threads ran its parallel loops on a CPU.
    """

    kernel: str
    target: str
    arguments: tuple[str, ...]
    threads: int = 1


@dataclass(frozen=True)
class TimingRecord:
    """One measurement of a kernel in a test: the attributes of `LaunchRecord`, and these.

    Attributes
    ----------
    timing : Timing
    key : str
        What stands for the kernel's code as it was built: another one after any change.
    """

    kernel: str
    target: str
    arguments: tuple[str, ...]
    timing: Timing
    threads: int = 1
    key: str = ""


def format_seconds(seconds: float) -> str:
    """Write a duration with four significant digits and the unit that suits it: ``"12.34 µs"``."""
    for unit, name in _SECONDS:
        # A value that would be rounded up to 1000 of a unit belongs to the next one.
        if abs(seconds) >= unit * 0.99995:
            return f"{_four_digits(seconds / unit)} {name}"
    return f"{_four_digits(seconds / 1e-9)} ns"


def unit_of(durations: Iterable[float]) -> tuple[float, str]:
    """Return the unit, in seconds and by name, in which the shortest of some durations above 0 is written."""
    least = min((seconds for seconds in durations if 0 < seconds < math.inf), default=0.0)
    return next((unit for unit in _SECONDS if least >= unit[0] * 0.99995), _SECONDS[-1])


def format_in(seconds: float, unit: float) -> str:
    """Write a duration in a unit, with four significant digits, or all that stand before the point: ``"104,237"``."""
    value = seconds / unit
    return f"{value:,.0f}" if abs(value) >= 999.95 else _four_digits(value)


def format_rate(per_second: float) -> str:
    """Write a rate in units of 10⁹ a second (GB/s, GFLOP/s) with three significant digits."""
    giga = per_second / 1e9
    if giga >= 99.95:
        return f"{giga:.0f}"
    return f"{giga:.1f}" if giga >= 9.995 else f"{giga:.2f}" if giga >= 0.0995 else f"{giga:.2g}"


def format_bytes(count: int) -> str:
    """Write a size in binary units with up to three digits: ``"7.7 GiB"``, ``"512 MiB"``."""
    for unit, name in _BINARY:
        if count >= unit:
            value = count / unit
            return f"{value:.0f} {name}" if value >= 100 or count % unit == 0 else f"{value:.1f} {name}"
    return f"{count} B"


def _four_digits(value: float) -> str:
    magnitude = abs(value)
    return f"{value:.1f}" if magnitude >= 99.995 else f"{value:.2f}" if magnitude >= 9.9995 else f"{value:.3f}"


def _rate(amount: int | None, seconds: float) -> float | None:
    return amount / seconds if amount is not None and seconds > 0 else None
