"""What a figure is, how it is sampled, and how figures are printed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    value: str
    peer: str = ""


def median_seconds(step: Callable[[], object], number: int) -> float:
    """Return the median duration of `step` in seconds."""
    return statistics.median(_samples(step, number))


def least_seconds(step: Callable[[], object], number: int) -> float:
    """Return the least duration of `step` in seconds: what it takes when nothing else is in the way."""
    return min(_samples(step, number))


def _samples(step: Callable[[], object], number: int) -> list[float]:
    samples = []
    for _ in range(number):
        start = time.perf_counter()
        step()
        samples.append(time.perf_counter() - start)
    return samples


def print_table(figures: Sequence[Figure]) -> None:
    """Print `figures`, one a line."""
    width = max(len(figure.what) for figure in figures)
    for figure in figures:
        print(f"{figure.what:<{width}}  {figure.value:<28}  {figure.peer}")
