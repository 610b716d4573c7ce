"""A measurement's figures as tables and plots show them."""

from __future__ import annotations

from dataclasses import dataclass

from ..timing import format_rate
from .run import TimingResult
from .table import largest_shape


@dataclass(frozen=True)
class TimingRow:
    """One line of a table of timings. Times are in seconds per call, rates in words, empty where unknown."""

    test: str
    lane: str
    kernel: str
    shape: str
    samples: tuple[float, ...]
    number: int
    mean: float
    median: float
    stdev: float
    least: float
    most: float
    gigabytes: str
    gigaflops: str

    @classmethod
    def of(cls, timing: TimingResult) -> TimingRow:
        """Read a measurement."""
        measured = timing.measured
        mean = measured["mean"]
        threads = measured.get("threads", 1)
        return cls(
            test=timing.test,
            lane=f"{timing.device} {timing.kind}",
            kernel=measured["kernel"] + (f" ({threads} threads)" if threads != 1 else ""),
            shape=largest_shape(measured["arguments"]),
            samples=tuple(measured["results"]),
            number=measured["number"],
            mean=mean,
            median=measured["median"],
            stdev=measured["stdev"],
            least=measured["min"],
            most=measured["max"],
            gigabytes=_rate(measured.get("bytes"), mean),
            gigaflops=_rate(measured.get("flops"), mean),
        )


def _rate(amount: int | None, seconds: float) -> str:
    return format_rate(amount / seconds) if amount and seconds > 0 else ""
