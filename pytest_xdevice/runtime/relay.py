"""A stream carried inside the control connection, for a transport that has only one pipe. Both ends run this."""

from __future__ import annotations

import queue
import socket
import threading
from typing import Any
from typing import List
from typing import Optional

CHUNK = 256 << 10
WINDOW = 8


class Relay:
    """Joins a socket to an execnet channel.

    Items on the channel are chunks of bytes, or the number of chunks that the receiver has taken: no more than
    `WINDOW` are under way, since execnet itself would queue without bound.

    Parameters
    ----------
    sock : socket
        One end of a socket pair; whoever has the other end sees an ordinary stream.
    channel : execnet.Channel
    """

    def __init__(self, sock: socket.socket, channel: Any) -> None:
        self.channel = channel
        self._sock = sock
        self._credit = threading.Semaphore(WINDOW)
        self._incoming: queue.SimpleQueue[Optional[bytes]] = queue.SimpleQueue()
        channel.setcallback(self._arrived, endmarker=None)
        pumps = [threading.Thread(target=target, daemon=True) for target in (self._pump_out, self._pump_in)]
        for pump in pumps:
            pump.start()
        threading.Thread(target=self._close_after, args=(pumps,), daemon=True).start()

    def _close_after(self, pumps: List[threading.Thread]) -> None:
        for pump in pumps:
            pump.join()
        self._sock.close()

    def _arrived(self, item: Any) -> None:
        if isinstance(item, int):
            for _ in range(item):
                self._credit.release()
        else:
            self._incoming.put(item)

    def _pump_out(self) -> None:
        try:
            while True:
                data = self._receive()
                if not data:
                    break
                self._credit.acquire()
                self.channel.send(data)
            self.channel.close()
        except OSError:
            return  # the channel is gone, which the other direction reports

    def _receive(self) -> bytes:
        """Return what comes next, nothing at the end; a process that died with something unread resets the socket."""
        try:
            return self._sock.recv(CHUNK)
        except OSError:
            return b""

    def _pump_in(self) -> None:
        try:
            while True:
                data = self._incoming.get()
                if data is None:
                    break
                self._sock.sendall(data)
                self.channel.send(1)
        except OSError:
            pass  # one end is gone; the shutdown below tells whoever still reads
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
