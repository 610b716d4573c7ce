"""Timings of kernels as a table of text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from ..disturbances import Conditions
from ..timing import format_in
from ..timing import format_rate
from ..timing import Timing
from ..timing import TimingRecord
from ..timing import unit_of
from .properties import DEVICE
from .properties import KIND
from .properties import TIMING

_GAP: Final = "  "
_NARROWEST: Final = 6
_READABLE: Final = 12  # characters of a text, by which most are told from each other
# Figures that give way, in this order, where texts would get shorter than that.
_DISPENSABLE: Final = ("GFLOP/s", "GB/s", "stdev")


@dataclass(frozen=True)
class TimedKernel:
    """A measurement with where it was taken."""

    device: str
    kind: str
    record: TimingRecord


@dataclass(frozen=True)
class _Column:
    title: str
    cells: tuple[str, ...]
    is_number: bool

    @property
    def width(self) -> int:
        return max(len(self.title), *(len(cell) for cell in self.cells))


def timings_of(properties: Iterable[tuple[str, object]]) -> list[TimedKernel]:
    """Return the measurements among a report's user properties, which may come from another process."""
    device = kind = ""
    found = []
    for name, value in properties:
        if name == DEVICE:
            device = str(value)
        elif name == KIND:
            kind = str(value)
        elif name == TIMING:
            found.append(TimedKernel(device, kind, _record(json.loads(str(value)))))
    return found


def timing_table(timings: Sequence[TimedKernel], width: int) -> list[str]:
    """Return timings as lines of at most `width` characters: a heading, and one line each.

    Parameters
    ----------
    timings : sequence of TimedKernel
        At least one.
    width : int
        Characters in a line, 40 or more.
    """
    records = [timed.record for timed in timings]
    columns = [
        _Column("device", tuple(_lane_text(timed) for timed in timings), False),
        _Column("kernel", tuple(_kernel_text(record) for record in records), False),
        _Column("shape", tuple(largest_shape(record.arguments) for record in records), False),
        _times("median", [record.timing.median for record in records]),
        _times("stdev", [record.timing.stdev for record in records]),
        _Column("GB/s", tuple(_rate(record.timing.bytes_per_second) for record in records), True),
        _Column("GFLOP/s", tuple(_rate(record.timing.flops_per_second) for record in records), True),
    ]
    columns = _affordable([column for column in columns if any(column.cells)], width)
    widths = _fit(columns, width)
    rows = [[column.title for column in columns], *(list(row) for row in zip(*(c.cells for c in columns), strict=True))]
    return [_line(row, columns, widths) for row in rows]


def largest_shape(arguments: Sequence[str]) -> str:
    """Return dtype and shape of the largest array among arguments in words: ``"float32[1024]"``."""
    arrays = [found[1] for text in arguments if (found := re.search(r"(\w+\[[\d, ]*\])$", text))]
    return max(arrays, key=_elements, default="").replace(", ", "×")


def _times(title: str, seconds: Sequence[float]) -> _Column:
    """Return a column of durations in one unit, which its title names, so that they compare at a glance."""
    unit, name = unit_of(seconds)
    return _Column(f"{title} {name}", tuple(format_in(value, unit) for value in seconds), True)


def _elements(array: str) -> int:
    count = 1
    for extent in re.findall(r"\d+", array.partition("[")[2]):
        count *= int(extent)
    return count


def _lane_text(timed: TimedKernel) -> str:
    return f"{timed.device} {timed.kind}"


def _kernel_text(record: TimingRecord) -> str:
    return record.kernel if record.threads == 1 else f"{record.kernel} ({record.threads} threads)"


def _rate(per_second: float | None) -> str:
    return "" if per_second is None else format_rate(per_second)


def _affordable(columns: Sequence[_Column], width: int) -> list[_Column]:
    """Return the columns for which a line has room."""
    kept = list(columns)
    for title in _DISPENSABLE:
        least = [column.width if column.is_number else min(column.width, _READABLE) for column in kept]
        if sum(least) + len(_GAP) * (len(least) - 1) <= width:
            break
        kept = [column for column in kept if not column.title.startswith(title)]
    return kept


def _fit(columns: Sequence[_Column], width: int) -> list[int]:
    """Return the columns' widths; texts give way, the widest first, until a line fits."""
    widths = [column.width for column in columns]
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    texts = [index for index, column in enumerate(columns) if not column.is_number]
    while excess > 0:
        widest = max(texts, key=lambda index: widths[index])
        if widths[widest] <= _NARROWEST:
            break
        widths[widest] -= 1
        excess -= 1
    return widths


def _line(row: Sequence[str], columns: Sequence[_Column], widths: Sequence[int]) -> str:
    cells = []
    for text, column, width in zip(row, columns, widths, strict=True):
        shown = _shortened(text, width)
        cells.append(shown.rjust(width) if column.is_number else shown.ljust(width))
    return _GAP.join(cells).rstrip()


def _shortened(text: str, width: int) -> str:
    """Return a text, without its middle where it is too long: ends say which port, which kind, how many elements."""
    if len(text) <= width:
        return text
    tail = (width - 1) // 2
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def _record(data: dict[str, Any]) -> TimingRecord:
    found = data.get("conditions")
    conditions = None if found is None else Conditions.from_wire(found)
    timing = Timing(tuple(data["results"]), data["number"], data["bytes"], data["flops"], conditions)
    return TimingRecord(
        data["kernel"], data["target"], tuple(data["arguments"]), timing, data.get("threads", 1), data.get("key", "")
    )
