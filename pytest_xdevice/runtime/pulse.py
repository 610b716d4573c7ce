"""Ends a session whose host has vanished, with its machine or its network, without a word.

Whatever carries the control connection may stand for hours after that. But a host says something every few seconds
(`transport.pulse`), also one whose process computes without a pause or is stopped. Anything else that comes is a sign
of life too, so that it does not matter when data holds up the next beat.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import Any
from typing import List

ENDS_BY = signal.SIGUSR1  # what tells this process of it, apart from those that others end it by
SILENT_SECONDS = 8.0  # as long as a socket of our own takes to notice (tcp_options)
_LOOK_SECONDS = 0.5
_END_SECONDS = 2.0  # that this process may take to end its workers


class Pulse(threading.Thread):
    """Listens to what a gateway reads, and ends this process when nothing comes any more.

    Parameters
    ----------
    io : execnet's Popen2IO, or our SocketIO
    """

    def __init__(self, io: Any) -> None:
        super().__init__(name="xdevice-pulse", daemon=True)
        # Returns what there is: on a slow link a large message takes long, and is not silence.
        self._read_some = io.sock.recv if hasattr(io, "sock") else io.infile.buffer.read1
        self._was_heard = False
        io.read = self._read

    def run(self) -> None:
        """Watch, and end the process."""
        # It counts looks, not the clock: a machine that was frozen and thaws is about to hear what came meanwhile.
        silent = 0.0
        while silent < SILENT_SECONDS:
            time.sleep(_LOOK_SECONDS)
            silent, self._was_heard = 0.0 if self._was_heard else silent + _LOOK_SECONDS, False
        os.kill(os.getpid(), ENDS_BY)
        time.sleep(_END_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)  # stuck; its workers and its lease go with it

    def _read(self, nbytes: int) -> bytes:
        """Read exactly so many bytes, as execnet's own method does."""
        pieces: List[bytes] = []
        left = nbytes
        while left:
            piece = self._read_some(left)
            if not piece:
                raise EOFError(f"expected {nbytes} bytes, got {nbytes - left}")
            self._was_heard = True
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)
