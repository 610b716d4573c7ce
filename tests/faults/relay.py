"""A link between a host and a device on this machine that fails on demand.

It joins TCP connections to a port of 127.0.0.1. What it does to them concerns whoever talks over it, not the kernel:
while it is silent both ends' kernels acknowledge what is sent, as those of a frozen board do, so that no keepalive ends
the wait. A link that is down is noticed sooner.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import struct
import threading
import time
from collections.abc import Iterator

CHUNK = 64 << 10
HELD = 64  # chunks that it takes without passing them on


class Link:
    """Connections from `port`, an attribute, to another port.

    Parameters
    ----------
    target : int
        The port of 127.0.0.1 that it leads to.

    Attributes
    ----------
    target : int
        That port; new connections go where it says then.
    delay : float
        Seconds that everything is under way, each way.
    rate : float or None
        Bytes a second, each way; None is as fast as it goes.
    """

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        self.rate: float | None = None
        self.target = target
        self._passing = threading.Event()
        self._passing.set()
        self._budget: tuple[bool, int] | None = None
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """Pass nothing on until `resume`."""
        self._passing.clear()

    def resume(self) -> None:
        """Pass on what was held back, and what comes."""
        self._passing.set()

    def reset(self) -> None:
        """Break every connection, as a router that forgot them does."""
        with self._lock:
            broken, self._sockets = self._sockets, []
        for sock in broken:
            _break(sock)

    def reset_after(self, nbytes: int, *, upward: bool) -> None:
        """Break every connection once `nbytes` more have gone up to the device, or down from it."""
        with self._lock:
            self._budget = (upward, nbytes)

    def close(self) -> None:
        """Break what is open, and accept nothing more."""
        self._listener.close()
        self.resume()
        self.reset()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                if self._listener.fileno() < 0:
                    return
                near.close()
                continue
            with self._lock:
                self._sockets += [near, far]
            for source, destination, upward in ((near, far, True), (far, near, False)):
                line: queue.Queue[tuple[float, bytes]] = queue.Queue(HELD)
                threading.Thread(target=self._take, args=(source, line), daemon=True).start()
                threading.Thread(target=self._give, args=(line, destination, upward), daemon=True).start()

    def _take(self, source: socket.socket, line: queue.Queue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            try:
                data = source.recv(CHUNK)
            except OSError:
                data = b""
            line.put((time.monotonic() + self.delay, data))

    def _give(self, line: queue.Queue[tuple[float, bytes]], destination: socket.socket, upward: bool) -> None:
        while True:
            due, data = line.get()
            time.sleep(max(0.0, due - time.monotonic()) + (len(data) / self.rate if self.rate else 0.0))
            self._passing.wait()
            try:
                if not data:
                    destination.shutdown(socket.SHUT_WR)
                    return
                destination.sendall(data)
            except OSError:
                return
            if self._is_spent(len(data), upward):
                self.reset()

    def _is_spent(self, nbytes: int, upward: bool) -> bool:
        with self._lock:
            if self._budget is None or self._budget[0] is not upward:
                return False
            left = self._budget[1] - nbytes
            self._budget = None if left <= 0 else (upward, left)
            return left <= 0


def _break(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # What another thread waits in it for ends with this; the reset goes out with the close.
        sock.shutdown(socket.SHUT_RD)
    sock.close()


@contextlib.contextmanager
def link_to(port: int) -> Iterator[Link]:
    """Have a link to a port of 127.0.0.1 for as long as the block runs."""
    link = Link(port)
    try:
        yield link
    finally:
        link.close()
