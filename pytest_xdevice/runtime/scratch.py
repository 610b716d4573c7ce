"""Where a session keeps its files on a device: in the first folder for temporary files that has room for them.

This module is shipped as source to the device, where it unpacks the rest of the runtime: it must stand alone.
"""

from __future__ import annotations

import errno
import io
import os
import shutil
import tempfile
import zipfile
from typing import List

PREFIX = "xdevice-"  # of every session's folder
# What says of a folder that it is not there, or not for this user, whatever room there is.
_UNUSABLE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS)


def candidates() -> List[str]:
    """Return the folders for temporary files in order of preference, whether or not they are there."""
    named = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
    # The last one lasts, and devices may share it.
    usual = ["/tmp", "/var/tmp", "/dev/shm", os.path.expanduser("~/.cache")]
    return list(dict.fromkeys(os.path.abspath(path) for path in named + usual if path))


def unpack(archive: bytes) -> str:
    """Unpack a zip archive into a new folder that is this user's alone, and return the folder.

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


def _unpack_below(parent: str, archive: bytes) -> str:
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as contents:
            contents.extractall(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def shared_folder(name: str) -> str:
    """Return a folder called `name`, made where it is missing, that is the same for all sessions of this user.

    It does not depend on how much room a candidate has at the moment, or two sessions would have two of them.

    Raises
    ------
    OSError
        If there is no candidate that can be written to, or no room in the first one for a folder.
    """
    refused = []
    for parent in candidates():
        folder = os.path.join(parent, name)
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            if not os.access(folder, os.W_OK):
                refused.append(f"{folder}: not writable")
                continue
        except OSError as error:
            if error.errno not in _UNUSABLE:
                raise
            refused.append(f"{parent}: {error.strerror}")
            continue
        return folder
    raise OSError("the device has no folder for temporary files that can be written to ({})".format("; ".join(refused)))
