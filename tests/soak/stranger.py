"""A stranger who fails to authenticate at a server, again and again, in one way after another."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading

from pytest_xdevice.runtime import handshake


class Stranger(threading.Thread):
    """Fails at a server until it is stopped.

    Parameters
    ----------
    address : str
        ``HOST:PORT``.
    rate : float
        Attempts a second.
    """

    def __init__(self, address: str, rate: float = 10.0) -> None:
        super().__init__(daemon=True)
        self._address = handshake.split_address(address)
        self._pause = 1.0 / rate
        self._stopped = threading.Event()
        self.attempts = 0

    def run(self) -> None:
        """Guess, talk nonsense, leave at once, or say nothing for a while."""
        silent: list[socket.socket] = []
        for way in itertools.cycle((self._guess, self._talk, self._leave, silent.append)):
            if self._stopped.wait(self._pause):
                break
            with contextlib.suppress(OSError):
                sock = socket.create_connection(self._address, 5.0)
                self.attempts += 1
                way(sock)
            while len(silent) > 4:
                silent.pop(0).close()
        for sock in silent:
            sock.close()

    def stop(self) -> None:
        """End, and wait for it."""
        self._stopped.set()
        self.join()

    def _guess(self, sock: socket.socket) -> None:
        with sock, contextlib.suppress(handshake.HandshakeError, handshake.Refused):
            # Its refusal takes longer and longer: who guesses fast does not wait for it.
            handshake.authenticate_server(sock, "a guess", {"purpose": "session"}, self._pause)

    def _talk(self, sock: socket.socket) -> None:
        with sock:
            sock.sendall(os.urandom(2000) + b"\n")

    def _leave(self, sock: socket.socket) -> None:
        sock.close()
