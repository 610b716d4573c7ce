"""Where a session keeps its files on a device: in the first folder for temporary files that has room for them.

This module is shipped as source to the device, where it unpacks the rest of the runtime: it must stand alone.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import tempfile
import zipfile
from contextlib import suppress
from typing import List
from typing import Optional

PREFIX = "xdevice-"  # of every session's folder
LOCK = "lock"


def candidates() -> List[str]:
    """Return the folders for temporary files in order of preference, whether or not they are there."""
    named = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    # The last one lasts, and devices may share it.
    usual = ["/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~/.cache")]
    return list(dict.fromkeys(os.path.abspath(path) for path in named + usual if path))


def unpack(archive: bytes) -> str:
    """Unpack a zip archive into a new folder that is this user's alone and marked as in use, and return the folder.

    Raises
    ------
    OSError
        If no candidate takes it; the message says why each does not.
    """
    refused = []
    for parent in candidates():
        try:
            return _unpack_below(parent, archive)
        except OSError as error:
            refused.append(f"{parent}: {error.strerror or error}")
    raise OSError(
        "the device has no folder for temporary files that takes the runtime ({}): free one, or name another in TMPDIR "
        "there".format("; ".join(refused))
    )


def hold(folder: str) -> int:
    """Mark a folder as in use for as long as this process lives, or until the descriptor returned is closed."""
    unlocked = os.path.join(folder, LOCK + ".new")
    descriptor = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # Under its name it is never seen without the lock.
    os.rename(unlocked, os.path.join(folder, LOCK))
    return descriptor


def remove(folder: str) -> None:
    """Remove a folder that was held, its mark last: if this process is killed meanwhile, the next session goes on."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name != LOCK:
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


def _unpack_below(parent: str, archive: bytes) -> str:
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
    lock: Optional[int] = None
    try:
        lock = hold(folder)  # at once: of a process that is killed from now on the next session removes the folder
        with zipfile.ZipFile(io.BytesIO(archive)) as contents:
            contents.extractall(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)
        raise
    return folder


def shared_parent(name: str) -> str:
    """Return the folder for what is called `name` and is the same for all sessions of this user: the first usable one.

    It does not depend on how much room a candidate has at the moment, or two sessions would have two of them.

    Raises
    ------
    OSError
        If there is no candidate that can be written to.
    """
    refused = []
    for parent in candidates():
        path = os.path.join(parent, name)
        taken = os.path.lexists(path) and not os.access(path, os.W_OK)
        if not taken and os.path.isdir(parent) and os.access(parent, os.W_OK | os.X_OK):
            return parent
        refused.append(path if taken else parent)
    raise OSError("the device has no folder for temporary files that can be written to: {}".format(", ".join(refused)))
