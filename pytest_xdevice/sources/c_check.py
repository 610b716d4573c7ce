"""Checks that something defines a kernel in C, and that its prototype is what the compiler knows of it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import NoReturn
from typing import TYPE_CHECKING

from ..errors import CompileError
from ..toolchain.archive import elf_files
from ..toolchain.c_compiler import CCompiler
from ..toolchain.c_compiler import Unit
from ..toolchain.c_objects import CachedObject
from ..toolchain.c_objects import check_once
from ..toolchain.elf import ElfFile
from ..toolchain.parts import Workshop
from .abi import Function
from .prototype import Place

if TYPE_CHECKING:
    from ..target import Target

_SHOWN_NAMES = 20


@dataclass(frozen=True)
class EntryCheck:
    """The check of one kernel.

    Attributes
    ----------
    function : Function
    prototype : str
        As its user wrote it.
    place : Place
        Where that stands.
    compiler : CCompiler
    target : Target
    """

    function: Function
    prototype: str
    place: Place
    compiler: CCompiler
    target: Target

    def run(
        self, made: Sequence[tuple[Unit, CachedObject]], given: Sequence[bytes], workshop: Workshop
    ) -> None:  # fmt: skip
        """Check the objects that were `made` of units, and those that were `given`.

        Raises
        ------
        CompileError
            If none defines the kernel, or the one that does takes other arguments than the prototype says.
        """
        name = self.function.name
        for unit, each in made:
            if name in ElfFile(each.data).defined:
                if unit.language != "assembler-with-cpp":
                    self._compare(unit, each, workshop)
                return
        if not any(name in file.defined for data in given for file in elf_files(data)):
            self._refuse([unit.path for unit, _ in made], [each.data for _, each in made])

    def _refuse(self, paths: Sequence[str], objects: Sequence[bytes]) -> NoReturn:
        name = self.function.name
        defined = sorted({found for data in objects for found in ElfFile(data).defined})
        mangled = next((found for found in defined if found.startswith("_Z") and name in found), "")
        listed = ", ".join(defined[:_SHOWN_NAMES]) or "nothing"
        advice = f"what is defined is {listed}; a static or inline function does not count"
        if mangled:
            advice = f'C++ calls it {mangled}: declare it extern "C"'
        raise CompileError(
            f"{self.place.filename}:{self.place.line}: the prototype names {name}, which is not defined in "
            f"{', '.join(map(os.path.basename, paths))}: {advice}"
        )

    def _compare(self, unit: Unit, each: CachedObject, workshop: Workshop) -> None:
        """Have the compiler see the prototype after the function, so that it tells of a difference."""
        suffix = "cpp" if unit.language == "c++" else "c"
        path = workshop.file_of(f"{self.function.name}.check.{suffix}", self._text(unit))
        flags = ("-iquote", unit.folder, *unit.flags)
        try:
            check_once(
                workshop.cache, self.compiler, replace(unit, path=str(path), flags=flags), self.target, each
            )  # fmt: skip
        except CompileError as error:
            raise CompileError(
                f"{self.place.filename}:{self.place.line}: the prototype does not agree with the function:\n{error}"
            ) from None

    def _text(self, unit: Unit) -> str:
        source = os.path.abspath(os.path.join(unit.folder, unit.path))
        end = "" if self.prototype.rstrip().endswith(";") else ";"
        declared = f'#line {self.place.line} "{self.place.filename}"\n{self.prototype}{end}\n'
        if unit.language == "c++":
            if not re.search(r'extern\s+"C"', self.prototype):
                declared = f'extern "C" {{\n{declared}}}\n'
            declared = f"#define restrict __restrict\n#define _Bool bool\n{declared}"
        return f'#include "{source}"\n#include <stddef.h>\n#include <stdint.h>\n#include <stdbool.h>\n{declared}'
