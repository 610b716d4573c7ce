"""execnet's message stream over a connected socket, for both ends of a gateway.

execnet's own socket class writes without a lock, so that two threads can interleave two messages, and reports
the end of a stream without words. This module is shipped as source to the device: it must stand alone.
"""

from __future__ import annotations

import socket
import threading
from typing import Any


class SocketIO:
    """The IO object that an execnet gateway reads from and writes to."""

    def __init__(self, sock: socket.socket, execmodel: Any) -> None:
        self.sock = sock
        self.execmodel = execmodel
        self._write_lock = threading.Lock()

    def read(self, numbytes: int) -> bytes:
        """Read exactly `numbytes` bytes.

        Raises
        ------
        EOFError
            With a message, if the stream ends or breaks before.
        """
        data = bytearray(numbytes)
        view, done = memoryview(data), 0
        while done < numbytes:
            try:
                received = self.sock.recv_into(view[done:])
            except OSError as error:
                raise EOFError(f"the control connection broke: {error}") from None
            if not received:
                raise EOFError(f"the control connection was closed: {done} bytes came of {numbytes}")
            done += received
        return bytes(data)

    def write(self, data: bytes) -> None:
        """Write all of `data`, whole even when several threads write."""
        with self._write_lock:
            self.sock.sendall(data)

    def close_read(self) -> None:
        """Stop receiving; a blocked `read` ends."""
        self._shutdown(socket.SHUT_RD)

    def close_write(self) -> None:
        """Stop sending; the other end sees the end of the stream."""
        self._shutdown(socket.SHUT_WR)

    def wait(self) -> None:
        """Do nothing: there is no process to wait for."""

    def kill(self) -> None:
        """Break the connection at once."""
        self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        try:
            self.sock.shutdown(how)
        except OSError:
            return  # it is down already
