"""A kernel's source text: found, parsed, and turned into places for messages."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from types import FunctionType
from typing import Union

from .errors import KernelError
from .ir import Location

Place = Union[ast.AST, Location]


@dataclass(frozen=True)
class KernelText:
    """The source of one kernel function.

    Attributes
    ----------
    filename : str
        The file it stands in.
    first_line : int
        Number, from 1, of the first of `lines` in that file: the decorator's line.
    lines : list of str
        The function's lines as they are in the file, indentation included.
    node : ast.FunctionDef
        The function, with the line numbers of the file.
    """

    filename: str
    first_line: int
    lines: list[str]
    node: ast.FunctionDef

    def location(self, node: ast.AST) -> Location:
        """Return the place of `node`; of a node that spans lines, the part on its first line."""
        line: int = node.lineno  # type: ignore[attr-defined]
        text = self.line(line).encode()
        start: int = node.col_offset  # type: ignore[attr-defined]
        end = len(text)
        if node.end_lineno == line:  # type: ignore[attr-defined]
            end = node.end_col_offset  # type: ignore[attr-defined]
        return Location(line, len(text[:start].decode()), len(text[:end].decode()))

    def line(self, number: int) -> str:
        """Return line `number` of the file, without its line end."""
        index = number - self.first_line
        return self.lines[index].rstrip("\n") if 0 <= index < len(self.lines) else ""

    def error(self, place: Place, message: str, advice: str = "") -> KernelError:
        """Return the error that says `message` of `place`."""
        at = place if isinstance(place, Location) else self.location(place)
        return KernelError(
            message,
            filename=self.filename,
            line=at.line,
            column=at.column + 1,
            advice=advice,
            source_line=self.line(at.line),
            width=at.end_column - at.column,
        )


def read_source(function: FunctionType) -> KernelText:
    """Find and parse the source of `function`.

    Raises
    ------
    KernelError
        If the source cannot be read, or is not that of a plain ``def``.
    """
    code = function.__code__
    try:
        lines, first_line = inspect.getsourcelines(code)
    except (OSError, TypeError):
        raise _unreadable(function, "its source cannot be read") from None
    indented = lines[0][:1].isspace()
    # Under an `if`, an indented function parses as it stands, so that columns are those of the file.
    text = "if 1:\n" + "".join(lines) if indented else "".join(lines)
    try:
        tree = ast.parse(text)
    except SyntaxError:
        raise _unreadable(function, "the source found for it is not a whole function") from None
    ast.increment_lineno(tree, first_line - (2 if indented else 1))
    outer = tree.body[0]
    node = outer.body[0] if isinstance(outer, ast.If) else outer
    if not isinstance(node, ast.FunctionDef) or node.name != function.__name__:
        raise _unreadable(function, "it is not a plain 'def' function")
    return KernelText(code.co_filename, first_line, lines, node)


def _unreadable(function: FunctionType, reason: str) -> KernelError:
    return KernelError(
        f"kernel '{function.__name__}' cannot be compiled: {reason}.",
        filename=function.__code__.co_filename,
        line=function.__code__.co_firstlineno,
        advice="Define it with 'def' in a file: one made by exec(), a lambda or a bare REPL has no source to read.",
    )
