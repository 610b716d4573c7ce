"""The error for a mistake in a kernel: where it is, what it is, and how to mend it."""

from __future__ import annotations

from ..errors import XDeviceError


class KernelError(XDeviceError):
    """A mistake in a kernel, located in its source.

    Its text is ``FILE:LINE:COL: MESSAGE``, the source line, carets under the place, and the advice.

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

    def __str__(self) -> str:
        parts = [f"{self.filename}:{self.line}:{self.column}: {self.message}"]
        shown = self.source_line.strip()
        if shown:
            indent = len(self.source_line) - len(self.source_line.lstrip())
            offset = max(0, self.column - 1 - indent)
            width = max(1, min(self.width, len(shown) - offset))
            parts += [f"  {shown}", f"  {' ' * offset}{'^' * width}"]
        if self.advice:
            parts.append(self.advice)
        return "\n".join(parts)
