"""Whether a file can be written: found out before the first test, so that no result is lost after the last one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def obstacle(path: Path) -> str | None:
    """Return why a file cannot be written, found by making its folder and an empty file in it; None where it can."""
    try:
        if path.is_dir():
            return "it is a folder; give a file in it"
        folder = next(parent for parent in path.parents if parent.exists())
        if not folder.is_dir():
            return f"{folder} is no folder"
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not os.access(path, os.W_OK):
            return "it is read-only"
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".xdevice-"):
            return None
    except OSError as error:
        return f"{error.strerror or error} ({path.parent})"
