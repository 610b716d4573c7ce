"""What an ssh says: kept in a file that can still be read when its folder is gone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_MOST: Final = 64 << 10  # bytes that are read of it


class Words:
    """A file that an ssh writes its messages to.

    Parameters
    ----------
    path : Path
        Where it is made; only this user can read it.

    Attributes
    ----------
    path : Path
    descriptor : int
        Of the file, for a process to inherit.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return os.fstat(self.descriptor).st_size

    def text(self, since: int = 0) -> str:
        """Return what was said after so many bytes."""
        return os.pread(self.descriptor, _MOST, since).decode(errors="replace")

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)
