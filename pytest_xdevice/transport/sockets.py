"""What is done with sockets by every way to a device."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator


@contextlib.contextmanager
def closing_on_failure(sock: socket.socket) -> Iterator[None]:
    """Close a socket when the block fails."""
    try:
        yield
    except BaseException:
        sock.close()
        raise
