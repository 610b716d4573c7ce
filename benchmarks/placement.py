"""Which CPUs host and device run on. On one machine the scheduler's choice alone changes a round trip fivefold."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Placement:
    """The CPUs of the two ends."""

    name: str
    host: frozenset[int]
    device: frozenset[int]

    @contextmanager
    def of_device(self) -> Iterator[None]:
        """Have processes that are started in the block run where the device belongs."""
        with _affinity(self.device):
            yield

    @contextmanager
    def of_host(self) -> Iterator[None]:
        """Have this thread, and those that it starts, run where the host belongs."""
        with _affinity(self.host):
            yield


def placements() -> list[Placement]:
    """Return the placements that this machine has: unpinned, both ends on one CPU, and each on its own."""
    cpus = sorted(os.sched_getaffinity(0))
    every, first = frozenset(cpus), frozenset(cpus[:1])
    found = [Placement("unpinned", every, every), Placement("on one CPU", first, first)]
    return found if len(cpus) == 1 else [*found, Placement("split on two CPUs", first, frozenset(cpus[1:2]))]


@contextmanager
def _affinity(cpus: frozenset[int]) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
