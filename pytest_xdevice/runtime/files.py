"""Files of a session on the device: everything stays inside the session's own directory."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from typing import List

from .launch import DeviceProblem

_LONGEST = 1024  # bytes of a name; the path to the directory comes before it, and both within 4096


class FileStore:
    """Named files below one directory.

    Parameters
    ----------
    directory : str
        Made when the first file is stored; removed with the session.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def write(self, name: str, data: memoryview) -> None:
        """Store `data` under `name`, which may have folders in it."""
        path = self._path(name)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                with suppress(OSError):
                    os.unlink(path)  # what there was room for, so that there is some again
            raise DeviceProblem("FileError", f"{name} cannot be stored on the device: {error}") from None

    def read(self, name: str) -> bytes:
        """Return the contents of a file."""
        try:
            with open(self._path(name), "rb") as file:
                return file.read()
        except OSError as error:
            raise DeviceProblem("FileError", f"{name} cannot be read on the device: {error}") from None

    def remove(self, name: str) -> None:
        """Remove a file, or a folder with all below it."""
        path = self._path(name, follow=False)  # of a link, the link itself
        try:
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.remove(path)
        except OSError as error:
            raise DeviceProblem("FileError", f"{name} cannot be removed: {error}") from None

    def list(self) -> List[str]:
        """Return the names of all files, sorted."""
        found = []
        for folder, _, names in os.walk(self._directory):
            relative = os.path.relpath(folder, self._directory)
            found += [os.path.normpath(os.path.join(relative, name)) for name in names]
        return sorted(found)

    def _path(self, name: str, follow: bool = True) -> str:
        """Return the path that a name stands for, which lies inside the directory even when links are followed."""
        root = os.path.realpath(self._directory)
        if not _is_name(name):
            raise DeviceProblem("FileError", f"{name!r:.200} is not a name inside the session's directory")
        if follow:
            path = os.path.realpath(os.path.join(root, name))
        else:
            folder, last = os.path.split(os.path.normpath(os.path.join(root, name)))
            path = os.path.join(os.path.realpath(folder), last)
        if path == root or not path.startswith(root + os.sep):
            raise DeviceProblem("FileError", f"{name!r} is not a name inside the session's directory")
        return path


def _is_name(name: object) -> bool:
    """Return whether the operating system could take it for a path."""
    if not isinstance(name, str) or not name or "\0" in name:
        return False
    try:
        return len(os.fsencode(name)) <= _LONGEST
    except UnicodeEncodeError:
        return False
