"""`opencl_kernel`: a kernel in OpenCL C. What arguments it takes is told by the device that builds it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import NoReturn
from typing import TYPE_CHECKING
from typing import Union

from ..artifact import OpenCLProgram
from ..errors import ArgumentError
from ..errors import CompileError
from ..kernel.signature import Signature
from .call_site import CallSite
from .foreign import ForeignKernel
from .includes import expanded

if TYPE_CHECKING:
    from ..target import Target

Define = Union[str, int, float, bool, None]


def opencl_kernel(
    source: str | os.PathLike[str],
    entry: str,
    *,
    options: Sequence[str] = (),
    defines: Mapping[str, Define] | None = None,
    include_dirs: Sequence[str | os.PathLike[str]] = (),
) -> OpenCLKernel:
    """Make a kernel of OpenCL C, to be run by tests that are marked ``opencl``.

    Parameters
    ----------
    source : str or path
        A file, relative to the working directory or to the calling file, or the text itself.
    entry : str
        The name of the ``__kernel`` function.
    options : sequence of str
        Options for the driver's compiler, such as ``"-cl-fast-relaxed-math"``. ``"-Ifolder"`` is as in `include_dirs`
        where this host has the folder; else, as any other path, it is one on the device.
    defines : mapping of str to str, int, float or bool, optional
        Macros.
    include_dirs : sequence of str or path
        Where on this host ``#include "file"`` is looked for, beside the folder of the file that has it. What is not
        there is left to the driver's compiler.

    Returns
    -------
    OpenCLKernel
    """
    for name, given in (("options", options), ("include_dirs", include_dirs)):
        if isinstance(given, (str, os.PathLike)):
            raise ArgumentError(f"{name}={given!r}: give a sequence, as in {name}=[{str(given)!r}]")
    site = CallSite.above()
    named, others = _host_folders(options, site)
    folders = [Path(*site.resolve(os.fspath(folder))) for folder in include_dirs]
    return OpenCLKernel(source, entry, others, dict(defines or {}), (*folders, *named), site)


def _host_folders(options: Sequence[str], site: CallSite) -> tuple[list[Path], tuple[str, ...]]:
    """Return the folders of ``-I`` that this host has, and the options without them."""
    folders: list[Path] = []
    others: list[str] = []
    given = iter(options)
    for option in given:
        words = [option, *islice(given, 1)] if option.strip() == "-I" else [option]
        name = "".join(words).strip().removeprefix("-I").strip()
        folder = Path(*site.resolve(name))
        if option.lstrip().startswith("-I") and name and folder.is_dir():
            folders.append(folder)
        else:
            others += words
    return folders, tuple(others)


class OpenCLKernel(ForeignKernel):
    """A kernel in OpenCL C; its file is read when it is used, and again when it has changed."""

    language = "a kernel in OpenCL C"

    def __init__(
        self,
        source: str | os.PathLike[str],
        entry: str,
        options: tuple[str, ...],
        defines: dict[str, Define],
        include_dirs: tuple[Path, ...],
        site: CallSite,
    ) -> None:
        self._entry = entry
        self._source = os.fspath(source)
        self._is_text = isinstance(source, str) and bool(re.search(r"[\n{;]", source))
        self._site = site
        self._text = ""
        self._options = options
        self._defines = defines
        self._include_dirs = include_dirs

    def __repr__(self) -> str:
        return f"<OpenCLKernel {self.name} at {self._site.shown}:{self._site.line}>"

    @property
    def name(self) -> str:
        """The name of its ``__kernel`` function."""
        return self._entry

    @property
    def signature(self) -> Signature:
        """The name alone: a device tells the parameters, once it has built the program."""
        return Signature(self.name, ())

    @property
    def text(self) -> str:
        """The program, with its macros in front and the files that it includes in place; another one if they changed.

        Raises
        ------
        CompileError
            If its file cannot be read.
        """
        if not self._text or not self._is_text or "#include" in self._source:
            text = self._composed()
            if text != self._text:
                self._text = text
        return self._text

    # By this name the compiler asks what it would make: as long as that is the same object, nothing is built anew.
    ir = text

    def _composed(self) -> str:
        defines = "".join(f"#define {name}{_written(value)}\n" for name, value in self._defines.items())
        if self._is_text:
            first = self._site.line_of(self._source)
            name = self._site.shown if first else f"{self.name}.cl"
            return defines + expanded(self._source, name, Path(self._site.folder), self._include_dirs, first or 1)
        path = Path(*self._site.resolve(self._source))
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise CompileError(f"{self._site.shown}:{self._site.line}: cannot read {self._source}: {reason}") from None
        return defines + expanded(text, self._source, path.parent, self._include_dirs)

    def opencl_program(self) -> OpenCLProgram:
        """Return the program."""
        return OpenCLProgram(self.text, (), build_options=self._options, is_handwritten=True)

    def llvm_ir(self, target: Target) -> NoReturn:
        """Refuse: no CPU target runs OpenCL C.

        Raises
        ------
        ArgumentError
            Always; it says what to write.
        """
        raise ArgumentError(
            f"{self.name} is {self.language}, and this is for the CPU ({target.triple}): mark the test with "
            "@pytest.mark.opencl, or build for 'opencl'"
        )


def _written(value: Define) -> str:
    if value is None:
        return ""
    return f" {int(value) if isinstance(value, bool) else value}"
