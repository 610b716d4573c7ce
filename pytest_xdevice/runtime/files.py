"""Files of a session on the device: everything stays inside the session's own directory."""

from __future__ import annotations

import os
import shutil
from typing import List

from .launch import DeviceProblem


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
        path = self._path(name)
        try:
            if os.path.isdir(path):
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

    def _path(self, name: str) -> str:
        root = os.path.realpath(self._directory)
        path = os.path.realpath(os.path.join(root, name)) if name and "\0" not in name else root
        if path == root or not path.startswith(root + os.sep):
            raise DeviceProblem("FileError", f"{name!r} is not a name inside the session's directory")
        return path
