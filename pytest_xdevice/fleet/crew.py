"""The workers of a distributed run: how many there are for how many devices, and who gets which tests."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pytest

from .claims import is_leased

if TYPE_CHECKING:
    from ..run_options import RunOptions


class Crew:
    """Tells of workers that will have to wait, and chooses how tests are shared out among them.

    Parameters
    ----------
    options : RunOptions
        Has the devices of the run.
    tell : callable
        Writes a line to the terminal.
    """

    def __init__(self, options: RunOptions, tell: Callable[[str], None]) -> None:
        self._options = options
        self._tell = tell

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: Sequence[object]) -> None:
        """Say so where there are more workers than devices, of which each has one session at a time."""
        devices = self._options.devices
        if len(specs) > len(devices) and all(map(is_leased, devices)):
            plural = "" if len(devices) == 1 else "s"
            self._tell(
                f"xdevice: {len(specs)} workers for {len(devices)} device{plural}: a device has one worker at a time, "
                f"the others wait for their turn (-n {len(devices)} starts no more than there are devices)"
            )

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> object | None:
        """Have a worker for each device, where every test runs on each and no other way is asked for."""
        leased = sum(map(is_leased, self._options.devices))
        if config.getoption("dist") != "load" or self._options.distribution != "each" or leased < 2:
            return None
        from .scheduling import DeviceScheduling

        return DeviceScheduling(config, log, self._options.devices)
