"""Waiting for a device to be free, seeing who has it, and taking it from them, whatever the way to it."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from ..errors import DeviceBusy

if TYPE_CHECKING:
    from .control import Control

_LOOK_SECONDS: Final = 0.1
_FORCE_SECONDS: Final = 10.0


def own_name() -> str:
    """Return what others are told of a session of this process."""
    return f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()})"


@dataclass(frozen=True)
class Applicant:
    """Who wants a device, and how long they wait for it.

    Attributes
    ----------
    seconds : float
        It may be infinite; 0 takes the device only if it is free at this moment.
    progress : callable
        Told, in a few words, what is being waited for.
    name : str
        What others are told.
    identity : str
        The same for each connection of one session, so that a new one may take the place of a lost one.
    """

    seconds: float
    progress: Callable[[str], None]
    name: str = field(default_factory=own_name)
    identity: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def waits(self) -> bool:
        """Whether they get in line for a device that is not free."""
        return self.seconds > 0

    def wait(self, label: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Ask, which may take about a second, until the device is granted; return that answer.

        Raises
        ------
        DeviceBusy
            If that takes too long.
        """
        began, told = time.monotonic(), ""
        while True:
            answer = ask()
            if answer.get("state") == "granted":
                return answer
            since = _clock(answer.get("held", 0.0))
            holder = f"{answer.get('holder')} since {since}"
            if not self.waits:
                raise DeviceBusy(f"{label}: not free: {holder} holds it", holder=str(answer.get("holder")))
            if time.monotonic() - began > self.seconds:
                raise DeviceBusy(
                    f"{label}: not free within {self.seconds:g} s: {holder} holds it. Wait longer with "
                    "--xdevice-lease-timeout; `xdevice who` tells who has it, `xdevice release --force` takes it away",
                    holder=str(answer.get("holder")),
                )
            said = f"{holder} ({answer.get('ahead')} ahead)"
            if said.split(" since ")[0] + said[-10:] != told:
                told = said.split(" since ")[0] + said[-10:]
                self.progress(f"{label}: waiting for the device, which {said.replace(' since', ' holds since')}")


@dataclass(frozen=True)
class Occupancy:
    """Who has a device.

    Attributes
    ----------
    holder : str or None
    held : float
        For how many seconds.
    waiting : tuple of str
        Who is next, in order.
    """

    holder: str | None
    held: float
    waiting: tuple[str, ...]

    @classmethod
    def from_wire(cls, answer: dict[str, Any]) -> Occupancy:
        """Make one of what a server or a session answered."""
        return cls(answer["holder"], float(answer["held"]), tuple(answer["waiting"]))

    def lines(self) -> list[str]:
        """Return it in words."""
        if self.holder is None:
            return ["free"]
        return [f"held by {self.holder} since {_clock(self.held)}", *(f"waiting: {name}" for name in self.waiting)]


def take(control: Control, applicant: Applicant, label: str) -> None:
    """Wait for the lease that the device itself keeps, where it has no server."""

    def ask() -> dict[str, Any]:
        answer: dict[str, Any] = control.request("lease", applicant.name, applicant.identity)
        if answer["state"] != "granted":
            time.sleep(_LOOK_SECONDS)
        return answer

    applicant.wait(label, ask)


def look(control: Control) -> Occupancy:
    """Return who holds the lease that the device itself keeps."""
    return Occupancy.from_wire(control.request("who"))


def seize(control: Control) -> str | None:
    """End the session that holds that lease; return whose it was."""
    holder: str | None = control.request("release", timeout=_FORCE_SECONDS)
    return holder


def _clock(held: float) -> str:
    """Return when something began, by this machine's clock: a device's may be wrong."""
    began = time.localtime(time.time() - held)
    return time.strftime("%H:%M:%S" if held < 12 * 3600 else "%Y-%m-%d %H:%M", began)
