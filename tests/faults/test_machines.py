"""A machine that loses packets, freezes and thaws, or loses its power while kernels run on it, by each way to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_xdevice import DeviceLost
from tests.faults.matrix import add
from tests.faults.matrix import Fault
from tests.faults.matrix import FAULTS
from tests.faults.matrix import inject
from tests.faults.matrix import launch
from tests.faults.matrix import LIMIT
from tests.faults.matrix import ways_to
from tests.harness.far_machine import FarMachine

NOISE = 1.5  # seconds that a busy machine may add


@pytest.mark.parametrize("fault", ["frozen", "power cut"])
def test_a_machine_that_says_nothing_more(fault: str, machine: FarMachine, tmp_path: Path) -> None:
    with ways_to(machine, tmp_path) as sessions:
        for seen in inject(FAULTS[fault], machine, sessions, launch).values():
            assert isinstance(seen.error, DeviceLost)
            assert seen.seconds < LIMIT + NOISE
            assert seen.again is None  # where it can be mended


def test_a_link_that_loses_every_tenth_packet_is_but_slow(machine: FarMachine, tmp_path: Path) -> None:
    fault = Fault(lambda lossy: lossy.lose_every(10), FarMachine.lose_nothing)
    # TCP waits longer before each attempt: four losses in a row are 3 s, and after 8 s the device gives up.
    with ways_to(machine, tmp_path, timeout=30.0) as sessions:
        for seen in inject(fault, machine, sessions, add).values():
            assert seen.error is None
            assert seen.again is None
