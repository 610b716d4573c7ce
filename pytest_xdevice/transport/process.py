"""The device behind a command: this machine itself, or a chroot, a container, an adb shell."""

from __future__ import annotations

import contextlib
import shlex
import socket
import sys

from . import gateway
from . import lease
from . import unix
from .control import Control
from .lease import Applicant
from .lease import Occupancy
from .protocol import StreamWay
from .spec import Spec


class ProcessTransport:
    """Starts a Python by a command; nothing but its standard streams need get through.

    On this machine itself ("local") a stream is a Unix socket; behind a command it is carried over the one pipe.
    """

    def __init__(self, spec: Spec, applicant: Applicant) -> None:
        self._applicant = applicant
        self._spec = spec
        self._control: Control | None = None
        self.stream_way: StreamWay = "unix" if spec.kind == "local" else "relay"

    def open(self) -> Control:
        """Start the command and a session in the Python that it runs; this machine itself is there for all."""
        control = self._start()
        if self._spec.kind != "local":
            try:
                lease.take(control, self._applicant, self._label)
            except BaseException:
                self.close()
                raise
        return control

    @property
    def _label(self) -> str:
        return "local" if self._spec.kind == "local" else f"exec:{shlex.join(self._spec.command)}"

    def _start(self) -> Control:
        # Here it is known what the Python is: one that need not look for packages, of which a session uses none.
        command = [*(self._spec.command or (sys.executable, "-S")), "-u", "-c", gateway.BOOT_LINE]
        self._control = gateway.over_process(command, label=self._label, beats=self._spec.kind != "local")
        return self._control

    def stream(self, path: str) -> socket.socket:
        """Connect to a worker's Unix socket."""
        return unix.connect(path)

    def who(self) -> Occupancy | None:
        """Start a session beside the one that holds the device, and ask it."""
        if self._spec.kind == "local":
            return None
        with contextlib.closing(self):
            return lease.look(self._start())

    def release(self) -> str | None:
        """Start a session beside the one that holds the device, and have it end that one."""
        if self._spec.kind == "local":
            return None
        with contextlib.closing(self):
            return lease.seize(self._start())

    def close(self) -> None:
        """End the session and the command."""
        if self._control is not None:
            self._control.close()
