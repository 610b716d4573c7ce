"""Says at the start of a distributed run how many workers there are for how many devices."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from .claims import is_leased

if TYPE_CHECKING:
    from ..lab import Lab


class CrewLine:
    """Tells of workers that will have to wait.

    Parameters
    ----------
    lab : Lab
        Has the devices of the run.
    tell : callable
        Writes a line to the terminal.
    """

    def __init__(self, lab: Lab, tell: Callable[[str], None]) -> None:
        self._lab = lab
        self._tell = tell

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: Sequence[object]) -> None:
        """Say so where there are more workers than devices, of which each has one session at a time."""
        devices = self._lab.devices
        if len(specs) > len(devices) and all(map(is_leased, devices)):
            plural = "" if len(devices) == 1 else "s"
            self._tell(
                f"xdevice: {len(specs)} workers for {len(devices)} device{plural}: a device has one worker at a time, "
                f"the others wait for their turn (-n {len(devices)} starts no more than there are devices)"
            )
