"""What was counted while a kernel was timed: a processor's events, and the stretches of an OpenCL launch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Counters:
    """What all threads did for one call of a kernel, on average; None stands for what the device does not count.

    Attributes
    ----------
    cycles, instructions, cache_misses, branch_misses : float or None
        The processor's, outside of the system's kernel. The cache is the last one on x86, the first one on most Arm.
    task_clock : float or None
        Seconds on a core, added up over the threads.
    page_faults, context_switches : float or None
        The system's.
    """

    cycles: float | None = None
    instructions: float | None = None
    cache_misses: float | None = None
    branch_misses: float | None = None
    task_clock: float | None = None
    page_faults: float | None = None
    context_switches: float | None = None

    @classmethod
    def from_wire(cls, counts: Mapping[str, float]) -> Counters | None:
        """Read what the device counted; None where that is nothing."""
        known = {name: float(counts[name]) for name in cls.__dataclass_fields__ if name in counts}
        return cls(**known) if known else None

    @property
    def ipc(self) -> float | None:
        """Instructions a cycle, or None where either is not known."""
        if self.instructions is None or not self.cycles:
            return None
        return self.instructions / self.cycles


@dataclass(frozen=True)
class Events:
    """Where the time of an OpenCL launch went, in seconds per call, on average.

    Launches of a sample are enqueued together, so that `queue` and `submit` hold the wait for those before as well;
    with ``number=1`` they are those of a launch alone.

    Attributes
    ----------
    queue : float
        From the call of the driver until the driver gave the launch to the device.
    submit : float
        From then until it started.
    run : float
        From its start to its end, which is what a `Timing` has as its results.
    wall : float
        All of a sample by the clock of the CPU, from the first call of the driver to the last end.
    """

    queue: float
    submit: float
    run: float
    wall: float
