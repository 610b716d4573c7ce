"""Figures of an earlier run in a file, and whether those of this run are slower than them."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import Final
from typing import Literal

from .errors import ConfigError
from .timing import format_seconds
from .timing import Timing

FORMAT: Final = "pytest-xdevice baseline"
VERSION: Final = 1
Finding = Literal["as before", "slower", "faster", "new", "elsewhere", "unusable"]


@dataclass(frozen=True)
class Figure:
    """A measurement with what it is of.

    Attributes
    ----------
    kernel : str
    arguments : tuple of str
        In words, ``"a: float32[1024]"``.
    threads : int
    processor : str
        What it was taken on.
    key : str
        What stands for the kernel's code.
    timing : Timing
    """

    kernel: str
    arguments: tuple[str, ...]
    threads: int
    processor: str
    key: str
    timing: Timing

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Figure:
        """Read one, from a file or from a test's properties, which say more.

        Raises
        ------
        KeyError, TypeError, ValueError
            If it is none.
        """
        return cls(
            kernel=str(data["kernel"]),
            arguments=tuple(str(argument) for argument in data["arguments"]),
            threads=int(data["threads"]),
            processor=str(data["processor"]),
            key=str(data["key"]),
            timing=Timing(tuple(float(seconds) for seconds in data["results"]), int(data["number"])),
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "kernel": self.kernel,
            "arguments": list(self.arguments),
            "threads": self.threads,
            "processor": self.processor,
            "key": self.key,
            "number": self.timing.number,
            "results": list(self.timing.results),
        }

    @property
    def is_time(self) -> bool:
        """Whether its results are times: finite, and none below 0."""
        return all(map(_is_time, self.timing.results))

    def is_like(self, other: Figure) -> bool:
        """Whether both are of the same call, whatever the kernel's code."""
        return (self.kernel, self.arguments, self.threads) == (other.kernel, other.arguments, other.threads)


@dataclass(frozen=True)
class Verdict:
    """What comparing one figure found.

    Attributes
    ----------
    finding : str
    message : str
        A sentence.
    ratio : float or None
        How many times as long as before a call takes, by the medians, where that can be said.
    before : float or None
        The baseline's median, in seconds per call, where it can be compared with.
    """

    finding: Finding
    message: str
    ratio: float | None = None
    before: float | None = None


@dataclass
class Baseline:
    """Figures by test.

    Attributes
    ----------
    figures : dict of str to list of Figure
        By the test's id, in the order in which they were taken.
    """

    figures: dict[str, list[Figure]] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str) -> Baseline:
        """Read the contents of a file.

        Raises
        ------
        ConfigError
            If they are none of a baseline; it says what is wrong.
        """
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise ValueError(f"its format is {data['format']!r}")
            if data["version"] != VERSION:
                raise ConfigError(f"it is of version {data['version']}, and this is version {VERSION}")
            tests = data["figures"].items()
            return cls({str(test): [_stored(figure) for figure in found] for test, found in tests})
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
            raise ConfigError(f"it is no baseline, or a broken one ({type(error).__name__}: {error})") from None

    def to_text(self) -> str:
        """Return what a file of it contains."""
        tests = {test: [figure.to_json() for figure in found] for test, found in sorted(self.figures.items())}
        return json.dumps({"format": FORMAT, "version": VERSION, "figures": tests}, indent=1) + "\n"

    def compare(self, test: str, figures: Sequence[Figure], threshold: float) -> list[Verdict]:
        """Return a verdict on each of a test's figures; repetitions of one call are compared in their order."""
        left = list(self.figures.get(test, ()))
        verdicts = []
        for figure in figures:
            before = next((stored for stored in left if stored.is_like(figure)), None)
            if before is not None:
                left.remove(before)
            verdicts.append(judge(figure, before, threshold))
        return verdicts

    def add(self, test: str, figures: Iterable[Figure]) -> None:
        """Add figures of a test after those it has."""
        self.figures.setdefault(test, []).extend(figures)

    def save(self, path: Path) -> None:
        """Write a file, all of it or nothing.

        Raises
        ------
        OSError
            If that cannot be done.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(self.to_text())
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def judge(now: Figure, before: Figure | None, threshold: float) -> Verdict:
    """Compare a figure with an earlier one.

    A call is slower when its median and its minimum are both greater by more than `threshold` (a machine that does
    other things as well raises the median, seldom the minimum), and its first quartile is greater than the third that
    there was, so that the samples lie apart. It is faster when that is true the other way round.

    Parameters
    ----------
    now : Figure
    before : Figure or None
    threshold : float
        0.1 for 10 %.
    """
    what = f"{now.kernel}({', '.join(now.arguments)})"
    if not now.is_time:
        return Verdict("unusable", f"{what} has results that are no times: {_first_bad(now.timing)!r} s a call")
    took = format_seconds(now.timing.median)
    if before is None:
        return Verdict("new", f"{what} takes {took}; the baseline does not have it")
    if before.processor != now.processor:
        return Verdict("elsewhere", f"{what} was timed on {before.processor}, and this is {now.processor}")
    ratio = now.timing.median / before.timing.median if before.timing.median > 0 else None
    changed = "; the kernel's code is another one" if before.key != now.key else ""
    finding: Finding = "as before"
    if _is_slower(now.timing, before.timing, threshold):
        finding = "slower"
    elif _is_slower(before.timing, now.timing, threshold):
        finding = "faster"
    times = f", {ratio:.2f} times the {format_seconds(before.timing.median)} of the baseline" if ratio else ""
    message = f"{what} takes {took}{times} (medians{_noise(now.timing, before.timing)}){changed}"
    return Verdict(finding, message, ratio, before.timing.median)


def _is_slower(now: Timing, before: Timing, threshold: float) -> bool:
    factor = 1 + threshold
    beyond = now.median > factor * before.median and now.min > factor * before.min
    return beyond and now.quartiles[0] > before.quartiles[1]


def _first_bad(timing: Timing) -> float:
    return next(seconds for seconds in timing.results if not _is_time(seconds))


def _is_time(seconds: float) -> bool:
    return 0 <= seconds < math.inf


def _noise(now: Timing, before: Timing) -> str:
    """Say how far the samples of both lie apart, where there is more than one."""
    if now.repeat < 2 or before.repeat < 2:
        return ""
    ranges = [" to ".join(format_seconds(quartile) for quartile in timing.quartiles) for timing in (now, before)]
    return f"; half of the samples within {ranges[0]}, and before within {ranges[1]}"


def _stored(data: Mapping[str, Any]) -> Figure:
    """Read a figure of a file, with which nothing could be compared if it were no time."""
    figure = Figure.from_json(data)
    if not figure.is_time:
        raise ValueError(f"results of {figure.kernel} that are no times")
    return figure
