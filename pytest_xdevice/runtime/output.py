"""What kernels, libraries and the worker itself print on the device: into a file, on to the host, no more than fits.

The session makes a file for each worker, its stdout and stderr. The worker sends what is new with each answer; what it
printed before it died is left for the session, which the host also asks now and then while a kernel runs.
"""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress

LIMIT = 48 << 10  # bytes that are told of one batch, its first and its last half; less than what a test may print
_LARGE_FILE = 16 << 20
_LOOK_SECONDS = 1.0
_UNBUFFERED = 2  # _IONBF of <stdio.h>, glibc and musl
_BLOCK = 512  # bytes that `st_blocks` counts in, fallocate(2) and stat(2)
_PUNCH_HOLE = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE of <linux/falloc.h>


class Output:
    """The worker's own stdout, which is such a file."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None)
        try:
            # So that nothing that was printed before a crash is lost in a buffer, were it the start of a line.
            self._libc.setvbuf(ctypes.c_void_p.in_dll(self._libc, "stdout"), None, _UNBUFFERED, 0)
        except ValueError:
            return  # a C library that has no such symbol: its lines come at the next flush

    def fresh(self) -> str:
        """Return what was printed since the last call, and forget it."""
        self._libc.fflush(None)
        if not os.fstat(1).st_size:
            return ""
        text = read_bounded(1)
        os.ftruncate(1, 0)
        return text


def open_log(path: str) -> int:
    """Return the descriptor of a new file for what a worker prints; whatever is written goes to its end."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)


def read_bounded(descriptor: int) -> str:
    """Return the contents of such a file, or its first and last 24 KiB with a line on what lies between."""
    size = os.fstat(descriptor).st_size
    if size <= LIMIT:
        return os.pread(descriptor, size, 0).decode("utf-8", "replace")
    half = LIMIT // 2
    first, last = (os.pread(descriptor, half, start).decode("utf-8", "replace") for start in (0, size - half))
    return f"{first}\n[{size - LIMIT} bytes are left out here]\n{last}"


def _take_middle(descriptor: int, size: int) -> bool:
    """Give the disk back what nobody reads of such a file, and say whether its file system can.

    The file keeps its size, so that nothing is lost of what is printed meanwhile.
    """
    libc = ctypes.CDLL(None)
    fallocate = getattr(libc, "fallocate64", libc.fallocate)  # musl has one of them, with 64-bit offsets
    half = LIMIT // 2
    return bool(fallocate(descriptor, _PUNCH_HOLE, ctypes.c_int64(half), ctypes.c_int64(size - LIMIT)) == 0)


class Trimmer(threading.Thread):
    """Keeps such a file from filling the device's disk, when a kernel prints without end."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(name="xdevice-trimmer", daemon=True)
        self._descriptor = descriptor
        self._stopped = threading.Event()

    def run(self) -> None:
        """Look once a second; what makes a file large goes, but for its first and last bytes."""
        while not self._stopped.wait(_LOOK_SECONDS):
            status = os.fstat(self._descriptor)
            if status.st_blocks * _BLOCK > _LARGE_FILE and not _take_middle(self._descriptor, status.st_size):
                # What is printed between these two lines is lost.
                text = read_bounded(self._descriptor)
                os.ftruncate(self._descriptor, 0)
                with suppress(OSError):  # a disk that is full: what was printed is lost
                    os.write(self._descriptor, text.encode())

    def lines(self, start: int) -> bytes:
        """Return the whole lines from byte `start` on, as far as nothing is ever left out of what the file holds."""
        text = os.pread(self._descriptor, max(0, LIMIT // 2 - start), start)
        return text[: text.rfind(b"\n") + 1]

    def stop(self) -> str:
        """End it; return what the file holds, and close that."""
        self._stopped.set()
        self.join()
        text = read_bounded(self._descriptor)
        os.close(self._descriptor)
        return text
