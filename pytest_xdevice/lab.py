"""The devices of a test run: which there are, and what connects tests to them."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

import pytest

from .config import DeviceConfig
from .config import Settings
from .errors import DeviceUnreachable
from .errors import XDeviceError
from .fleet.sessions import Sessions
from .fleet.turns import Turns
from .lanes import Lane
from .lanes import OpenLane
from .options import default_kind
from .options import Distribution
from .options import distribution
from .options import Kind
from .options import read_devices
from .options import read_settings

if TYPE_CHECKING:
    from .remote import Session

LAB: pytest.StashKey[Lab] = pytest.StashKey()


class Lab:
    """The devices of one pytest process.

    Parameters
    ----------
    config : pytest.Config

    Attributes
    ----------
    sessions : Sessions
        Those that this process has, and what it knows of devices.
    turns : Turns
        What gives each test its device.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.sessions = Sessions(config, lambda: self.settings)
        self.turns = Turns(self, _worker_number(config))

    @cached_property
    def devices(self) -> list[DeviceConfig]:
        """The configured devices, after the hook ``pytest_xdevice_devices`` has had its say.

        Raises
        ------
        pytest.UsageError
            If the configuration cannot be understood, or the hooks left no device.
        """
        devices = read_devices(self._config)
        self._config.hook.pytest_xdevice_devices(config=self._config, devices=devices)
        if not devices:
            raise pytest.UsageError("xdevice: pytest_xdevice_devices left no device to run on")
        return devices

    @cached_property
    def settings(self) -> Settings:
        """What the options say for all devices."""
        return read_settings(self._config)

    @cached_property
    def kind(self) -> Kind:
        """What a test without a marker runs on."""
        return default_kind(self._config)

    @cached_property
    def distribution(self) -> Distribution:
        """Whether a test runs on each device, or once, on one that is free."""
        return distribution(self._config)

    @property
    def takes_turns(self) -> bool:
        """Whether this process is to have one leased device at a time, since others may wait for what it has."""
        return self.distribution == "load" or hasattr(self._config, "workerinput")

    def check_configuration(self) -> None:
        """Read the configuration, so that a mistake in it is told before anything else is done.

        Raises
        ------
        pytest.UsageError
            If there is a mistake.
        """
        _ = self.devices, self.settings, self.kind, self.distribution

    def lane_by_default(self) -> Lane:
        """Return the lane of a test that could not be parametrised, such as a method of a `unittest.TestCase`.

        Raises
        ------
        DeviceUnreachable
            If there are several devices, of which one would have to be chosen.
        """
        if self.distribution == "load":
            return self.turns.take_any(OpenLane(self.kind))
        if len(self.devices) > 1:
            raise DeviceUnreachable(
                "this test cannot be run on each of several devices, since it asks for xdevice without naming it as "
                "an argument of a test function; do that, or give one --xdevice"
            )
        return Lane(self.devices[0], self.kind)

    def connect(self, lanes: Iterable[Lane | OpenLane], tell: Callable[[str], None]) -> None:
        """Open the sessions that `lanes` need, one of them where devices are chosen, and `tell` a line about each.

        Raises
        ------
        pytest.UsageError
            If a device cannot be used; the message names every one that cannot. Where devices are chosen, if none can.
        """
        kinds: dict[DeviceConfig, set[Kind]] = {}
        failures = []
        for lane in lanes:
            found = self._any_lane(lane) if isinstance(lane, OpenLane) else lane
            kinds.setdefault(found.device, set()).add(found.kind)
        # In one order, whoever names them: of two runs neither waits for the other then.
        for device, wanted in sorted(kinds.items(), key=lambda entry: entry[0].address):
            try:
                session = self.sessions.take(device, tell)
                lines = _connected_lines(session, "opencl" in wanted)
            except XDeviceError as error:
                failures.append(f"xdevice {device.say(error)}")
                continue
            for line in lines:
                tell(line)
        if failures:
            raise pytest.UsageError("\n".join(failures))

    @property
    def reached_none(self) -> bool:
        """Whether no session could be opened with any device."""
        return all(self.sessions.cannot_reach(device) for device in self.devices)

    def _any_lane(self, lane: OpenLane) -> Lane:
        try:
            return self.turns.take_any(lane)
        except XDeviceError as error:
            raise pytest.UsageError(f"xdevice {str(error).removeprefix('xdevice ')}") from None


def _worker_number(config: pytest.Config) -> int:
    """Return which of xdist's workers this process is; 0 for one that is none."""
    found = re.search(r"\d+", getattr(config, "workerinput", {}).get("workerid", ""))
    return int(found[0]) if found else 0


def _connected_lines(session: Session, with_opencl: bool) -> list[str]:
    from .report.device import device_line
    from .report.device import opencl_line

    return [device_line(session), *([opencl_line(session)] if with_opencl else [])]
