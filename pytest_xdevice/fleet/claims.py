"""Which process of a run uses which device, where pytest-xdist has several, and how the devices have fared.

The lease of a device is the device's own affair. The processes of one run take turns here before they ask for it: one
that waits needs no connection and has no time limit, and what one has found out about a device holds for all. A device
has a file in a folder of the run, which the process that uses it keeps locked: the kernel lets go of the lock when the
process dies, however it does.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from ..config import DeviceConfig
from ..transport.spec import parse
from .health import Health

_MOST_BYTES = 1 << 16  # of what is written on a device


class Claims:
    """The devices that this process uses, of those that the processes of its run share.

    Parameters
    ----------
    folder : Path or None
        The run's; None where no other process takes part in it.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._files: dict[str, int] = {}
        self._health: dict[str, Health] = {}

    def take(self, device: DeviceConfig, *, wait: bool) -> bool:
        """Claim a device; return whether this process has it, which it always does at last if it is to `wait`."""
        if self._folder is None or device.name in self._files or not is_leased(device):
            return True
        descriptor = os.open(self._folder / _file_name(device), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:  # an interrupt
            os.close(descriptor)
            raise
        self._files[device.name] = descriptor
        self._health[device.name] = Health.from_text(os.pread(descriptor, _MOST_BYTES, 0).decode())
        return True

    def give_back(self, device: DeviceConfig) -> None:
        """Let another process have a device."""
        descriptor = self._files.pop(device.name, None)
        if descriptor is not None:
            os.close(descriptor)

    def health(self, device: DeviceConfig) -> Health:
        """Return how a device has fared, as far as this process knows: fully, while it has it."""
        return self._health.get(device.name, Health())

    def note(self, device: DeviceConfig, health: Health) -> None:
        """Keep how a device has fared, for the others of this run too while this process has it."""
        self._health[device.name] = health
        descriptor = self._files.get(device.name)
        if descriptor is not None:
            text = health.to_text().encode()[:_MOST_BYTES]
            os.pwrite(descriptor, text, 0)
            os.ftruncate(descriptor, len(text))


def is_leased(device: DeviceConfig) -> bool:
    """Return whether a device has one session at a time; this machine itself is there for all."""
    return parse(device.address).kind != "local"


def _file_name(device: DeviceConfig) -> str:
    return hashlib.sha256(device.address.encode()).hexdigest()[:32]
