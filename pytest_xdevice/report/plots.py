"""Plots of timings as inline SVG, by matplotlib, which the extra ``report`` brings."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any
from typing import Final

import numpy as np

from .figures import TimingRow

# Stands in the figure for the colour of the page's text, which is another one in the dark.
_TEXT: Final = "#010203"
# Seaborn's "colorblind" palette, from Wong, "Points of view: Color blindness", Nature Methods 8, 441 (2011).
_COLOURS: Final = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#949494", "#56b4e9")
MOST_ROWS: Final = 24
_MOST_POINTS: Final = 200
_WIDE: Final = 30  # times the shortest


def is_there() -> bool:
    """Return whether matplotlib can be imported."""
    import importlib.util

    return importlib.util.find_spec("matplotlib") is not None


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
        An ``<svg>`` element whose text takes the page's colour.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    rows = rows[:MOST_ROWS]
    options: Any = {"svg.fonttype": "none", "svg.hashsalt": kernel, "font.size": 9, "text.color": _TEXT}
    options |= {"axes.edgecolor": _TEXT, "axes.labelcolor": _TEXT, "xtick.color": _TEXT, "ytick.color": _TEXT}
    with matplotlib.rc_context(options):
        figure = Figure(figsize=(6.4, 0.75 + 0.3 * len(rows)), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for position, row in enumerate(rows):
            _draw_row(axes, position, row, _COLOURS[lanes.index(row.lane) % len(_COLOURS)])
        axes.set_yticks(range(len(rows)), [f"{row.lane} {row.shape}" for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.margins(x=0.05)
        if _is_wide([row.median for row in rows]):
            axes.set_xscale("log")
        else:
            axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(EngFormatter("s"))  # a new scale brings one of its own
        axes.grid(axis="x", color=_TEXT, alpha=0.15)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("time per call")
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), f"Distribution of the times of {kernel}")


def _is_wide(medians: Sequence[float]) -> bool:
    """Return whether times are so far apart that a linear axis would show the short ones as one point."""
    return min(medians) > 0 and max(medians) > _WIDE * min(medians)


def _draw_row(axes: Any, position: int, row: TimingRow, colour: str) -> None:
    """Draw the samples as points, apart by a fixed pattern, and the median as a stroke."""
    step = max(1, len(row.samples) // _MOST_POINTS)
    samples = [value for value in row.samples[::step] if np.isfinite(value)]
    spread = (np.arange(len(samples)) * 0.618034) % 1 - 0.5  # the golden ratio spreads evenly for any number
    axes.plot(samples, position + 0.5 * spread, "o", color=colour, alpha=0.45, markersize=3, markeredgewidth=0)
    axes.plot([row.median] * 2, [position - 0.36, position + 0.36], color=colour, linewidth=2)


def _inline(svg: str, label: str) -> str:
    """Return a stand-alone SVG as an element of a page, as wide as it fits."""
    import html

    body = svg[svg.index("<svg") :].replace(_TEXT, "currentColor")
    size = re.search(r'<svg[^>]* width="([\d.]+)pt"', body)
    width = f"{float(size[1]) * 4 / 3:.0f}px" if size else "100%"
    head = f'<svg role="img" aria-label="{html.escape(label)}" style="width:100%;max-width:{width};height:auto"'
    body = re.sub(r' (?:width|height)="[\d.]+pt"', "", body, count=2)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return head + body[len("<svg") :]
