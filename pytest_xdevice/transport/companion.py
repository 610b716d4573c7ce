"""A process beside this one that outlives it by a moment: what it holds it gives back when its input ends."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Sequence


class Companion:
    """Such a process, in a session of its own, so that an interrupt at the terminal passes it by.

    Parameters
    ----------
    command : sequence of str
        It must end when its input does, and end what it started; its output is lines.
    errors : int
        Descriptor for what it says besides.
    patience : float
        Seconds that it may take to end.
    """

    def __init__(self, command: Sequence[str], errors: int, patience: float) -> None:
        self._patience = patience
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0, start_new_session=True
        )

    def tell(self, line: bytes) -> None:
        """Write a line to its input; one that has ended says why by `line`."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + b"\n")

    def line(self, seconds: float) -> bytes | None:
        """Return the next line of its output, which is empty at its end; None where none comes within `seconds`."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        return self._process.stdout.readline() if ready else None

    def close(self) -> None:
        """End its input and wait for it; end it, with what it started, where that takes too long."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process.stdout.close()
