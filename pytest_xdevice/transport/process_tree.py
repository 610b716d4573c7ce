"""What a command has started, and what that has."""

from __future__ import annotations

import contextlib
import os
import signal


def end_descendants(pid: int) -> None:
    """Ask all that a process has started, by itself or through others, to end."""
    for started in _descendants(pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(started, signal.SIGTERM)


def _descendants(pid: int) -> list[int]:
    """Return the processes below one, its children first."""
    parents = _parents()
    found: list[int] = []
    above = {pid}
    while above:
        above = {child for child, parent in parents.items() if parent in above}
        found += above
    return found


def _parents() -> dict[int, int]:
    """Return the parent of each process there is."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
            # The command's name, in parentheses, may hold anything; the fields after it are plain.
            parents[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
    return parents
