"""The devices of a test run: which there are, and what connects tests to them."""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

from .config import DeviceConfig
from .errors import XDeviceError
from .fleet.sessions import Sessions
from .fleet.turns import Turns
from .lanes import Lane
from .lanes import OpenLane
from .options import Kind
from .run_options import RunOptions

if TYPE_CHECKING:
    from .remote import Session

LAB: pytest.StashKey[Lab] = pytest.StashKey()


class Lab(RunOptions):
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
        super().__init__(config)
        self.sessions = Sessions(config, lambda: self.settings)
        self.turns = Turns(self, self.sessions, _worker_number(config))

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
