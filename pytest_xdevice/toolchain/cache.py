"""A content-addressed store of files: written atomically, checked when read, shared by any number of processes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final

_MAGIC: Final = b"xdevice-cache-1\n"
_DIGEST_SIZE: Final = 32


class Cache:
    """Entries of bytes under hexadecimal keys, below one directory.

    Parameters
    ----------
    directory : Path
        Made when the first entry is stored. An entry that cannot be stored (a full or read-only file system) is
        left out: a cache may forget.
    """

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory

    def path_of(self, key: str, suffix: str = "") -> Path:
        """Return where the entry for `key` is or would be."""
        return self.directory / key[:2] / (key[2:] + suffix)

    def get(self, key: str) -> bytes | None:
        """Return the entry for `key`; None when there is none or it was damaged, which also removes it."""
        path = self.path_of(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        header = len(_MAGIC) + _DIGEST_SIZE
        content = data[header:]
        if data.startswith(_MAGIC) and hashlib.sha256(content).digest() == data[len(_MAGIC) : header]:
            return content
        with contextlib.suppress(OSError):
            path.unlink()
        return None

    def put(self, key: str, content: bytes) -> None:
        """Store `content` under `key`."""
        digest = hashlib.sha256(content).digest()
        write_atomically(self.path_of(key), b"".join((_MAGIC, digest, content)))


def write_atomically(path: Path, data: bytes) -> bool:
    """Write a file so that others see all of it or none, and tell whether that could be done."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError:
        return False
    return True


def default_directory() -> Path:
    """Return the user's cache directory for this package: below ``$XDG_CACHE_HOME``, else ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(root) if os.path.isabs(root) else Path.home() / ".cache") / "pytest-xdevice"
