"""The timings of a run as parts of its page: the figures, what was counted, the roofline, and the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Final

from ..timing import format_rate
from ..timing import format_seconds
from . import plots
from . import svg
from .elements import chip
from .elements import figure
from .elements import notes
from .elements import number
from .elements import table
from .elements import text
from .figures import Change
from .figures import Column
from .figures import COUNTERS
from .figures import EVENTS
from .figures import known_columns
from .figures import TimingRow
from .roofline import points_of
from .roofline import roofline
from .run import RunResult

_MOST_PLOTS: Final = 40
_NO_PLOTS: Final = "<p>Plots need matplotlib: <code>python -m pip install 'pytest-xdevice[report]'</code></p>"
_TITLES: Final = (
    "kernel", "device", "shape", "median", "mean", "stdev", "min", "max", "samples", "GB/s", "GFLOP/s", "test",
)  # fmt: skip


def timings_section(run: RunResult) -> str:
    """Return the timings as HTML: all figures, and how the samples of each kernel are distributed."""
    rows = [TimingRow.of(timing) for timing in run.timings]
    if not rows:
        return ""
    doubts = notes(f"Warning: {line}" for line in run.disturbances)
    parts = [doubts, table(_TITLES, [_cells(row) for row in rows]), _distributions(rows)]
    parts += [
        _more("Counted for each call", COUNTERS, rows, [row.counters for row in rows]),
        _not_counted(rows),
        _more("Where the time of an OpenCL launch went", EVENTS, rows, [row.events for row in rows]),
    ]
    return "".join(parts)


def roofline_section(run: RunResult) -> str:
    """Return the roofline as HTML, empty where no timing has both operations and bytes, or nothing can draw it."""
    rows = [TimingRow.of(timing) for timing in run.timings]
    points = points_of(rows)
    if not points or not svg.is_there():
        return ""
    cells = [
        [
            text(point.row.kernel), f'<td class="lane">{text(point.row.lane)}</td>', text(point.row.shape),
            number(point.intensity, f"{point.intensity:.3g}"), number(point.flops, format_rate(point.flops)),
        ]
        for point in points
    ]  # fmt: skip
    note = (
        "<p>The roofs are the highest bandwidth and the highest rate that a kernel of this run reached on the device, "
        "by the bytes and operations that the tests told.</p>"
    )
    drawn = roofline(rows, _lanes(rows))
    titles = ["kernel", "device", "shape", "operations a byte", "GFLOP/s"]
    return f'<div class="plots">{figure("Operations a second over operations a byte", drawn)}</div>{note}' + table(
        titles, cells
    )


def baseline_section(run: RunResult) -> str:
    """Return the comparison with a baseline as HTML, empty where there was none."""
    found = [change for change in map(Change.of, run.timings) if change is not None]
    if not found:
        return ""
    compared = [change for change in found if change.ratio is not None and math.isfinite(change.ratio)]
    drawn = ""
    if compared and svg.is_there():
        more = len(compared) - plots.MOST_ROWS
        note = f" (the first {plots.MOST_ROWS} of {len(compared)})" if more > 0 else ""
        drawn = f'<div class="plots">{figure("Medians, and half of the samples" + note, plots.changes(compared))}</div>'
    titles = ["kernel", "device", "shape", "finding", "times as long", "median", "before", "test"]
    words = "".join(f"<li>{text(change.row.lane)}: {text(change.message)}</li>" for change in found)
    told = f"<details><summary>In words</summary><ul>{words}</ul></details>"
    return drawn + table(titles, [_change_cells(change) for change in found]) + told


def _change_cells(change: Change) -> list[str]:
    row, before, ratio = change.row, change.before, change.ratio
    return [
        text(row.kernel),
        f'<td class="lane">{text(row.lane)}</td>',
        text(row.shape),
        chip({"slower": "failed", "faster": "passed"}.get(change.finding, ""), change.finding),
        number(ratio, "" if ratio is None else f"{ratio:.3f}"),
        number(row.median, format_seconds(row.median)),
        number(before, "" if before is None else format_seconds(before)),
        f"<code>{text(row.test)}</code>",
    ]


def _cells(row: TimingRow) -> list[str]:
    times = [number(value, format_seconds(value)) for value in (row.median, row.mean, row.stdev, row.least, row.most)]
    return [
        text(row.kernel),
        f'<td class="lane">{text(row.lane)}</td>',
        text(row.shape),
        *times,
        number(len(row.samples), f"{len(row.samples)} × {row.number}"),
        number(float(row.gigabytes) if row.gigabytes else None, row.gigabytes),
        number(float(row.gigaflops) if row.gigaflops else None, row.gigaflops),
        f"<code>{text(row.test)}</code>",
    ]


def _more(
    heading: str, columns: Sequence[Column], rows: Sequence[TimingRow], found: Sequence[Mapping[str, float | None]]
) -> str:
    """Return a table of figures that only some timings have, empty where none has any."""
    columns = known_columns(columns, found)
    if not columns:
        return ""
    cells = [
        [
            text(row.kernel), f'<td class="lane">{text(row.lane)}</td>', text(row.shape),
            *(number(figures.get(column.key), column.cell(figures)) for column in columns),
        ]
        for row, figures in zip(rows, found, strict=True)
        if figures
    ]  # fmt: skip
    titles = ["kernel", "device", "shape", *(column.title for column in columns)]
    return f"<h3>{text(heading)}</h3>{table(titles, cells)}"


def _not_counted(rows: Sequence[TimingRow]) -> str:
    """Return why what of a CPU was not counted, once for each reason."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        if row.counters_missing and not row.events:
            found.setdefault(row.counters_missing, {})[row.lane] = None
    return notes(f"Not counted on {', '.join(lanes)}: {why}" for why, lanes in found.items())


def _distributions(rows: Sequence[TimingRow]) -> str:
    if not svg.is_there():
        return _NO_PLOTS
    kernels: dict[str, list[TimingRow]] = {}
    for row in rows:
        kernels.setdefault(row.kernel, []).append(row)
    figures = [_plot(kernel, found, _lanes(rows)) for kernel, found in list(kernels.items())[:_MOST_PLOTS]]
    more = len(kernels) - len(figures)
    return f'<div class="plots">{"".join(figures)}</div>' + (
        f"<p>{more} more kernels are not drawn.</p>" if more else ""
    )


def _plot(kernel: str, rows: Sequence[TimingRow], lanes: Sequence[str]) -> str:
    shapes = list(dict.fromkeys(row.shape for row in rows))
    rows = sorted(rows, key=lambda row: shapes.index(row.shape))  # what devices take for the same is side by side
    more = len(rows) - plots.MOST_ROWS
    note = f" (the first {plots.MOST_ROWS} of {len(rows)} timings)" if more > 0 else ""
    return figure(kernel + note, plots.distributions(kernel, rows, lanes))


def _lanes(rows: Sequence[TimingRow]) -> list[str]:
    return list(dict.fromkeys(row.lane for row in rows))
