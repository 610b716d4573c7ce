"""Plots of timings: how samples are distributed, and what became of them since a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from typing import Final

import numpy as np

from .figures import Change
from .figures import TimingRow
from .svg import are_far_apart
from .svg import draw
from .svg import lane_colour
from .svg import short
from .svg import TEXT

MOST_ROWS: Final = 36
_MOST_POINTS: Final = 200
# Of the page's style, in the light and in the dark; what is as before has the colour of the text.
_FINDINGS: Final = {"slower": "#d55e00", "faster": "#029e73"}


def distributions(kernel: str, rows: Sequence[TimingRow], lanes: Sequence[str]) -> str:
    """Return a plot of all samples of a kernel's timings: a line each, coloured by device, the median marked.

    Parameters
    ----------
    kernel : str
    rows : sequence of TimingRow
        At least one; those beyond `MOST_ROWS` are left out.
    lanes : sequence of str
        All that the report shows, so that a device has the same colour in each plot.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    rows = rows[:MOST_ROWS]

    def paint(figure: Any, axes: Any) -> None:
        from matplotlib.ticker import EngFormatter

        for position, row in enumerate(rows):
            _draw_row(axes, position, row, lane_colour(row.lane, lanes))
        _label_rows(axes, [f"{row.shape} {row.lane}".strip() for row in rows])
        if are_far_apart([value for row in rows for value in (row.least, row.most)]):
            axes.set_xscale("log")
        else:
            axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(EngFormatter("s"))  # a new scale brings one of its own
        axes.set_xlabel("time per call")

    return draw(kernel, f"Distribution of the times of {kernel}", _size(len(rows)), paint)


def changes(found: Sequence[Change]) -> str:
    """Return a plot of how many times as long as in the baseline calls take: the medians, and half of the samples.

    Parameters
    ----------
    found : sequence of Change
        At least one, each with a ratio; those beyond `MOST_ROWS` are left out.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    found = found[:MOST_ROWS]

    def paint(figure: Any, axes: Any) -> None:
        from matplotlib.ticker import FuncFormatter
        from matplotlib.ticker import NullFormatter

        axes.axvline(1, color=TEXT, linewidth=1)
        for position, change in enumerate(found):
            colour = _FINDINGS.get(change.finding, TEXT)
            axes.plot(change.spread, [position] * 2, color=colour, linewidth=5, alpha=0.45)
            axes.plot([change.ratio], [position], "o", color=colour, markersize=5)
        _label_rows(axes, [f"{change.row.kernel} {change.row.shape}, {change.row.lane}" for change in found])
        if are_far_apart([change.ratio or 1 for change in found]):
            axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("times as long as in the baseline")

    return draw("baseline", "How times changed since the baseline", _size(len(found)), paint)


def _size(rows: int) -> tuple[float, float]:
    return 6.4, 0.75 + 0.3 * rows


def _label_rows(axes: Any, labels: Sequence[str]) -> None:
    """Give each row its label, the first one at the top."""
    axes.set_yticks(range(len(labels)), [short(label) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.margins(x=0.05)
    axes.grid(axis="x", color=TEXT, alpha=0.15)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _draw_row(axes: Any, position: int, row: TimingRow, colour: str) -> None:
    """Draw the samples as points, apart by a fixed pattern, and the median as a stroke."""
    step = max(1, len(row.samples) // _MOST_POINTS)
    samples = [value for value in row.samples[::step] if np.isfinite(value)]
    spread = (np.arange(len(samples)) * 0.618034) % 1 - 0.5  # the golden ratio spreads evenly for any number
    axes.plot(samples, position + 0.5 * spread, "o", color=colour, alpha=0.45, markersize=3, markeredgewidth=0)
    axes.plot([row.median] * 2, [position - 0.36, position + 0.36], color=colour, linewidth=2)
