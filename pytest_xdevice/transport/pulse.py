"""What tells a device every few seconds that its host is still there: a process beside this one.

It shares what leads to the device, and goes on while this process computes without a pause, is stopped (Ctrl-Z,
SIGSTOP) or stands still in a debugger, none of which should cost it the device. It ends with this process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import Any
from typing import Final
from typing import IO

from execnet import gateway_base

BEAT_SECONDS: Final = 2.0

# Its input ends with the process that started it. A child of that, forked by a test, may hold the input's other end.
_PROGRAM: Final = """
import fcntl, os, select, sys
pipe, lock, parent = map(int, sys.argv[1:4])
seconds, beat = float(sys.argv[4]), bytes.fromhex(sys.argv[5])
while not select.select([0], [], [], seconds)[0] and os.getppid() == parent:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        continue  # something is being written, and heard
    try:
        os.write(pipe, beat)
    except OSError:
        break
    fcntl.lockf(lock, fcntl.LOCK_UN)
"""


class SharedPipe:
    """A lock on a pipe to a device, or a socket, that a process beside this one writes to as well.

    Parameters
    ----------
    pipe : int
        Descriptor of the end that is written to.
    """

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._threads = threading.Lock()
        self._lock: IO[bytes] | None = None
        self._beating: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Have the pipe to this thread alone."""
        with self._threads:
            if self._lock is None:
                yield
                return
            fcntl.lockf(self._lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def begin_beats(self, channel: Any) -> None:
        """Have an item, which means nothing, sent over an execnet channel every few seconds, until `end_beats`."""
        message = _Message()
        item = gateway_base.dumps_internal(None)
        gateway_base.Message(gateway_base.Message.CHANNEL_DATA, channel.id, item).to_io(message)
        with self._threads:
            self._lock = tempfile.TemporaryFile()  # noqa: SIM115 - until `end_beats`
            descriptors = (self._pipe, self._lock.fileno())
            words = [*map(str, descriptors), str(os.getpid()), str(BEAT_SECONDS), message.data.hex()]
            self._beating = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=descriptors,
                start_new_session=True,  # what a terminal sends passes it by
            )

    def end_beats(self) -> None:
        """End that process, whose end of the pipe keeps it open."""
        if self._beating is not None:
            self._beating.kill()  # rather than wait for it at a pipe that nobody reads
            self._beating.communicate()
        if self._lock is not None:
            with self._threads:
                self._lock.close()
                self._beating = self._lock = None


class _Message:
    """What execnet writes a message to."""

    data = b""

    def write(self, data: bytes) -> None:
        self.data += data
