"""Whether the clock of an OpenCL device moves, told by the profiles of its events."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pytest_xdevice.runtime.opencl import _EventSampler


@pytest.mark.parametrize(
    ("profiles", "moves"),
    [
        ([(0, 0, 0, 0)], False),
        ([(5, 5, 5, 5), (5, 5, 5, 5)], False),
        ([(5, 6, 6, 6)], True),  # a launch that is shorter than a tick
        ([(5, 6, 7, 9)], True),
        ([], True),  # a launch over no element: nothing was enqueued
    ],
)
def test_a_clock_that_tells_of_no_time_at_all_stands_still(
    profiles: list[tuple[int, int, int, int]], moves: bool
) -> None:
    names = ("queued", "submit", "start", "end")
    events = [SimpleNamespace(profile=SimpleNamespace(**dict(zip(names, found, strict=True)))) for found in profiles]
    sampler = _EventSampler(10.0, lambda: events, lambda found: None)
    sampler(3)
    assert sampler.clock_moves is moves
