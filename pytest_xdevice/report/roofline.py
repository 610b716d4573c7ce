"""The roofline of a run: what kernels reach, against what memory and arithmetic of their device gave at most.

After Williams, Waterman and Patterson, "Roofline: an insightful visual performance model for multicore architectures",
Communications of the ACM 52(4), 2009. The roofs are not a data sheet's: they are the highest bandwidth and the highest
rate of operations that any kernel of the run reached on that device.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final

from .figures import TimingRow
from .svg import draw
from .svg import lane_colour
from .svg import short
from .svg import TEXT

_MOST_LABELS: Final = 16
_LEGEND_COLUMNS: Final = 3
_CLOSE: Final = 2.0  # times as much, on logarithmic axes


@dataclass(frozen=True)
class Point:
    """What one timing reached.

    Attributes
    ----------
    row : TimingRow
    intensity : float
        Operations a byte.
    flops : float
        Operations a second.
    """

    row: TimingRow
    intensity: float
    flops: float


@dataclass(frozen=True)
class Roof:
    """What a device gave at most in a run.

    Attributes
    ----------
    lane : str
    bandwidth : float
        Bytes a second.
    flops : float
        Operations a second.
    """

    lane: str
    bandwidth: float
    flops: float

    @property
    def ridge(self) -> float:
        """The intensity, in operations a byte, from which on arithmetic is the limit and no longer memory."""
        return self.flops / self.bandwidth

    def at(self, intensity: float) -> float:
        """Return the operations a second that the roof allows at an intensity."""
        return min(self.flops, self.bandwidth * intensity)


def points_of(rows: Sequence[TimingRow]) -> list[Point]:
    """Return a point for each timing whose operations and bytes are known, by its median."""
    return [
        Point(row, row.flops / row.bytes, row.flops / row.median)
        for row in rows
        if row.flops and row.bytes and 0 < row.median < math.inf
    ]


def roofs_of(rows: Sequence[TimingRow]) -> list[Roof]:
    """Return the roof of each device that has a point; its bandwidth may be that of a kernel that has none."""
    points = points_of(rows)
    roofs = []
    for lane in dict.fromkeys(point.row.lane for point in points):
        moved = [row.bytes / row.median for row in rows if row.lane == lane and row.bytes and 0 < row.median < math.inf]
        roofs.append(Roof(lane, max(moved), max(point.flops for point in points if point.row.lane == lane)))
    return roofs


def roofline(rows: Sequence[TimingRow], lanes: Sequence[str]) -> str:
    """Return a plot of operations a second over operations a byte, with each device's roof.

    Parameters
    ----------
    rows : sequence of TimingRow
        At least one of which has a point.
    lanes : sequence of str
        All that the report shows, so that a device has the same colour in each plot.

    Returns
    -------
    str
        An ``<svg>`` element.
    """
    points, roofs = points_of(rows), roofs_of(rows)

    def paint(figure: Any, axes: Any) -> None:
        axes.set_xscale("log")
        axes.set_yscale("log")
        for roof in roofs:
            xs = sorted((*_ends(points, roofs), roof.ridge))
            ys = [roof.at(x) / 1e9 for x in xs]
            axes.plot(xs, ys, color=lane_colour(roof.lane, lanes), linewidth=1.5, label=short(roof.lane))
        for point in points:
            colour = lane_colour(point.row.lane, lanes)
            axes.plot([point.intensity], [point.flops / 1e9], "o", color=colour, alpha=0.7, markersize=5)
        for x, y, text in _labels(points):
            axes.annotate(text, (x, y / 1e9), (4, -3), textcoords="offset points", va="top", fontsize=7.5)
        _finish(axes)
        # Above the axes, where no point or label is.
        title = "the most of this run"
        figure.legend(frameon=False, loc="outside upper left", ncols=_LEGEND_COLUMNS, title=title, alignment="left")

    lines = math.ceil(len(roofs) / _LEGEND_COLUMNS)
    return draw("roofline", "Roofline", (6.4, 3.8 + 0.2 * lines), paint)


def _ends(points: Sequence[Point], roofs: Sequence[Roof]) -> tuple[float, float]:
    """Return where roofs begin and end: beyond all points and ridges."""
    intensities = [*(point.intensity for point in points), *(roof.ridge for roof in roofs)]
    return min(intensities) / 2, max(intensities) * 4


def _labels(points: Sequence[Point]) -> Iterator[tuple[float, float, str]]:
    """Yield a label for each kernel, at its fastest point; the names of many would hide each other."""
    best: dict[tuple[str, str], Point] = {}
    for point in points:
        known = best.setdefault((point.row.kernel, point.row.lane), point)
        if point.flops > known.flops:
            best[point.row.kernel, point.row.lane] = point
    shown: list[Point] = []
    for point in sorted(best.values(), key=lambda point: -point.flops):
        if len(shown) < _MOST_LABELS and not any(_is_beside(point, other) for other in shown):
            shown.append(point)
            yield point.intensity, point.flops, short(point.row.kernel)


def _is_beside(point: Point, other: Point) -> bool:
    """Return whether a label of another point says the same at the same place, as of a kernel on devices of a kind."""
    ratios = point.intensity / other.intensity, point.flops / other.flops
    return point.row.kernel == other.row.kernel and all(1 / _CLOSE < ratio < _CLOSE for ratio in ratios)


def _finish(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter
    from matplotlib.ticker import NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.grid(color=TEXT, alpha=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("operations a byte")
    axes.set_ylabel("GFLOP/s")
