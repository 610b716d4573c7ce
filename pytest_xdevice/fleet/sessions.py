"""The sessions of one pytest process: opened when first needed, again when lost, given back for others to have."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from contextlib import suppress
from pathlib import Path
from typing import Final
from typing import TYPE_CHECKING

import pytest

from ..config import DeviceConfig
from ..config import Settings
from ..errors import DeviceBusy
from ..errors import DeviceLost
from ..errors import DeviceUnreachable
from ..errors import KernelTimeout
from ..errors import RemoteFunctionTimeout
from ..errors import XDeviceError
from ..lanes import Lane
from ..report.progress import ProgressLine
from .claims import Claims
from .claims import is_leased
from .health import Health
from .run_folder import run_folder

if TYPE_CHECKING:
    from ..artifact import KernelSource
    from ..remote import Session

_PAUSES: Final = (0.0, 0.5, 1.0, 2.0)  # seconds before each attempt to reach a device again: a server may be starting
_RECONNECT_SECONDS: Final = 10.0  # no attempt begins later than that


class Sessions:
    """The sessions with devices that this process has, and what it knows of those that it had.

    Parameters
    ----------
    config : pytest.Config
    settings : callable
        Returns what the options say for all devices.

    Attributes
    ----------
    show : ProgressLine
        Shows on a terminal what takes long.
    waited : dict of str to float
        By the name of a device, the seconds until it was free and a session was open.
    """

    def __init__(self, config: pytest.Config, settings: Callable[[], Settings]) -> None:
        self._config = config
        self._settings = settings
        self._known: dict[str, Session] = {}  # also those that were given back: what is known of a device stays so
        self._held: dict[str, DeviceConfig] = {}
        self._failures: dict[str, XDeviceError] = {}
        self._cache = ExitStack()
        self._claims = Claims(run_folder(config))
        self.show = ProgressLine(config)
        self.waited: dict[str, float] = {}

    def take(self, device: DeviceConfig, progress: Callable[[str], None] | None = None) -> Session:
        """Return the session with a device, opened when first asked for, and again when it was lost; wait for it.

        Raises
        ------
        DeviceLost
            If the device was lost and could not be reached again, or is quarantined.
        XDeviceError
            If it cannot be opened, which is tried once in a run.
        """
        return self._at_hand(device) or self._take(device, self._settings().lease_timeout, progress)

    def take_if_free(self, device: DeviceConfig) -> Session | None:
        """Return the session with a device, as `take` does, or None if another process of this run has the device.

        Raises
        ------
        DeviceBusy
            If somebody else has it.
        XDeviceError
            As of `take`.
        """
        if session := self._at_hand(device):
            return session
        return self._take(device, 0.0) if self._claims.take(device, wait=False) else None

    def known(self, lane: Lane) -> Session | None:
        """Return the session that tells what the device of a lane has, open or not, where that is known."""
        session = self._known.get(lane.device.name)
        return session if session is not None and (lane.kind == "cpu" or session.knows_opencl) else None

    def holds(self, device: DeviceConfig) -> bool:
        """Return whether this process has a session with a device, be it lost."""
        return device.name in self._held

    def works(self, device: DeviceConfig) -> bool:
        """Return whether this process has a session with a device that is in use, as far as it knows."""
        return device.name in self._held and device.name not in self._failures and self._known[device.name].lost is None

    def failure(self, device: DeviceConfig) -> XDeviceError | None:
        """Return why a device is out of reach for the rest of the run, as far as this process knows."""
        return self._failures.get(device.name)

    def quarantine(self, device: DeviceConfig) -> str:
        """Return that reason as a sentence on the device, which a run without it goes on with."""
        return self._claims.health(device).quarantine

    def give_back(self, device: DeviceConfig) -> None:
        """Let others have a device, which a later test may ask for again."""
        if self._held.pop(device.name, None) is not None:
            with suppress(OSError):  # it may be lost
                self._known[device.name].close()
        self._claims.give_back(device)

    def note_wait(self, device: DeviceConfig, seconds: float) -> None:
        """Count time that was spent to get a device."""
        self.waited[device.name] = self.waited.get(device.name, 0.0) + seconds

    @property
    def held(self) -> list[DeviceConfig]:
        """The devices that this process has."""
        return list(self._held.values())

    @property
    def leased(self) -> list[DeviceConfig]:
        """The leased devices that this process has."""
        return [device for device in self._held.values() if is_leased(device)]

    def close(self) -> None:
        """Close every session."""
        with self._cache:
            for device in list(self._held.values()):
                self.give_back(device)
            self._known.clear()

    def cannot_reach(self, device: DeviceConfig) -> bool:
        """Return whether no session with a device could be opened at all."""
        return device.name in self._failures and not self._claims.health(device).was_reached

    def judge(self, device: DeviceConfig, error: BaseException | None, *, passed: bool) -> None:
        """Take into account how a test on a device came out."""
        health = self._claims.health(device)
        if isinstance(error, (KernelTimeout, RemoteFunctionTimeout)):
            self._note(device, health.timed_out(_first_line(error)))
        elif passed and health.late:
            self._note(device, health.worked())

    def _at_hand(self, device: DeviceConfig) -> Session | None:
        """Return the session that this process has with a device, if that works."""
        if device.name in self._failures:
            self.give_back(device)
            raise self._failures[device.name]
        session = self._known[device.name] if device.name in self._held else None
        return session if session is not None and session.lost is None else None

    def _take(self, device: DeviceConfig, seconds: float, progress: Callable[[str], None] | None = None) -> Session:
        """Claim a device, wait for its lease, for `seconds` at most, and open a session with it."""
        began = time.monotonic()
        try:
            self._claims.take(device, wait=True)
            session = self._start(device, seconds, progress or self.show)
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
            self.show("")
            self.note_wait(device, time.monotonic() - began)
        self._held[device.name] = device
        self._note(device, self._claims.health(device).reached())
        return session

    def _start(self, device: DeviceConfig, seconds: float, progress: Callable[[str], None]) -> Session:
        """Open a session with a device that this process has claimed: the first one, or another."""
        health = self._claims.health(device)
        if health.quarantine:  # as another process of this run found out
            raise (DeviceLost if health.was_reached else DeviceUnreachable)(health.quarantine)
        session = self._known.get(device.name)
        if session is None:
            session = self._known[device.name] = self._first_session(device, seconds, progress)
            self._config.hook.pytest_xdevice_connected(config=self._config, session=session)
        elif device.name in self._held:
            self._reconnect(device, session, progress)
        else:
            session.reconnect(progress, seconds)
        return session

    def _first_session(self, device: DeviceConfig, seconds: float, progress: Callable[[str], None]) -> Session:
        """Open a session with a device, unless it is one that this process has already, under another name."""
        if self._held and is_leased(device):
            from ..transport.lease import own_name

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
                self.show(f"xdevice {device.name}: lost; connecting again")
                session.reconnect(progress)
            except XDeviceError as error:
                reason = error
            else:
                return
            finally:
                self.show("")
            if time.monotonic() - began > _RECONNECT_SECONDS:
                break
        raise DeviceLost(f"lost ({lost}), and not reached again: {_first_line(reason)}")

    def _open(self, device: DeviceConfig, seconds: float, progress: Callable[[str], None]) -> Session:
        self._warm_up()
        try:
            from ..remote import Session
        except ImportError as error:
            advice = f"; install it with: python -m pip install {error.name}" if error.name else ""
            raise DeviceUnreachable(
                f"what connects to devices cannot be imported on this host: {error}{advice}"
            ) from error
        if not self._known:
            self._use_own_cache()
        self.show(f"xdevice {device.name}: connecting")
        try:
            session = Session.open(
                device,
                self._settings(),
                progress=self._clearing_first(progress),
                translate=self._translate,
                seconds=seconds,
            )
        finally:
            self.show("")
        session.progress = self.show
        return session

    def _clearing_first(self, tell: Callable[[str], None]) -> Callable[[str], None]:
        """Return `tell`, before whose lines the progress line goes."""

        def tell_alone(text: str) -> None:
            self.show("")
            tell(text)

        return tell_alone

    def _translate(self, kernel: object) -> KernelSource | None:
        """Ask plugins for a kernel of what a test gave instead of one."""
        made: KernelSource | None = self._config.hook.pytest_xdevice_compile(config=self._config, kernel=kernel)
        return made

    def _warm_up(self) -> None:
        """Have LLVM ready by the time that modules are imported and the device has answered.

        Not in one of several processes that find kernels compiled: together they would start it for nothing.
        """
        from ..toolchain import llvm
        from ..toolchain.cache import default_directory

        if hasattr(self._config, "workerinput") and any((self._own_cache() or default_directory()).glob("*")):
            return
        llvm.shared().warm_up()

    def _own_cache(self) -> Path | None:
        """Return where what is compiled is kept below pytest's cache directory; None without that plugin."""
        cache = getattr(self._config, "cache", None)
        return None if cache is None else Path(cache.mkdir("xdevice"))

    def _use_own_cache(self) -> None:
        """Keep what is compiled below pytest's cache directory; without that plugin, below the user's."""
        from ..compile import use_cache

        own = self._own_cache()
        if own is not None:
            self._cache.enter_context(use_cache(own))


def _first_line(error: XDeviceError) -> str:
    return str(error).partition("\n")[0]
