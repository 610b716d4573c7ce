"""Whether the device's kernel ended a process for want of memory: control groups count that, and so does Linux."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Any
from typing import Dict
from typing import Iterator
from typing import Optional
from typing import Tuple

_MOUNT = "sys/fs/cgroup"
# Of version 2 and of version 1: which line of /proc/self/cgroup, where it is mounted, and its files.
_VERSIONS = (
    ("0::(.*)", ("", "unified"), "memory.events", "memory.max"),
    ("[0-9]+:(?:[^:]*,)?memory(?:,[^:]*)?:(.*)", ("memory",), "memory.oom_control", "memory.limit_in_bytes"),
)
_KILLS = re.compile("^oom_kill ([0-9]+)$", re.MULTILINE)
_UNLIMITED = 1 << 60  # version 1 gives a number all the same
_PREFERRED = 500  # of 1000: as much as half of the device's memory more than it has


class OomWatch:
    """Counts from its making on who is ended for want of memory, in this process's control group where that tells.

    Parameters
    ----------
    root : str
        Folder that ``/sys`` and ``/proc`` are read in.
    """

    def __init__(self, root: str = "/") -> None:
        self._root = root
        self._events, self._limit = self._files()
        self._before = self._count()

    def killed(self) -> Optional[Dict[str, Any]]:
        """Return whether anybody was ended since: the ``limit`` of the control group in bytes, if it has one; or None.

        Where no control group tells, it is anybody on the device.
        """
        before, self._before = self._before, self._count()
        if before is None or self._before is None or self._before <= before:
            return None
        with suppress(OSError, ValueError):
            limit = int(_read(self._limit))
            return {"limit": limit if limit < _UNLIMITED else None}
        return {"limit": None}

    def _count(self) -> Optional[int]:
        with suppress(OSError):
            found = _KILLS.search(_read(self._events))
            return int(found.group(1)) if found else None
        return None

    def _files(self) -> Tuple[str, str]:
        """Return which file counts, and which has the limit."""
        for events, limit in self._candidates():
            with suppress(OSError):
                if _KILLS.search(_read(events)):
                    return events, limit
        return os.path.join(self._root, "proc/vmstat"), ""

    def _candidates(self) -> Iterator[Tuple[str, str]]:
        try:
            groups = _read(os.path.join(self._root, "proc/self/cgroup"))
        except OSError:
            return  # not Linux, or nothing is mounted there
        for pattern, mounts, events, limit in _VERSIONS:
            for path in re.findall(f"^{pattern}$", groups, re.MULTILINE):
                for mount in mounts:
                    # A container may be shown its path outside, while what is mounted begins with its own group.
                    for group in (path, "/"):
                        folder = os.path.join(self._root, _MOUNT, mount, group.lstrip("/"))
                        yield os.path.join(folder, events), os.path.join(folder, limit)


def be_the_first_to_go() -> None:
    """Have this process ended before the session, the server or sshd where the device's memory runs out."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "r+") as file:  # not there, or not allowed
        if int(file.read()) < _PREFERRED:
            file.write(str(_PREFERRED))


def _read(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read()
