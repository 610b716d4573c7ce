"""Two kernels timed in turns: how many times as long as the other one takes, and how sure that is."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from .timing import format_seconds
from .timing import Timing

DEFAULT_SAMPLES = 101
_WANTED = 0.95


@dataclass(frozen=True)
class Comparison:
    """What timing two kernels in turns found. Each sample of one has a neighbour of the other, taken next to it.

    Attributes
    ----------
    names : tuple of (str, str)
        The kernels' names.
    first, second : Timing
        Their samples, as many of each.
    """

    names: tuple[str, str]
    first: Timing
    second: Timing

    @property
    def ratios(self) -> tuple[float, ...]:
        """How many times as long as the second the first took, pair by pair; NaN where that took no time."""
        pairs = zip(self.first.results, self.second.results, strict=True)
        return tuple(one / other if other > 0 else math.nan for one, other in pairs)

    @property
    def ratio(self) -> float:
        """How many times as long as the second the first takes: the median over the pairs. Below 1 it is faster."""
        return statistics.median(self.ratios) if self._is_measurable else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The interval in which `ratio` lies with the probability `confidence`."""
        if not self._is_measurable:
            return math.nan, math.nan
        rank, _ = median_ranks(len(self.ratios), _WANTED)
        ordered = sorted(self.ratios)
        return ordered[rank], ordered[-1 - rank]

    @property
    def confidence(self) -> float:
        """The probability for `interval`: 0.95 or a little more; less where there are fewer than 6 samples."""
        return median_ranks(len(self.ratios), _WANTED)[1]

    @property
    def differs(self) -> bool:
        """Whether one is faster than the other: 1 lies outside of an `interval` of at least 95 % confidence."""
        low, high = self.interval
        return self.confidence >= _WANTED and (low > 1 or high < 1)

    def __str__(self) -> str:
        one, other = self.names
        times = f"{format_seconds(self.first.median)} to {format_seconds(self.second.median)}"
        if not self._is_measurable:
            return f"{one} and {other} take no time that could be measured"
        low, high = self.interval
        pairs = "1 pair" if len(self.ratios) == 1 else f"{len(self.ratios)} pairs"
        verdict = "" if self.differs else "; no difference can be told"
        return (
            f"{one} takes {self.ratio:.3f} times as long as {other} ({low:.3f} to {high:.3f} with "
            f"{100 * self.confidence:.0f} % confidence, {pairs}; medians {times}{verdict})"
        )

    @property
    def _is_measurable(self) -> bool:
        return not any(math.isnan(ratio) for ratio in self.ratios)


def median_ranks(count: int, confidence: float) -> tuple[int, float]:
    """Return how far from either end of `count` ordered values their true median lies, and how probable that is.

    Whatever the values' distribution, the number of them below its median is binomial with p = 1/2, so that the
    interval from value k to value count - 1 - k misses the median with the probability 2 P(at most k below it).

    Parameters
    ----------
    count : int
        1 or more.
    confidence : float
        The probability wanted; where no interval reaches it, the widest one is taken.

    Returns
    -------
    tuple of (int, float)
        The rank k, 0 for the least value, and the interval's probability.
    """
    rank, outside, cases = 0, 2, 1 << count  # whole numbers: the powers of 1/2 are too small for floats
    best = 1 - outside / cases
    for k in range(1, (count - 1) // 2 + 1):
        outside += 2 * math.comb(count, k)
        if 1 - outside / cases < confidence:
            break
        rank, best = k, 1 - outside / cases
    return rank, best
