"""What a transport is: a way to get a Python on the device, and a stream to its workers."""

from __future__ import annotations

import socket
from typing import Literal
from typing import Protocol
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .control import Control
    from .lease import Occupancy

StreamWay = Literal["unix", "passed", "relay"]


class Transport(Protocol):
    """One connection to one device.

    Attributes
    ----------
    stream_way : {"unix", "passed", "relay"}
        How a worker gets its stream: it is connected to at a Unix socket on the device, the device server passes a
        connection on, or it is carried inside the control connection.
    """

    stream_way: StreamWay

    def open(self) -> Control:
        """Wait for the device to be free, and start the session process on it.

        Raises
        ------
        DeviceUnreachable, AuthenticationError
            With what was tried and what to do.
        """
        ...

    def stream(self, path: str) -> socket.socket:
        """Open a stream to a worker; `path` is its Unix socket on the device where `stream_way` is "unix"."""
        ...

    def who(self) -> Occupancy | None:
        """Return who holds the device, without waiting for it; None where it is leased to nobody, as this machine."""
        ...

    def release(self) -> str | None:
        """End the session that holds the device; return whose it was, None where there is none."""
        ...

    def close(self) -> None:
        """End the session process and everything that was started for it here."""
        ...
