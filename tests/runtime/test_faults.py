"""What the session makes of the report that a crashed worker leaves."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from pytest_xdevice.runtime import faults

TOP = 0x7FFD_8000_0000  # where the first thread's stack ends
FIRST, OTHER = TOP - (7 << 20), 0x7F40_0000_0000  # stack pointers in it, and in a thread's


def place_of(address: int, stack: int) -> Any:
    """Return where a read of `address` was, as the session is told."""
    header = faults._HEADER.pack(signal.SIGSEGV, 1, address, stack, faults.READ, 0, TOP, 0)
    reader, writer = os.pipe()
    with open(reader, "rb") as pipe:
        os.write(writer, header)
        os.close(writer)
        report = faults.read_report(pipe.fileno())
    assert report is not None
    return report["place"]


@pytest.mark.parametrize(
    ("address", "stack", "place"),
    [
        (FIRST - 8, FIRST, "stack"),
        (FIRST + (1 << 20), FIRST, "stack"),  # into a large local array
        (OTHER - 8, OTHER, "stack"),
        (OTHER + (1 << 20), OTHER, "elsewhere"),  # an array's memory may be above a thread's stack
        (TOP - (1 << 30), OTHER, "elsewhere"),
        (OTHER, FIRST, "elsewhere"),
    ],
)
def test_a_stack_is_told_from_other_memory_in_every_thread(address: int, stack: int, place: str) -> None:
    assert place_of(address, stack) == place
