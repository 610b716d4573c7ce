"""The devices of a test run, and the sessions that are open with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from collections.abc import Iterable
from contextlib import ExitStack
from functools import cached_property
from typing import Final
from typing import TYPE_CHECKING

import pytest

from .config import DeviceConfig
from .config import Settings
from .errors import DeviceLost
from .errors import DeviceUnreachable
from .errors import XDeviceError
from .lanes import Lane
from .options import default_kind
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
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._sessions: dict[str, Session] = {}
        self._failures: dict[str, XDeviceError] = {}
        self._cache = ExitStack()
        self._progress = ProgressLine(config)

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

    def check_configuration(self) -> None:
        """Read the configuration, so that a mistake in it is told before anything else is done.

        Raises
        ------
        pytest.UsageError
            If there is a mistake.
        """
        _ = self.devices, self.settings, self.kind

    def lane_by_default(self) -> Lane:
        """Return the lane of a test that could not be parametrised, such as a method of a `unittest.TestCase`.

        Raises
        ------
        DeviceUnreachable
            If there are several devices, of which one would have to be chosen.
        """
        if len(self.devices) > 1:
            raise DeviceUnreachable(
                "this test cannot be run on each of several devices, since it asks for xdevice without naming it as "
                "an argument of a test function; do that, or give one --xdevice"
            )
        return Lane(self.devices[0], self.kind)

    def session(self, device: DeviceConfig, progress: Callable[[str], None] | None = None) -> Session:
        """Return the session with a device, opened when first asked for, and again when it was lost.

        Raises
        ------
        DeviceLost
            If the device was lost and could not be reached again, which is tried once for each loss.
        XDeviceError
            If it cannot be opened, which is tried once in a run.
        """
        if device.name in self._failures:
            raise self._failures[device.name]
        session = self._sessions.get(device.name)
        if session is not None and session.lost is not None:
            self._reconnect(device, session, session.lost, progress)
        if session is None:
            try:
                self._sessions[device.name] = self._open(device, progress)
            except XDeviceError as error:
                self._failures[device.name] = error
                raise
            self._config.hook.pytest_xdevice_connected(config=self._config, session=self._sessions[device.name])
        return self._sessions[device.name]

    def connect(self, lanes: Iterable[Lane], tell: Callable[[str], None]) -> None:
        """Open the sessions that `lanes` need and `tell` a line about each.

        Raises
        ------
        pytest.UsageError
            If a device cannot be used; the message names every one that cannot.
        """
        kinds: dict[DeviceConfig, set[Kind]] = {}
        for lane in lanes:
            kinds.setdefault(lane.device, set()).add(lane.kind)
        failures = []
        for device, wanted in kinds.items():
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
            while self._sessions:
                self._sessions.popitem()[1].close()

    def cannot_reach(self, device: DeviceConfig) -> bool:
        """Return whether no session with a device could be opened at all."""
        return device.name in self._failures and device.name not in self._sessions

    def _reconnect(
        self, device: DeviceConfig, session: Session, lost: DeviceLost, progress: Callable[[str], None] | None
    ) -> None:
        """Open a session again that was lost; where that fails give the device up, for the rest of the run."""
        began = time.monotonic()
        for pause in _PAUSES:
            time.sleep(pause)
            try:
                self._progress(f"xdevice {device.name}: lost; connecting again")
                session.reconnect(progress or self._progress)
            except XDeviceError as error:
                reason = error
            else:
                return
            finally:
                self._progress("")
            if time.monotonic() - began > _RECONNECT_SECONDS:
                break
        self._failures[device.name] = DeviceLost(
            f"lost ({_first_line(lost)}), and not reached again: {_first_line(reason)}"
        )
        raise self._failures[device.name]

    def _open(self, device: DeviceConfig, progress: Callable[[str], None] | None) -> Session:
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
        self._progress(f"xdevice {device.name}: connecting")
        try:
            session = Session.open(
                device, self.settings, progress=self._clearing_first(progress), translate=self._translate
            )
        finally:
            self._progress("")
        session.progress = self._progress
        return session

    def _clearing_first(self, tell: Callable[[str], None] | None) -> Callable[[str], None]:
        """Return `tell` for lines of its own, before which the progress line goes; without it, what shows that one."""
        if tell is None:
            return self._progress

        def tell_alone(text: str) -> None:
            self._progress("")
            tell(text)

        return tell_alone

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


def _first_line(error: XDeviceError) -> str:
    return str(error).partition("\n")[0]


def _connected_lines(session: Session, with_opencl: bool) -> list[str]:
    from .report.device import device_line
    from .report.device import opencl_line

    return [device_line(session), *([opencl_line(session)] if with_opencl else [])]
