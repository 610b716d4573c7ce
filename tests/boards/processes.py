"""Look at and end processes without the races of process ids: a pidfd stays with the process that it was opened for."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class ProcessIdentity:
    """One process, told apart from a later one with the same id."""

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity:
        """Return the identity of a running process.

        Raises
        ------
        ProcessLookupError
            When there is none.
        """
        try:
            # The command's name, in parentheses, may hold anything; the fields after it are plain.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError as error:
            raise ProcessLookupError(pid) from error
        return cls(pid, int(fields[19]), BOOT.read_text().strip())

    @property
    def alive(self) -> bool:
        """Whether this process, not another with its id, is there."""
        try:
            return ProcessIdentity.of(self.pid) == self and _state(self.pid) != "Z"
        except ProcessLookupError:
            return False


def command_line(pid: int) -> str:
    """Return a process's command line; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def end(pid: int, *, number: signal.Signals = signal.SIGKILL, limit: float = 10.0) -> bool:
    """Send a signal to a process and wait until it has ended.

    Parameters
    ----------
    pid : int
        The process.
    number : signal.Signals
        What to send.
    limit : float
        Seconds to wait.

    Returns
    -------
    bool
        Whether it has ended.
    """
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, number)
        return _ended(handle, limit)
    finally:
        os.close(handle)


def still_running(pids: Iterable[int], *, limit: float = 10.0) -> list[int]:
    """Wait until the given processes have ended, and return those that have not after `limit` seconds."""
    deadline = time.monotonic() + limit
    left = []
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not _ended(handle, max(0.0, deadline - time.monotonic())):
                left.append(pid)
        finally:
            os.close(handle)
    return left


def in_namespace_of(pid: int, kind: str = "pid") -> list[int]:
    """Return the processes that share the pid namespace of process `pid`, or another kind, itself left out."""
    own = os.readlink(f"/proc/{pid}/ns/{kind}")
    return [each for each in _all() if each != pid and _link(each, f"ns/{kind}") == own]


def with_variable(name: str, value: str) -> list[int]:
    """Return the processes that were started with an environment variable: all descendants, however detached."""
    wanted = f"{name}={value}".encode()
    return [each for each in _all() if wanted in _environment(each).split(b"\0")]


def _all() -> list[int]:
    return sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return b""


def _link(pid: int, name: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/{name}")
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return ""


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def _ended(handle: int, limit: float) -> bool:
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(limit * 1000))
