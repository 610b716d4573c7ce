"""Where in a test file a kernel of another language was given, so that messages can point there."""

from __future__ import annotations

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
        lines = linecache.getlines(self.filename)
        whole = "".join(lines)
        starts = []
        at = whole.find(text) if text.strip() else -1
        while at >= 0:
            starts.append(whole.count("\n", 0, at) + 1)
            at = whole.find(text, at + 1)
        return min(starts, key=lambda line: abs(line - self.line), default=None)

    def resolve(self, path: str) -> tuple[str, str]:
        """Return the folder that a relative path is from, and the path: the current folder, else the file's."""
        for folder in (os.getcwd(), self.folder):
            if os.path.exists(os.path.join(folder, path)):
                return folder, path
        return os.getcwd(), path
