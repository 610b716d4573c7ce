"""The device behind a command: this machine itself, or a chroot, a container, an adb shell."""

from __future__ import annotations

import shlex
import socket
import sys

from . import gateway
from .gateway import Control
from .protocol import StreamWay
from .spec import Spec


class ProcessTransport:
    """Starts a Python by a command; nothing but its standard streams need get through.

    On this machine itself ("local") a stream is a Unix socket; behind a command it is carried over the one pipe.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._control: Control | None = None
        self.stream_way: StreamWay = "unix" if spec.kind == "local" else "relay"

    def open(self) -> Control:
        """Start the command and a session in the Python that it runs."""
        command = self._spec.command or (sys.executable,)
        label = "local" if self._spec.kind == "local" else f"exec:{shlex.join(command)}"
        self._control = gateway.over_process([*command, "-u", "-c", gateway.BOOT_LINE], label=label)
        return self._control

    def stream(self, path: str) -> socket.socket:
        """Connect to a worker's Unix socket."""
        return gateway.connect_unix(path)

    def close(self) -> None:
        """End the session and the command."""
        if self._control is not None:
            self._control.close()
