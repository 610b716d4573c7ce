"""A server process that a test starts, watches for leftovers, and ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import uuid
from collections.abc import Mapping
from collections.abc import Sequence
from types import TracebackType
from typing import IO

from tests.boards.processes import command_line
from tests.boards.processes import end
from tests.boards.processes import still_running
from tests.boards.processes import with_variable

MARK = "XDEVICE_TEST_SERVICE"
END_LIMIT = 10.0  # seconds


class ServiceError(AssertionError):
    """A server did not start, or left something behind."""


class Service:
    """A process that serves until it is ended, with all that descends from it.

    Parameters
    ----------
    command : sequence of str
        What to start.
    env : mapping, optional
        Its environment; this process's by default.
    cwd : str, optional
        Where it starts.

    Notes
    -----
    Descendants are found by a variable in their environment, so that one that detached itself is found too.
    """

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: str | None = None) -> None:
        self._mark = uuid.uuid4().hex
        self._command = list(command)
        self._output: list[str] = []
        self._said = threading.Condition()
        self._closed = False
        self.process = subprocess.Popen(
            [*_bound_to_this_process(), *self._command],
            env={**(os.environ if env is None else env), MARK: self._mark},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """All that it has printed so far."""
        return "".join(self._output)

    def descendants(self) -> list[int]:
        """Return the processes that it started, directly or not, and that still run."""
        return [pid for pid in with_variable(MARK, self._mark) if pid != self.process.pid]

    def await_line(self, part: str, *, limit: float = 20.0) -> str:
        """Wait until it prints a line that holds `part`, and return that line.

        Raises
        ------
        ServiceError
            When it ends before, or takes longer than `limit` seconds; the message has what it printed instead.
        """
        with self._said:
            self._said.wait_for(lambda: self._closed or self._line(part) is not None, limit)
            line = self._line(part)
        if line is None:
            raise ServiceError(f"{self._command[0]} did not print {part!r}, but: {self.output or 'nothing'}")
        return line

    def stop(self, number: signal.Signals = signal.SIGTERM, *, limit: float = END_LIMIT) -> None:
        """End it, within `limit` seconds.

        Raises
        ------
        ServiceError
            When it, or a descendant, still runs then; what does is killed first.
        """
        descendants = self.descendants()
        ended = end(self.process.pid, number=number, limit=limit)
        left = ([] if ended else [self.process.pid]) + still_running(descendants, limit=limit)
        names = [f"{pid}: {command_line(pid)}" for pid in left]
        for pid in left:
            end(pid)
        self.process.wait()
        self._reader.join(END_LIMIT)
        if names:
            raise ServiceError(f"after {number.name} to {self._command[0]} there still ran {'; '.join(names)}")

    def __enter__(self) -> Service:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.nullcontext() if kind is None else contextlib.suppress(ServiceError):
            self.stop()

    def _line(self, part: str) -> str | None:
        return next((line for line in self._output if part in line), None)

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._said:
                    self._output.append(line)
                    self._said.notify_all()
        with self._said:
            self._closed = True
            self._said.notify_all()


def _bound_to_this_process() -> list[str]:
    """Return what, put before a command, ends it when this process is killed and cannot do so itself."""
    return ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
