"""How a TCP connection is set up, on both ends: small frames at once, and a dead peer noticed."""

from __future__ import annotations

import socket

# A peer that is gone is noticed within about 8 s, whether this end is sending (milliseconds) or only waiting (seconds).
_KEEPALIVE = (("TCP_KEEPIDLE", 3), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 5), ("TCP_USER_TIMEOUT", 8000))


def tune(connection: socket.socket) -> None:
    """Set the options of a connected TCP socket, as far as the system has them."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
