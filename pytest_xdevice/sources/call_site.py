"""Where in a test file a kernel of another language was given, so that messages can point there."""

from __future__ import annotations

import ast
import functools
import linecache
import os
import sys
from dataclasses import dataclass

from .prototype import Place


@dataclass(frozen=True)
class CallSite:
    """The line of a call.

    Attributes
    ----------
    filename : str
    line : int
    """

    filename: str
    line: int

    @classmethod
    def above(cls, depth: int = 1) -> CallSite:
        """Return the place that calls the function which asks, or one `depth` further up."""
        frame = sys._getframe(depth + 1)
        return cls(frame.f_code.co_filename, frame.f_lineno)

    @property
    def folder(self) -> str:
        """The folder of the file, or the current one where there is no file."""
        return os.path.dirname(os.path.abspath(self.filename)) if os.path.isfile(self.filename) else os.getcwd()

    @property
    def shown(self) -> str:
        """The file's name as seen from the current folder."""
        near = os.path.relpath(self.filename) if os.path.isfile(self.filename) else self.filename
        return self.filename if near.startswith("..") else near

    def place_of(self, text: str) -> Place:
        """Return where `text` stands in the file as a literal, or the line of the call where it cannot be found."""
        found = self.line_of(text)
        return Place(self.shown, found or self.line)

    def line_of(self, text: str) -> int | None:
        """Return the line of the file on which the literal `text` starts, the nearest to the call."""
        whole = "".join(linecache.getlines(self.filename))
        found = [line for literal, line in _literals(whole) if literal == text]
        return min(found, key=lambda line: abs(line - self.line), default=None)

    def resolve(self, path: str) -> tuple[str, str]:
        """Return the folder that a relative path is from, and the path: the current folder, else the file's."""
        for folder in (os.getcwd(), self.folder):
            if os.path.exists(os.path.join(folder, path)):
                return folder, path
        return os.getcwd(), path


@functools.lru_cache(maxsize=8)
def _literals(module: str) -> tuple[tuple[str, int], ...]:
    """Return the strings in the text of a module, each with the line on which it starts."""
    try:
        tree = ast.parse(module)
    except (SyntaxError, ValueError):
        return ()
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return tuple((node.value, node.lineno) for node in constants if isinstance(node.value, str))
