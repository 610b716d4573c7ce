"""What a test asks of a measurement: how many calls and samples, and what happens between them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import SupportsIndex

from .errors import ArgumentError

DEFAULT_SAMPLES: Final = 31
_MOST_CALLS: Final = 10**12  # of a kernel that does nothing these take longer than anybody waits
_MOST_SAMPLES: Final = 10**6  # each of them is kept, and written to reports
_MOST_REST: Final = 600.0  # seconds


@dataclass(frozen=True)
class Measurement:
    """A measurement to be made, with values that were looked at.

    Attributes
    ----------
    number : int or None
        Calls in a sample.
    repeat : int or None
        Samples.
    min_repeat_ms : float or None
        Milliseconds that a sample lasts at least.
    warmup : int
        Calls that come first and do not count.
    flush_cache : bool
        Whether the caches are emptied before each sample.
    cooldown : float
        Seconds of rest before each sample.
    flops, bytes : int or None
        Work of one call, where the caller knows it.
    most : int
        Samples where `repeat` is not given.
    """

    number: int | None = None
    repeat: int | None = None
    min_repeat_ms: float | None = None
    warmup: int = 1
    flush_cache: bool = False
    cooldown: float = 0.0
    flops: int | None = None
    bytes: int | None = None
    most: int = DEFAULT_SAMPLES

    @classmethod
    def read(
        cls,
        *,
        number: SupportsIndex | None = None,
        repeat: SupportsIndex | None = None,
        min_repeat_ms: float | None = None,
        warmup: SupportsIndex = 1,
        flush_cache: bool = False,
        cooldown: float = 0.0,
        flops: float | None = None,
        bytes: float | None = None,
        most: int = DEFAULT_SAMPLES,
        of: str = "time",
    ) -> Measurement:
        """Check what a test gave to the function `of`.

        Raises
        ------
        ArgumentError
            If a value cannot be meant; it says which, and what may be given.
        """
        __tracebackhide__ = True
        if flush_cache and min_repeat_ms is not None:
            raise ArgumentError(
                f"{of}: flush_cache measures calls that find nothing in the caches, one a sample; min_repeat_ms would "
                "have many follow each other: leave one of them out"
            )
        return cls(
            number=None if number is None else whole_count(f"{of}: number", number, _MOST_CALLS),
            repeat=None if repeat is None else whole_count(f"{of}: repeat", repeat, _MOST_SAMPLES),
            min_repeat_ms=_maybe(_positive, f"{of}: min_repeat_ms", min_repeat_ms),
            warmup=whole_count(f"{of}: warmup", warmup, _MOST_CALLS),
            flush_cache=bool(flush_cache),
            cooldown=_rest(f"{of}: cooldown", cooldown),
            flops=_maybe(_whole, f"{of}: flops", flops),
            bytes=_maybe(_whole, f"{of}: bytes", bytes),
            most=most,
        )

    @property
    def samples(self) -> int:
        """Samples at most."""
        return self.most if self.repeat is None else self.repeat

    def to_wire(self) -> dict[str, Any]:
        """Return what the device is told."""
        return {
            "number": self.number,
            "repeat": self.repeat,
            "most": self.most,
            "min_repeat_ms": self.min_repeat_ms,
            "warmup": self.warmup,
            "flush_cache": self.flush_cache,
            "cooldown": self.cooldown,
        }


def whole_count(what: str, value: Any, most: int = _MOST_SAMPLES) -> int:
    """Return how many of something are wanted.

    Parameters
    ----------
    what : str
        The function and its argument: ``"time: repeat"``.
    value : int or what can be an index
    most : int
        How many there may be.

    Raises
    ------
    ArgumentError
        If it is no whole number from 1 to `most`.
    """
    __tracebackhide__ = True
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if isinstance(value, bool) or count < 1:
        raise ArgumentError(f"{what} must be positive, a whole number of at least 1; got {value!r}")
    if count > most:
        raise ArgumentError(f"{what} must be at most {most}; got {value!r}")
    return count


def _maybe(check: Callable[[str, Any], Any], name: str, value: Any) -> Any:
    __tracebackhide__ = True
    return None if value is None else check(name, value)


def _positive(name: str, value: Any) -> float:
    __tracebackhide__ = True
    amount = _number(value)
    if not 0 < amount < math.inf:
        raise ArgumentError(f"{name} must be positive; got {value!r}")
    return amount


def _amount(name: str, value: Any) -> float:
    __tracebackhide__ = True
    amount = _number(value)
    if not 0 <= amount < math.inf:
        raise ArgumentError(f"{name} must be 0 or more, and finite; got {value!r}")
    return amount


def _rest(name: str, value: Any) -> float:
    """Return seconds, which nobody would wait for where they are many."""
    __tracebackhide__ = True
    seconds = _amount(name, value)
    if seconds > _MOST_REST:
        raise ArgumentError(f"{name} must be at most {_MOST_REST:g} s; got {value!r}")
    return seconds


def _whole(name: str, value: Any) -> int:
    """Return an amount of work, which may come as a float such as ``2e9``."""
    __tracebackhide__ = True
    return round(_amount(name, value))


def _number(value: Any) -> float:
    """Return a number as a float, or NaN for what is none."""
    try:
        return math.nan if isinstance(value, (bool, str)) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
