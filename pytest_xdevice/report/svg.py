"""Draws with matplotlib, which the extra ``report`` brings, what a page shows as inline SVG in its own colours."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any
from typing import Final

# Stands in a figure for the colour of the page's text, which is another one in the dark.
TEXT: Final = "#010203"
# Seaborn's "colorblind" palette, from Wong, "Points of view: Color blindness", Nature Methods 8, 441 (2011).
COLOURS: Final = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#949494", "#56b4e9")
_WIDE: Final = 30  # times the shortest
_LONGEST: Final = 36  # characters; what is longer would leave no room for the figure


def is_there() -> bool:
    """Return whether matplotlib can be imported."""
    import importlib.util

    return importlib.util.find_spec("matplotlib") is not None


def draw(name: str, label: str, size: tuple[float, float], paint: Callable[[Any, Any], None]) -> str:
    """Return a figure with one pair of axes as an ``<svg>`` element whose text takes the page's colour.

    Parameters
    ----------
    name : str
        What makes the identifiers in it differ from another figure's, and be the same when it is drawn again.
    label : str
        What the figure shows, for who cannot see it.
    size : tuple of (float, float)
        Width and height in inches.
    paint : callable
        Draws into matplotlib's figure and axes.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    coloured = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    options: Any = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 9, **dict.fromkeys(coloured, TEXT)}
    # What matplotlib has to say, of a font that is missing for one, is no reason to fail a run in which warnings do.
    with matplotlib.rc_context(options), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure, figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue(), label)


def short(label: str) -> str:
    """Return a label, cut where it is long, and with no sign that matplotlib would take for a formula's."""
    shown = label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}…"
    return shown.replace("$", r"\$")


def are_far_apart(values: Sequence[float]) -> bool:
    """Return whether a linear axis would show the small ones of positive values as one point."""
    return min(values) > 0 and max(values) > _WIDE * min(values)


def lane_colour(lane: str, lanes: Sequence[str]) -> str:
    """Return the colour that a device has in each plot, by its place among all that a report shows."""
    return COLOURS[lanes.index(lane) % len(COLOURS)]


def _inline(svg: str, label: str) -> str:
    """Return a stand-alone SVG as an element of a page, as wide as it fits."""
    import html

    body = svg[svg.index("<svg") :].replace(TEXT, "currentColor")
    size = re.search(r'<svg[^>]* width="([\d.]+)pt"', body)
    width = f"{float(size[1]) * 4 / 3:.0f}px" if size else "100%"
    head = f'<svg role="img" aria-label="{html.escape(label)}" style="width:100%;max-width:{width};height:auto"'
    body = re.sub(r' (?:width|height)="[\d.]+pt"', "", body, count=2)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    return head + body[len("<svg") :]
