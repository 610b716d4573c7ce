"""The error for a mistake in a kernel: where it is, what it is, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import XDeviceError


@dataclass(frozen=True)
class Excerpt:
    """A place in a source file, and what can be shown of it.

    Attributes
    ----------
    filename : str
        The source file.
    line, column : int
        The place in it, both counted from 1; the column counts characters.
    source_line : str
        The line of the place, as it stands in the file; empty when the source cannot be read.
    width : int
        How many characters the place takes on that line.
    """

    filename: str
    line: int
    column: int
    source_line: str
    width: int

    def text(self, message: str) -> str:
        """Return ``FILE:LINE:COL: MESSAGE``, and below it the source line with carets under the place."""
        parts = [f"{self.filename}:{self.line}:{self.column}: {message}"]
        shown = self.source_line.strip()
        if shown:
            indent = len(self.source_line) - len(self.source_line.lstrip())
            offset = max(0, self.column - 1 - indent)
            width = max(1, min(self.width, len(shown) - offset))
            parts += [f"  {shown}", f"  {' ' * offset}{'^' * width}"]
        return "\n".join(parts)


@dataclass(frozen=True)
class HelperCall:
    """Where a helper function is called that has a mistake in it, or calls one that has."""

    helper: str
    at: Excerpt

    def __str__(self) -> str:
        return self.at.text(f"'{self.helper}' is called here.")


class KernelError(XDeviceError):
    """A mistake in a kernel, located in its source.

    Its text is ``FILE:LINE:COL: MESSAGE``, the source line, carets under the place, the same for each call that leads
    there, and the advice.

    Attributes
    ----------
    filename : str
        The source file.
    line, column : int
        The place in it, both counted from 1; the column counts characters.
    message : str
        What is wrong.
    advice : str
        How to mend it, one sentence; may be empty.
    source_line : str
        The line of the place, as it stands in the file; empty when the source cannot be read.
    width : int
        How many characters the place takes on that line.
    calls : tuple of HelperCall
        For a mistake in a helper function: the calls that lead to it, the innermost first, the kernel's own last.
    """

    def __init__(
        self,
        message: str,
        *,
        filename: str = "<kernel>",
        line: int = 1,
        column: int = 1,
        advice: str = "",
        source_line: str = "",
        width: int = 1,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.filename = filename
        self.line = line
        self.column = column
        self.advice = advice
        self.source_line = source_line
        self.width = width
        self.calls: tuple[HelperCall, ...] = ()

    def called(self, call: HelperCall) -> KernelError:
        """Return this error with one more call that leads to it."""
        self.calls = (*self.calls, call)
        return self

    def __str__(self) -> str:
        place = Excerpt(self.filename, self.line, self.column, self.source_line, self.width)
        parts = [place.text(self.message), *map(str, self.calls)]
        if self.advice:
            parts.append(self.advice)
        return "\n".join(parts)
