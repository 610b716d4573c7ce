"""A measurement's figures as tables and plots show them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from dataclasses import fields
from typing import Final

from ..counters import Counters
from ..timing import format_rate
from ..timing import format_seconds
from ..timing import Timing
from .run import TimingResult
from .table import largest_shape


@dataclass(frozen=True)
class TimingRow:
    """One line of a table of timings.

    Times are in seconds per call, rates in words, empty where unknown; `bytes` and `flops` are those of a call.
    """

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
    bytes: int | None = None
    flops: int | None = None
    counters: Mapping[str, float | None] = field(default_factory=dict)
    counters_missing: str = ""
    events: Mapping[str, float | None] = field(default_factory=dict)

    @classmethod
    def of(cls, timing: TimingResult) -> TimingRow:
        """Read a measurement."""
        measured = timing.measured
        threads = measured.get("threads", 1)
        return cls(
            test=timing.test,
            lane=f"{timing.device} {timing.kind}",
            kernel=measured["kernel"] + (f" ({threads} threads)" if threads != 1 else ""),
            shape=largest_shape(measured["arguments"]),
            samples=tuple(measured["results"]),
            number=measured["number"],
            mean=measured["mean"],
            median=measured["median"],
            stdev=measured["stdev"],
            least=measured["min"],
            most=measured["max"],
            gigabytes=_rate(measured.get("bytes"), measured["median"]),
            gigaflops=_rate(measured.get("flops"), measured["median"]),
            bytes=measured.get("bytes"),
            flops=measured.get("flops"),
            counters=_counted(measured.get("counters")),
            counters_missing=measured.get("counters_missing") or "",
            events=measured.get("events") or {},
        )


@dataclass(frozen=True)
class Column:
    """A column of figures that only some timings have.

    Attributes
    ----------
    title : str
    key : str
        In the `counters` or `events` of a row.
    text : callable
        Writes a value.
    """

    title: str
    key: str
    text: Callable[[float], str]

    def cell(self, found: Mapping[str, float | None]) -> str:
        """Return a row's figure in words, empty where it has none."""
        value = found.get(self.key)
        return "" if value is None else self.text(value)


def format_count(count: float) -> str:
    """Write how often something happened in a call, on average: ``"12345"``, ``"0.25"``."""
    return f"{count:.0f}" if abs(count) >= 1000 else f"{count:.3g}"


COUNTERS: Final = (
    Column("cycles", "cycles", format_count),
    Column("instructions", "instructions", format_count),
    Column("IPC", "ipc", format_count),
    Column("cache misses", "cache_misses", format_count),
    Column("branch misses", "branch_misses", format_count),
    Column("time on cores", "task_clock", format_seconds),
    Column("page faults", "page_faults", format_count),
    Column("context switches", "context_switches", format_count),
)
EVENTS: Final = (
    Column("queue", "queue", format_seconds),
    Column("submit", "submit", format_seconds),
    Column("run", "run", format_seconds),
    Column("wall", "wall", format_seconds),
)


def known_columns(columns: Sequence[Column], found: Sequence[Mapping[str, float | None]]) -> list[Column]:
    """Return the columns in which at least one of the rows has a figure."""
    return [column for column in columns if any(row.get(column.key) is not None for row in found)]


@dataclass(frozen=True)
class Change:
    """A timing beside the baseline's.

    Attributes
    ----------
    row : TimingRow
    finding : str
        ``"slower"``, ``"as before"``, ...
    message : str
    before : float or None
        Median of the baseline, in seconds per call; None where nothing could be compared.
    ratio : float or None
        How many times as long as before a call takes, by the medians.
    spread : tuple of (float, float)
        The quartiles now over the median before.
    """

    row: TimingRow
    finding: str
    message: str
    before: float | None
    ratio: float | None
    spread: tuple[float, float]

    @classmethod
    def of(cls, timing: TimingResult) -> Change | None:
        """Read a measurement; None where it was compared with no baseline."""
        verdict = timing.baseline
        if verdict is None:
            return None
        row, before, ratio = TimingRow.of(timing), verdict.get("before"), verdict.get("ratio")
        quartiles = Timing(row.samples, row.number).quartiles
        spread = (quartiles[0] / before, quartiles[1] / before) if before else (0.0, 0.0)
        return cls(row, verdict["finding"], verdict["message"], before, ratio, spread)


def _counted(found: Mapping[str, float | None] | None) -> dict[str, float | None]:
    """Return counters by name, with what is worked out of them."""
    if found is None:
        return {}
    known = {each.name: found.get(each.name) for each in fields(Counters)}
    return {**known, "ipc": Counters(**known).ipc}


def _rate(amount: int | None, seconds: float) -> str:
    return format_rate(amount / seconds) if amount and seconds > 0 else ""
