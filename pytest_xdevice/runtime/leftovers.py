"""Folders of sessions that were killed: a session holds a lock in its own, and removes those that nobody holds."""

from __future__ import annotations

import fcntl
import os
from typing import List

from .scratch import candidates
from .scratch import LOCK
from .scratch import PREFIX
from .scratch import remove


def sweep() -> None:
    """Remove the folders that sessions of this user left behind, wherever a session may have one."""
    for parent in candidates():
        for folder in _own_folders(parent):
            if _is_abandoned(folder):
                remove(folder)


def _own_folders(parent: str) -> List[str]:
    try:
        with os.scandir(parent) as entries:
            return [entry.path for entry in entries if entry.name.startswith(PREFIX) and _is_own_folder(entry)]
    except OSError:
        return []  # not there, or not for this user


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()
    except OSError:
        return False  # gone meanwhile


def _is_abandoned(folder: str) -> bool:
    """Return whether a session held this folder that does not run any more."""
    try:
        descriptor = os.open(os.path.join(folder, LOCK), os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # not a session's, or one that is just being made or removed
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
