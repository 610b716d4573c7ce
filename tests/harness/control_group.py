"""A control group of Linux whose processes may have only so much memory, of version 1 or 2, whichever is here."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

END_SECONDS = 10.0
_VERSION_1 = Path("/sys/fs/cgroup/memory")
_VERSION_2 = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class ControlGroup:
    """A group that exists for as long as the block that made it."""

    folder: Path

    @property
    def enter(self) -> list[str]:
        """What, put before a command, runs it there."""
        return ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', str(self.folder)]

    def processes(self) -> list[int]:
        """Return the processes there."""
        return [int(pid) for pid in (self.folder / "cgroup.procs").read_text().split()]


def obstacle() -> str | None:
    """Return why this machine cannot have such a group, or None."""
    if os.geteuid() != 0:
        return "control groups need root"
    try:
        with limited(1 << 30):
            return None
    except OSError as error:
        return f"this kernel or container gives no control groups that limit memory: {error}"


@contextlib.contextmanager
def limited(nbytes: int) -> Iterator[ControlGroup]:
    """Have a group whose processes may have so much memory, and none of it swapped out."""
    is_first = (_VERSION_1 / "memory.limit_in_bytes").exists()
    folder = (_VERSION_1 if is_first else _VERSION_2) / f"xdevice-test-{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        names = ("memory.limit_in_bytes", "memory.swappiness") if is_first else ("memory.max", "memory.swap.max")
        for name, value in zip(names, (nbytes, 0), strict=True):
            (folder / name).write_text(str(value))
        yield ControlGroup(folder)
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a group, once its processes have left."""
    end = time.monotonic() + END_SECONDS
    while True:
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return
