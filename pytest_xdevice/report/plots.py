"""Plots of timings and of mismatches as inline SVG, by matplotlib, which the extra ``report`` brings."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any
from typing import Final

import numpy as np

from .figures import TimingRow
from .picture import Picture

# Stands in the figure for the colour of the page's text, which is another one in the dark.
_TEXT: Final = "#010203"
# Seaborn's "colorblind" palette, from Wong, "Points of view: Color blindness", Nature Methods 8, 441 (2011).
_COLOURS: Final = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#949494", "#56b4e9")
_ENDLESS: Final = "#029e73"  # of that palette: green is not on the way from plasma's blue to its yellow
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
    with matplotlib.rc_context(_options(kernel)):
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
        return _svg(figure, f"Distribution of the times of {kernel}")


def mismatches(picture: Picture, name: str) -> str:
    """Return a heat map of where in an array the errors are.

    Parameters
    ----------
    picture : Picture
    name : str
        Of the test.

    Returns
    -------
    str
        An ``<svg>`` element: a cell's colour is its largest error, on a logarithmic scale where errors are far apart,
        and cells in which NaN or infinity alone mismatch have a colour of their own.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    errors = np.array(picture.errors, np.float64)  # None becomes NaN, which is drawn as nothing
    is_plane = len(picture.shape) > 1
    endless = np.ma.masked_where((np.array(picture.counts) == 0) | np.isfinite(errors), np.ones(errors.shape))
    with matplotlib.rc_context(_options(name)):
        figure = Figure(figsize=(6.4, 3.6 if is_plane else 1.7), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        place: Any = {"aspect": "auto", "interpolation": "nearest"}
        height, width = (size * count for size, count in zip(picture.block, errors.shape, strict=True))
        place["extent"] = (-0.5, width - 0.5, height - 0.5, -0.5)
        if np.isfinite(errors).any():
            drawn = axes.imshow(errors, cmap="plasma", norm=_scale_of(errors[np.isfinite(errors)]), **place)
            bar = figure.colorbar(drawn, label="largest error", location="right" if is_plane else "bottom")
            bar.minorticks_off()
        axes.imshow(endless, cmap=ListedColormap([_ENDLESS]), **place)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(-0.5, picture.shape[-1] - 0.5)
        if is_plane:
            axes.set_ylim(picture.shape[-2] - 0.5, -0.5)
            axes.set_ylabel("last index but one")
        else:
            axes.set_yticks([])
        axes.set_xlabel("last index" if is_plane else "index")
        return _svg(figure, f"Where the errors of {name} are")


def _scale_of(errors: Any) -> Any:
    from matplotlib.colors import LogNorm
    from matplotlib.colors import Normalize

    least, most = float(errors.min()), float(errors.max())
    return LogNorm(least, most) if _is_wide([least, most]) else Normalize(0, most)


def _options(salt: str) -> Any:
    """Return matplotlib's settings; the salt makes what is drawn twice the same."""
    coloured = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return {"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 9, **dict.fromkeys(coloured, _TEXT)}


def _svg(figure: Any, label: str) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), label)


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
