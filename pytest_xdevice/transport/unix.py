"""Streams to workers over Unix sockets: those of this machine, and those that ssh forwards."""

from __future__ import annotations

import socket

from ..errors import DeviceLost


def connect(path: str) -> socket.socket:
    """Connect to a Unix socket.

    Raises
    ------
    DeviceLost
        If nobody listens there any more.
    """
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
    except OSError as error:
        sock.close()
        raise DeviceLost(f"cannot open a stream to the worker: {error}") from None
    return sock
