"""Draws where in an array the errors of a failed comparison are."""

from __future__ import annotations

from typing import Any
from typing import Final

import numpy as np

from .picture import Picture
from .svg import are_far_apart
from .svg import draw

_ENDLESS: Final = "#029e73"  # of the palette of `svg`: green is not on the way from plasma's blue to its yellow


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
    is_plane = len(picture.shape) > 1

    def paint(figure: Any, axes: Any) -> None:
        _draw_cells(figure, axes, picture)
        axes.set_xlim(-0.5, picture.shape[-1] - 0.5)
        if is_plane:
            axes.set_ylim(picture.shape[-2] - 0.5, -0.5)
            axes.set_ylabel("last index but one")
        else:
            axes.set_yticks([])
        axes.set_xlabel("last index" if is_plane else "index")

    return draw(name, f"Where the errors of {name} are", (6.4, 3.6 if is_plane else 1.7), paint)


def _draw_cells(figure: Any, axes: Any, picture: Picture) -> None:
    from matplotlib.colors import ListedColormap
    from matplotlib.ticker import MaxNLocator

    errors = np.array(picture.errors, np.float64)  # None becomes NaN, which is drawn as nothing
    endless = np.ma.masked_where((np.array(picture.counts) == 0) | np.isfinite(errors), np.ones(errors.shape))
    height, width = (size * count for size, count in zip(picture.block, errors.shape, strict=True))
    place: Any = {"aspect": "auto", "interpolation": "nearest", "extent": (-0.5, width - 0.5, height - 0.5, -0.5)}
    if np.isfinite(errors).any():
        drawn = axes.imshow(errors, cmap="plasma", norm=_scale_of(errors[np.isfinite(errors)]), **place)
        bar = figure.colorbar(drawn, label="largest error", location="right" if len(picture.shape) > 1 else "bottom")
        bar.minorticks_off()
    axes.imshow(endless, cmap=ListedColormap([_ENDLESS]), **place)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _scale_of(errors: Any) -> Any:
    from matplotlib.colors import LogNorm
    from matplotlib.colors import Normalize

    least, most = float(errors.min()), float(errors.max())
    return LogNorm(least, most) if are_far_apart([least, most]) else Normalize(0, most)
