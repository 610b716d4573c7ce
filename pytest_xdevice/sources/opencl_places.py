"""Where a kernel in OpenCL C stands, for messages about it that no driver locates."""

from __future__ import annotations

import re

from ..runtime.build_log import numbered


def place_of(source: str, entry: str) -> str:
    """Return ``FILE:LINE`` of the first line that has ``entry(``, or the program's file; empty where neither is known.

    Parameters
    ----------
    source : str
        The program, with ``#line`` directives.
    entry : str
        The kernel's name.
    """
    _, places = numbered(source)
    named = re.compile(rf"\b{re.escape(entry)}\s*\(")
    for text, (path, line) in zip(source.split("\n"), places, strict=True):
        if path and named.search(text):
            return f"{path}:{line}"
    return next((path for path, _ in places if path), "")
