"""The user's cache on the device, where pyopencl and drivers such as PoCL keep what they build and load."""

from __future__ import annotations

import os

_VARIABLE = "XDG_CACHE_HOME"
_ROOM = 1 << 20  # bytes


def ensure_cache(directory: str) -> None:
    """Have libraries that are loaded from now on use `directory`, where the user's cache takes no programs."""
    cache = os.environ.get(_VARIABLE) or os.path.expanduser("~/.cache")
    if not takes_programs(cache) and takes_programs(directory):
        os.environ[_VARIABLE] = os.path.join(directory, "cache")


def takes_programs(path: str) -> bool:
    """Return whether a folder, or what it would be made in, is writable, has room, and lets programs be run."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    system = os.statvfs(path)
    has_room = system.f_bavail * system.f_frsize >= _ROOM
    return has_room and os.access(path, os.W_OK) and not system.f_flag & (os.ST_RDONLY | os.ST_NOEXEC)
