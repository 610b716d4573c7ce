"""Puts the host's files in place of ``#include``: a device that builds the text has none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_INCLUDE: Final = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>).*$')
_ONCE: Final = re.compile(r"^[ \t]*#[ \t]*pragma[ \t]+once\b", re.MULTILINE)
_DEEPEST: Final = 50


def expanded(text: str, name: str, folder: Path, include_dirs: Sequence[Path], first: int = 1) -> str:
    """Return `text` with the files that it includes in place; ``#line`` directives say where each line is from.

    Parameters
    ----------
    text : str
    name : str
        What messages are to call it.
    folder : Path
        Where it stands, which is looked at first for a name in quotes.
    include_dirs : sequence of Path
        Where else included files are looked for. One that is nowhere is left to the compiler.
    first : int
        The number of its first line.
    """
    return "\n".join(_lines(text, name, folder, include_dirs, set(), 0, first)) + "\n"


def _lines(
    text: str, name: str, folder: Path, include_dirs: Sequence[Path], once: set[Path], depth: int, first: int = 1
) -> Iterator[str]:
    shown = name.replace("\\", "\\\\").replace('"', '\\"')
    yield f'#line {first} "{shown}"'
    for number, line in enumerate(text.splitlines(), start=first):
        match = _INCLUDE.match(line)
        path = _found(match, folder, include_dirs) if match and depth < _DEEPEST else None
        if path is None:
            yield line
        elif path.resolve() in once:
            yield ""
        else:
            inner = path.read_text(encoding="utf-8", errors="replace")
            if _ONCE.search(inner):
                once.add(path.resolve())
                inner = _ONCE.sub("//", inner)
            yield from _lines(inner, str(path), path.parent, include_dirs, once, depth + 1)
            yield f'#line {number + 1} "{shown}"'


def _found(include: re.Match[str], folder: Path, include_dirs: Sequence[Path]) -> Path | None:
    quoted, bracketed = include.groups()
    places = (folder, *include_dirs) if quoted else include_dirs
    return next((path for path in (place / (quoted or bracketed) for place in places) if path.is_file()), None)
