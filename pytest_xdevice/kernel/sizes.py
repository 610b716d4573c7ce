"""Sizes that a launch gives in one to three dimensions: of work-groups, and of what is launched."""

from __future__ import annotations

import operator
from typing import Any
from typing import Union

from ..errors import ArgumentError

Sizes = Union[int, "tuple[int, ...]", None]

_MOST_DIMENSIONS = 3


def read_sizes(name: str, given: Any, *, least: int = 1, most: int | None = None) -> tuple[int, ...] | None:
    """Return what was given for `name` as a tuple; None where nothing was.

    Raises
    ------
    ArgumentError
        If it is no integer from `least` to `most` of Python's or NumPy's, and no tuple of one to three of them.
    """
    if given is None:
        return None
    sizes = [_whole(size) for size in (given if isinstance(given, (tuple, list)) else (given,))]
    fitting = tuple(size for size in sizes if size is not None and size >= least and (most is None or size <= most))
    if len(fitting) < len(sizes) or not 1 <= len(sizes) <= _MOST_DIMENSIONS:
        what = "a positive integer" if least else "an integer of 0 or more"
        raise ArgumentError(f"{name} must be {what}, or a tuple of one to three of them; got {given!r}")
    return fitting


def _whole(given: Any) -> int | None:
    """Return an integer of Python's or NumPy's as Python's, and None for anything else."""
    try:
        return None if isinstance(given, bool) else operator.index(given)
    except TypeError:
        return None
