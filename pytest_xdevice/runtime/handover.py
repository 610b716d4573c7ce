"""Passing an open connection from one process to another, over a Unix socket."""

from __future__ import annotations

import array
import socket


def send_socket(channel: socket.socket, passed: socket.socket) -> None:
    """Pass a connection on; the receiver gets a descriptor of its own."""
    descriptors = array.array("i", [passed.fileno()])
    channel.sendmsg([b"s"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])


def receive_socket(channel: socket.socket) -> socket.socket:
    """Receive a connection that `send_socket` passed on.

    Raises
    ------
    EOFError
        If the other end is gone, or sent something else.
    """
    descriptors = array.array("i")
    size = descriptors.itemsize
    _, ancillary, _, _ = channel.recvmsg(1, socket.CMSG_LEN(size))
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(data[:size])
    if not descriptors:
        raise EOFError("no connection was passed on")
    return socket.socket(fileno=descriptors[0])
