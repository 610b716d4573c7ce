"""A kernel's source as a user gives it: the path of a file, or the text itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from ..errors import CompileError


@dataclass(frozen=True)
class GivenSource:
    """A source text that is read when it is needed.

    Attributes
    ----------
    name : str
        How messages call it: the path as it was given, or where the text stands.
    path : Path or None
        The file; None for a text.
    folder : Path
        Where files that it names are looked for.
    text : str
        Empty for a file.
    """

    name: str
    path: Path | None
    folder: Path
    text: str = ""

    @classmethod
    def of(cls, given: str | Path, caller: FrameType) -> GivenSource:
        """Tell a path from a text, which has a line break or a brace; a path may be one beside the `caller`'s file."""
        beside = Path(caller.f_code.co_filename).parent
        if isinstance(given, str) and ("\n" in given or "{" in given):
            return cls(f"<text in {Path(caller.f_code.co_filename).name}:{caller.f_lineno}>", None, beside, given)
        path = Path(given)
        if not path.exists() and (beside / path).exists():
            path = beside / path
        return cls(str(given), path, path.parent)

    def read_bytes(self) -> bytes:
        """Return the contents of the file, or the text as UTF-8.

        Raises
        ------
        CompileError
            If the file cannot be read.
        """
        if self.path is None:
            return self.text.encode()
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise CompileError(f"cannot read the kernel's source {self.name}: {error.strerror or error}") from None

    def read(self) -> str:
        """Return the text; errors as of `read_bytes`, and if it is no UTF-8."""
        try:
            return self.read_bytes().decode()
        except UnicodeDecodeError as error:
            raise CompileError(f"the kernel's source {self.name} is no UTF-8 text: {error}") from None
