"""The lines of a function in C as they are printed, with their indentation and names that are used once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

_INDENT: Final = "    "


class Text:
    """The body of one function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 1
        self._numbers = 0

    def emit(self, line: str) -> None:
        """Add a line at the present depth."""
        self.lines.append(_INDENT * self._depth + line)

    def directive(self, line: str) -> None:
        """Add a line for the preprocessor."""
        self.lines.append(line)

    def number(self) -> int:
        """Return a number that no other name has."""
        self._numbers += 1
        return self._numbers - 1

    @contextlib.contextmanager
    def block(self, head: str, end: str = "}") -> Iterator[None]:
        """Print what is emitted meanwhile as a block, after `head` and an opening brace."""
        self.emit(f"{head} {{")
        with self.rest(end):
            yield

    @contextlib.contextmanager
    def rest(self, end: str = "}") -> Iterator[None]:
        """Print what is emitted meanwhile as the rest of a block that is open already."""
        self._depth += 1
        yield
        self._depth -= 1
        self.emit(end)
