"""Takes timing samples: how many calls make one, how many are taken, and what happens before each."""

from __future__ import annotations

import select
import time
from typing import Any
from typing import Callable
from typing import Dict
from typing import List
from typing import Optional
from typing import Sequence
from typing import Tuple

from .launch import DeviceProblem

_SAMPLE_SECONDS = 0.0002  # short samples, interleaved with whatever else the machine does, repeat best
_TICKS = 100  # of the clock that a sample takes at least
_BUDGET = 2.0  # seconds after which the number of samples is cut
_MIN_SAMPLES = 5
_NOTHING_TO_MEASURE = 10_000  # calls that take no time at all: a launch over no element enqueues nothing

Sample = Callable[[int], float]


class Plan:
    """How a measurement is to be made, as it came over the wire.

    Attributes
    ----------
    number : int or None
        Calls in a sample; None lets it be found, so that a sample takes about 0.2 ms, or 100 ticks of the clock.
    repeat : int or None
        Samples; None takes `most`, fewer when they are long.
    most : int
        Samples where nobody says how many.
    min_repeat_ms : float or None
        Milliseconds that a sample must last at least; `number` is raised until it does.
    warmup : int
        Calls that come first and do not count, 1 or more: the first is made before a sample is taken.
    flush_cache : bool
        Whether each sample finds the caches without the kernel's data; `number` is then 1 unless it is given.
    cooldown : float
        Seconds of rest before each sample.
    """

    def __init__(self, plan: Dict[str, Any]) -> None:
        self.number: Optional[int] = plan["number"]
        self.repeat: Optional[int] = plan["repeat"]
        self.most: int = plan["most"]
        self.min_repeat_ms: Optional[float] = plan["min_repeat_ms"]
        self.warmup: int = plan["warmup"]
        self.flush_cache: bool = plan["flush_cache"]
        self.cooldown: float = plan["cooldown"]


def measure(
    samples: Sequence[Sample], plan: Plan, tick: float, flush: Callable[[], None]
) -> List[Tuple[int, List[float]]]:
    """Take timing samples of one thing, or of several in turns.

    Parameters
    ----------
    samples : sequence of callable
        Each runs its kernel that many times in a row and returns the seconds that took, on the device's clock. The
        kernel has run once, so that code and data have been brought in.
    plan : Plan
    tick : float
        Seconds that the clock can tell apart.
    flush : callable
        Evicts what the caches hold.

    Returns
    -------
    list of (int, list of float)
        For each of `samples` the number of calls in a sample, and seconds per call, one entry a sample.
    """
    if plan.warmup > 1:
        for sample in samples:
            sample(plan.warmup - 1)
    calibrated = [_calibrate(sample, plan, tick) for sample in samples]
    repeat = plan.repeat
    if repeat is None:
        lasts = sum(elapsed + plan.cooldown for _, elapsed in calibrated)
        repeat = min(plan.most, max(_MIN_SAMPLES, int(_BUDGET / max(lasts, 1e-9))))
    results: List[List[float]] = [[] for _ in samples]
    for _ in range(repeat):
        for sample, (number, _), taken in zip(samples, calibrated, results):
            if plan.cooldown:
                time.sleep(plan.cooldown)
            if plan.flush_cache:
                flush()
            taken.append(sample(number) / number)
    return [(number, taken) for (number, _), taken in zip(calibrated, results)]


def check_clock(figures: Sequence[Tuple[int, List[float]]], moves: Callable[[], bool]) -> None:
    """Refuse figures of a clock that goes back, or that shows no time at all and does not move either.

    Parameters
    ----------
    figures : sequence of (int, list of float)
        As `measure` returns them.
    moves : callable
        Looks whether the clock moves; asked where a figure is 0 throughout, as it rightly is of a call that does
        nothing.
    """
    for number, results in figures:
        if min(results) < 0:
            raise DeviceProblem(
                "Clock", f"the device's clock went back: {number} calls took {min(results) * number:g} s by it"
            )
        if not any(results) and not moves():
            raise DeviceProblem(
                "Clock",
                f"the device's clock stands still: {number * len(results)} calls took no time by it. Nothing can be "
                "timed there",
            )


def monotonic_moves() -> bool:
    """Return whether the clock that times kernels on a CPU moves while the system's timer lets some time pass."""
    before = time.monotonic_ns()
    # The coarsest clocks of Linux have ticks of 10 ms. time.sleep() would wait until that clock has moved.
    select.select([], [], [], 0.02)
    return time.monotonic_ns() != before


def _calibrate(sample: Sample, plan: Plan, tick: float) -> Tuple[int, float]:
    """Return how many calls a sample has, and the seconds that one took."""
    number, wanted = plan.number, (plan.min_repeat_ms or 0.0) / 1e3
    if number is None:
        number = 1
        if not plan.flush_cache:
            wanted = max(wanted, _SAMPLE_SECONDS, _TICKS * tick)
    elapsed = sample(number)
    while elapsed < wanted and (elapsed > 0 or number < _NOTHING_TO_MEASURE):
        number = max(number + 1, min(number * 10, int(number * 1.2 * wanted / max(elapsed, 1e-9))))
        elapsed = sample(number)
    return number, elapsed
