"""On which line of a TOML file a table or a key is, for messages about it.

No parser that is kept tells that: neither `tomllib` nor `tomlkit` gives the line of a value. So the parser is handed
the file statement by statement, which tells where each began, whatever quotes and brackets it holds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Keys = tuple[str, ...]


def lines_of(text: str) -> dict[Keys, int]:
    """Return the line, counted from 1, on which each table and key of a valid TOML file first appears.

    Parameters
    ----------
    text : str
        The file's contents.

    Returns
    -------
    dict
        From the keys that lead to a table or a value, such as ``("devices", "pi", "address")``, to its line.
    """
    found: dict[Keys, int] = {}
    table: Keys = ()
    statement, began = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        began = began if statement else number
        statement += line + "\n"
        try:
            content = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # a string or an array that goes on
        if statement.lstrip().startswith("["):
            table = _deepest(content)
            _note(content, (), began, found)
        else:
            _note(content, table, began, found)
        statement = ""
    return found


def _deepest(content: object) -> Keys:
    """Return the keys of a table's header, which is all that `content` was read from."""
    keys = []
    while isinstance(content, dict) and content:
        ((key, content),) = content.items()
        keys.append(key)
    return tuple(keys)


def _note(content: Mapping[str, object], table: Keys, line: int, found: dict[Keys, int]) -> None:
    for key, value in content.items():
        found.setdefault((*table, key), line)
        if isinstance(value, dict):
            _note(value, (*table, key), line, found)
