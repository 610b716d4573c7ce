"""A driver's build log, with the source's lines beside the places that it names."""

from __future__ import annotations

import re
from typing import Dict
from typing import List
from typing import Optional
from typing import Tuple

_PLACE = re.compile(
    r"^(?:(\w[\w ]*): )?(\S.*?):(\d+):(\d+)(?: <Spelling=[^>]*>)?: (?:((?:fatal )?error|warning|note): )?(.*)$"
)
_LINE_DIRECTIVE = re.compile(r'^#line (\d+) "((?:[^"\\]|\\.)*)"')
_MOST_ENTRIES = 40

_Lines = Dict[Tuple[str, int], str]


def with_source_lines(log: str, source: str) -> str:
    """Return a build log in which every place that ``#line`` directives of `source` name shows its line and a caret."""
    lines, physical = numbered(source)
    given = log.strip().splitlines()
    shown: List[str] = []
    for index, text in enumerate(given):
        entry = _entry(text, given[index + 1] if index + 1 < len(given) else "", lines, physical)
        shown += entry if entry is not None else [text]
    if len(shown) > 3 * _MOST_ENTRIES:
        shown[3 * _MOST_ENTRIES :] = [f"... and {len(shown) - 3 * _MOST_ENTRIES} lines more"]
    return "\n".join(shown)


def _entry(text: str, following: str, lines: _Lines, physical: List[Tuple[str, int]]) -> Optional[List[str]]:
    place = _PLACE.match(text)
    if place is None:
        return None
    before, path, line, column, after, message = place.groups()
    number = int(line)
    if path.startswith("<") and lines and number <= len(physical):
        path, number = physical[number - 1]  # NVIDIA's compiler counts for itself, and says "<kernel>"
    source = lines.get((path, number))
    if source is None:
        return None
    written = "{}:{}:{}: {}: {}".format(path, number, column, after or before or "error", message)
    if following.strip() == source.strip():
        return [written]  # the driver shows the line itself
    indent = "".join("\t" if char == "\t" else " " for char in source[: int(column) - 1])
    return [written, source, indent + "^"]


def numbered(source: str) -> Tuple[_Lines, List[Tuple[str, int]]]:
    """Return the lines of `source` by the file and number that its ``#line`` directives give them, and these in order.

    There are none where it has no such directive.
    """
    found: _Lines = {}
    order: List[Tuple[str, int]] = []
    path, number = "", 1
    for text in source.split("\n"):
        directive = _LINE_DIRECTIVE.match(text)
        if directive:
            number, path = int(directive[1]), re.sub(r"\\(.)", r"\1", directive[2])
            order.append((path, number))
            continue
        order.append((path, number))
        if path:
            found[path, number] = text.rstrip("\r")
        number += 1
    return found, order
