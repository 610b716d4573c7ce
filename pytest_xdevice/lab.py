"""The devices of a test run, and the sessions that are open with them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from collections.abc import Iterable
from contextlib import ExitStack
from contextlib import suppress
from functools import cached_property
from typing import Final
from typing import TYPE_CHECKING

import pytest

from .config import DeviceConfig
from .config import Settings
from .errors import DeviceBusy
from .errors import DeviceLost
from .errors import DeviceUnreachable
from .errors import KernelTimeout
from .errors import RemoteFunctionTimeout
from .errors import XDeviceError
from .fleet.claims import Claims
from .fleet.claims import is_leased
from .fleet.health import Health
from .fleet.run_folder import run_folder
from .fleet.turns import Turns
from .lanes import Lane
from .lanes import OpenLane
from .options import default_kind
from .options import Distribution
from .options import distribution
from .options import Kind
from .options import read_devices
from .options import read_settings
from .report.progress import ProgressLine

if TYPE_CHECKING:
    from .artifact import KernelSource
    from .remote import Session

LAB: pytest.StashKey[Lab] = pytest.StashKey()
_PAUSES: Final = (0.0, 0.5, 1.0, 2.0)  # seconds before each attempt to reach a device again: a server may be starting
_RECONNECT_SECONDS: Final = 10.0  # no attempt begins later than that


class Lab:
    """The devices of one pytest process. A session is opened once a device, when first needed.

    Parameters
    ----------
    config : pytest.Config

    Attributes
    ----------
    turns : Turns
        What gives each test its device.
    waited : dict of str to float
        By the name of a device, the seconds until it was free and a session was open.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._sessions: dict[str, Session] = {}  # also those that were given back: what is known of a device stays so
        self._held: set[str] = set()
        self._failures: dict[str, XDeviceError] = {}
        self._cache = ExitStack()
        self._progress = ProgressLine(config)
        self._claims = Claims(run_folder(config))
        self.turns = Turns(self, _worker_number(config))
        self.waited: dict[str, float] = {}

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

    def session(self, device: DeviceConfig, progress: Callable[[str], None] | None = None) -> Session:
        """Return the session with a device, opened when first asked for, and again when it was lost; wait for it.

        Raises
        ------
        DeviceLost
            If the device was lost and could not be reached again, or is quarantined.
        XDeviceError
            If it cannot be opened, which is tried once in a run.
        """
        return self._at_hand(device) or self._take(device, self.settings.lease_timeout, progress)

    def session_if_free(self, device: DeviceConfig) -> Session | None:
        """Return the session with a device, as `session` does, or None if another process of this run has the device.

        Raises
        ------
        DeviceBusy
            If somebody else has it.
        XDeviceError
            As of `session`.
        """
        if session := self._at_hand(device):
            return session
        return self._take(device, 0.0) if self._claims.take(device, wait=False) else None

    def known_session(self, lane: Lane) -> Session | None:
        """Return the session that tells what the device of a lane has, open or not, where that is known."""
        session = self._sessions.get(lane.device.name)
        return session if session is not None and (lane.kind == "cpu" or session.knows_opencl) else None

    def holds(self, device: DeviceConfig) -> bool:
        """Return whether this process has a session with a device, be it lost."""
        return device.name in self._held

    def failure(self, device: DeviceConfig) -> XDeviceError | None:
        """Return why a device is out of reach for the rest of the run, as far as this process knows."""
        return self._failures.get(device.name)

    def quarantine(self, device: DeviceConfig) -> str:
        """Return that reason as a sentence on the device, which a run without it goes on with."""
        return self._claims.health(device).quarantine

    def give_back(self, device: DeviceConfig) -> None:
        """Let others have a device, which a later test may ask for again."""
        if device.name in self._held:
            self._held.remove(device.name)
            with suppress(OSError):  # it may be lost
                self._sessions[device.name].close()
        self._claims.give_back(device)

    def show(self, text: str) -> None:
        """Show on a terminal what this process waits for; an empty text takes that away."""
        self._progress(text)

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
                session = self.session(device, tell)
                lines = _connected_lines(session, "opencl" in wanted)
            except XDeviceError as error:
                failures.append(f"xdevice {device.say(error)}")
                continue
            for line in lines:
                tell(line)
        if failures:
            raise pytest.UsageError("\n".join(failures))

    def close(self) -> None:
        """Close every session."""
        with self._cache:
            for device in self.devices if self._held else ():
                self.give_back(device)
            self._sessions.clear()

    def cannot_reach(self, device: DeviceConfig) -> bool:
        """Return whether no session with a device could be opened at all."""
        return device.name in self._failures and not self._claims.health(device).was_reached

    @property
    def reached_none(self) -> bool:
        """Whether no session could be opened with any device."""
        return all(self.cannot_reach(device) for device in self.devices)

    def judge(self, device: DeviceConfig, error: BaseException | None, *, passed: bool) -> None:
        """Take into account how a test on a device came out."""
        health = self._claims.health(device)
        if isinstance(error, (KernelTimeout, RemoteFunctionTimeout)):
            self._note(device, health.timed_out(_first_line(error)))
        elif passed and health.late:
            self._note(device, health.worked())

    def _any_lane(self, lane: OpenLane) -> Lane:
        try:
            return self.turns.take_any(lane)
        except XDeviceError as error:
            raise pytest.UsageError(f"xdevice {str(error).removeprefix('xdevice ')}") from None

    def _at_hand(self, device: DeviceConfig) -> Session | None:
        """Return the session that this process has with a device, if that works."""
        if device.name in self._failures:
            self.give_back(device)
            raise self._failures[device.name]
        session = self._sessions[device.name] if device.name in self._held else None
        return session if session is not None and session.lost is None else None

    def _take(self, device: DeviceConfig, seconds: float, progress: Callable[[str], None] | None = None) -> Session:
        """Claim a device, wait for its lease, for `seconds` at most, and open a session with it."""
        began = time.monotonic()
        try:
            self._claims.take(device, wait=True)
            session = self._start(device, seconds, progress or self._progress)
        except DeviceBusy as busy:
            if seconds:
                self._give_up(device, busy)
            self.give_back(device)
            raise
        except XDeviceError as error:
            self._give_up(device, error)
            self.give_back(device)
            raise self._failures[device.name] from None
        finally:
            self._progress("")
            self.waited[device.name] = self.waited.get(device.name, 0.0) + time.monotonic() - began
        self._held.add(device.name)
        self._note(device, self._claims.health(device).reached())
        return session

    def _start(self, device: DeviceConfig, seconds: float, progress: Callable[[str], None]) -> Session:
        """Open a session with a device that this process has claimed: the first one, or another."""
        health = self._claims.health(device)
        if health.quarantine:  # as another process of this run found out
            raise (DeviceLost if health.was_reached else DeviceUnreachable)(health.quarantine)
        session = self._sessions.get(device.name)
        if session is None:
            session = self._sessions[device.name] = self._first_session(device, seconds, progress)
            self._config.hook.pytest_xdevice_connected(config=self._config, session=session)
        elif device.name in self._held:
            self._reconnect(device, session, progress)
        else:
            session.reconnect(progress, seconds)
        return session

    def _first_session(self, device: DeviceConfig, seconds: float, progress: Callable[[str], None]) -> Session:
        """Open a session with a device, unless it is one that this process has already, under another name."""
        if self._held and is_leased(device):
            from .transport.lease import own_name

            try:
                return self._open(device, 0.0, progress)
            except DeviceBusy as busy:
                if busy.holder.startswith(own_name()):
                    others = ", ".join(sorted(self._held))
                    raise DeviceUnreachable(
                        f"this run itself has that device, as one of {others}, and it runs one session at a time: "
                        "leave out one of the two"
                    ) from None
                if not seconds:
                    raise
        return self._open(device, seconds, progress)

    def _give_up(self, device: DeviceConfig, error: XDeviceError) -> None:
        """Leave a device out of the rest of the run."""
        health = self._claims.health(device)
        if not health.was_reached:
            self._failures[device.name] = error
        self._note(device, health if health.quarantine else health.quarantined(_first_line(error)))

    def _note(self, device: DeviceConfig, health: Health) -> None:
        self._claims.note(device, health)
        if health.quarantine:
            self._failures.setdefault(device.name, DeviceLost(health.quarantine))

    def _reconnect(self, device: DeviceConfig, session: Session, progress: Callable[[str], None]) -> None:
        """Open a session again that was lost.

        Raises
        ------
        DeviceLost
            If it was lost too often, or cannot be opened.
        """
        lost = _first_line(session.lost or DeviceLost("it was closed"))
        health = self._claims.health(device).lost(lost)
        self._note(device, health)
        if health.quarantine:
            raise DeviceLost(health.quarantine)
        began = time.monotonic()
        for pause in _PAUSES:
            time.sleep(pause)
            try:
                self._progress(f"xdevice {device.name}: lost; connecting again")
                session.reconnect(progress)
            except XDeviceError as error:
                reason = error
            else:
                return
            finally:
                self._progress("")
            if time.monotonic() - began > _RECONNECT_SECONDS:
                break
        raise DeviceLost(f"lost ({lost}), and not reached again: {_first_line(reason)}")

    def _open(self, device: DeviceConfig, seconds: float, progress: Callable[[str], None]) -> Session:
        from .toolchain import llvm

        llvm.shared().warm_up()  # it is ready by the time that modules are imported and the device has answered
        try:
            from .remote import Session
        except ImportError as error:
            advice = f"; install it with: python -m pip install {error.name}" if error.name else ""
            raise DeviceUnreachable(
                f"what connects to devices cannot be imported on this host: {error}{advice}"
            ) from error
        if not self._sessions:
            self._use_own_cache()
        session = Session.open(device, self.settings, progress=progress, translate=self._translate, seconds=seconds)
        session.progress = self._progress
        return session

    def _translate(self, kernel: object) -> KernelSource | None:
        """Ask plugins for a kernel of what a test gave instead of one."""
        made: KernelSource | None = self._config.hook.pytest_xdevice_compile(config=self._config, kernel=kernel)
        return made

    def _use_own_cache(self) -> None:
        """Keep what is compiled below pytest's cache directory; without that plugin, below the user's."""
        from .compile import use_cache

        cache = getattr(self._config, "cache", None)
        if cache is not None:
            self._cache.enter_context(use_cache(cache.mkdir("xdevice")))


def _worker_number(config: pytest.Config) -> int:
    """Return which of xdist's workers this process is; 0 for one that is none."""
    found = re.search(r"\d+", getattr(config, "workerinput", {}).get("workerid", ""))
    return int(found[0]) if found else 0


def _first_line(error: XDeviceError) -> str:
    return str(error).partition("\n")[0]


def _connected_lines(session: Session, with_opencl: bool) -> list[str]:
    from .report.device import device_line
    from .report.device import opencl_line

    return [device_line(session), *([opencl_line(session)] if with_opencl else [])]
