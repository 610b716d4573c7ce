"""Ends a session whose host vanished from the other end of ssh, without a word, with its machine or its network.

sshd keeps the session for as long as its own connection stands, which may be hours. But the host's ssh says something
every few seconds, and the kernel, which tells everyone (sock_diag), knows how long ago the connection last heard data
or an acknowledgement. That a host's process is stopped or computes without a pause does not matter: its ssh goes on.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from typing import NamedTuple
from typing import Optional

SILENT_SECONDS = 8.0  # as long as ssh itself waits for this end, and as a socket of our own does (tcp_options)
_LOOK_SECONDS = 1.0
_END_SECONDS = 2.0  # that this process may take to end its workers

# <linux/sock_diag.h>, <linux/inet_diag.h>, <linux/netlink.h>, <linux/tcp.h>
_NETLINK_SOCK_DIAG, _BY_FAMILY, _REQUEST = 4, 20, 1
_TCP_INFO = 2  # INET_DIAG_INFO
_ALL_STATES, _NO_COOKIE = 0xFFFFFFFF, 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # nlmsghdr
_ATTRIBUTE = struct.Struct("=HH")  # rtattr
_MESSAGE_BYTES = 72  # inet_diag_msg
_LAST_HEARD = struct.Struct("=II")  # tcpi_last_data_recv and tcpi_last_ack_recv, in milliseconds
_LAST_HEARD_AT = 52


class Connection(NamedTuple):
    """A TCP connection of this device, as the kernel is asked for it."""

    family: int
    address: bytes
    port: int
    peer_address: bytes
    peer_port: int
    interface: int


def end_when_silent() -> None:
    """Watch the connection that sshd started this process for, and end the process when nothing comes any more.

    Where sshd does not say which one that is, or the kernel does not tell of it, nothing is watched.
    """
    connection = ssh_connection(os.environ.get("SSH_CONNECTION", ""))
    if connection is not None and silence(connection) is not None:
        threading.Thread(target=_watch, args=(connection,), name="xdevice-ssh-peer", daemon=True).start()


def _watch(connection: Connection) -> None:
    # Where the kernel tells nothing any more the connection is closed, which sshd notices.
    while (silence(connection) or 0.0) < SILENT_SECONDS:
        time.sleep(_LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_END_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)  # stuck; its workers and its lease go with it


def ssh_connection(text: str) -> Optional[Connection]:
    """Read what sshd puts into SSH_CONNECTION, address and port of the host, then of this end; None if it is not."""
    words = text.split()
    if len(words) != 4:
        return None
    peer, peer_port, own, port = words
    peer, _, scope = peer.partition("%")
    own = own.partition("%")[0]
    family = socket.AF_INET6 if ":" in own else socket.AF_INET
    try:
        interface = socket.if_nametoindex(scope) if scope else 0
        return Connection(
            family, socket.inet_pton(family, own), int(port), socket.inet_pton(family, peer), int(peer_port), interface
        )
    except (OSError, ValueError):
        return None


def silence(connection: Connection) -> Optional[float]:
    """Return for how many seconds nothing has come over a connection; None where that is not to be had."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as diag:
            diag.settimeout(_LOOK_SECONDS)
            diag.send(_request(connection))
            answer = diag.recv(1 << 16)
    except (AttributeError, OSError):
        return None  # not Linux as we know it, or a kernel without
    length, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _BY_FAMILY:
        return None  # there is no such connection, or not in this namespace
    info = _attribute(answer[_HEADER.size + _MESSAGE_BYTES : length], _TCP_INFO)
    if len(info) < _LAST_HEARD_AT + _LAST_HEARD.size:
        return None
    milliseconds: int = min(_LAST_HEARD.unpack_from(info, _LAST_HEARD_AT))
    return milliseconds / 1000.0


def _request(connection: Connection) -> bytes:
    """Return the message that asks for one connection (inet_diag_req_v2)."""
    addresses = connection.address.ljust(16, b"\0") + connection.peer_address.ljust(16, b"\0")
    body = (
        struct.pack("=BBBBI", connection.family, socket.IPPROTO_TCP, 1 << (_TCP_INFO - 1), 0, _ALL_STATES)
        + struct.pack("!HH", connection.port, connection.peer_port)
        + addresses
        + struct.pack("=III", connection.interface, _NO_COOKIE, _NO_COOKIE)
    )
    return _HEADER.pack(_HEADER.size + len(body), _BY_FAMILY, _REQUEST, 0, 0) + body


def _attribute(data: bytes, wanted: int) -> bytes:
    """Return the attribute of one type, empty where it is missing."""
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if kind == wanted:
            return data[_ATTRIBUTE.size : length]
        data = data[max(_ATTRIBUTE.size, -(-length // 4) * 4) :]
    return b""
