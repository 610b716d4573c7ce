"""Checks that something defines a kernel in C, and that its prototype is what the compiler knows of it.

A function that its file keeps to itself, static or inline, is handed out by a unit that includes that file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Final
from typing import TYPE_CHECKING

from ..errors import CompileError
from ..toolchain.archive import elf_files
from ..toolchain.c_compiler import CCompiler
from ..toolchain.c_compiler import Unit
from ..toolchain.c_objects import CachedObject
from ..toolchain.c_objects import check_once
from ..toolchain.c_objects import compiled
from ..toolchain.elf import ElfFile
from ..toolchain.parts import Workshop
from .abi import Function
from .prototype import Place

if TYPE_CHECKING:
    from ..target import Target

_SHOWN_NAMES = 20
_BODY: Final = re.compile(r"\b(struct|union|enum)\s+(\w+)\s*\{[^{}]*\}")
_UNNAMED: Final = re.compile(r"\btypedef\s+(?:struct|union|enum)\s*\{[^{}]*\}[^;]*;")


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
    ) -> list[tuple[Unit, CachedObject]]:
        """Check the objects that were `made` of units, and those that were `given`.

        Returns
        -------
        list of (Unit, CachedObject)
            Those that were made, one of them in a form that hands the kernel out, where its own does not.

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
                return list(made)
        if any(name in file.defined for data in given for file in elf_files(data)):
            return list(made)
        for position, (unit, each) in enumerate(made):
            found = self._handed_out(unit, each, workshop) if unit.language == "c" else None
            if found is not None:
                return [*made[:position], found, *made[position + 1 :]]
        raise self._missing(made)

    def _handed_out(self, unit: Unit, each: CachedObject, workshop: Workshop) -> tuple[Unit, CachedObject] | None:
        """Return a unit with another's static or inline function for all to call; None where that has no such one."""
        name = self.function.name
        kept = f'__asm__(".globl {name}");\n__attribute__((used)) static void *const xd_kept = (void *) {name};\n'
        # A declaration has an inline function made. One that disagrees is told of once the function is found without.
        declarations = (self._declared(unit, prototype) for prototype in self._prototypes)
        for declared in (*declarations, ""):
            path = workshop.file_of(f"{name}.static.c", f"{_included(unit)}{declared}{kept}")
            outer = _beside(unit, str(path))
            try:
                found = compiled(workshop.cache, self.compiler, outer, self.target)
            except CompileError:
                continue
            if name in ElfFile(found.data).defined:
                self._compare(unit, each, workshop)
                return outer, found
        return None

    def _missing(self, made: Sequence[tuple[Unit, CachedObject]]) -> CompileError:
        name = self.function.name
        paths = [os.path.basename(unit.path) for unit, _ in made]
        defined = sorted({found for _, each in made for found in ElfFile(each.data).defined})
        mangled = next((found for found in defined if found.startswith("_Z") and name in found), "")
        listed = ", ".join(defined[:_SHOWN_NAMES]) or "nothing"
        advice = f"what is defined is {listed}"
        if any(unit.language == "c++" for unit, _ in made):
            advice += "; a static or inline function of C++ does not count"
        if mangled:
            advice = f'C++ calls it {mangled}: declare it extern "C"'
        return CompileError(
            f"{self.place.filename}:{self.place.line}: the prototype names {name}, which is not defined in "
            f"{', '.join(paths)}: {advice}"
        )

    def _compare(self, unit: Unit, each: CachedObject, workshop: Workshop) -> None:
        """Have the compiler see the prototype after the function, so that it tells of a difference."""
        problems = []
        for prototype in self._prototypes:
            text = _included(unit) + self._declared(unit, prototype)
            path = workshop.file_of(f"{self.function.name}.check.{_suffix(unit)}", text)
            try:
                check_once(workshop.cache, self.compiler, _beside(unit, str(path)), self.target, each)
            except CompileError as error:
                problems.append(str(error).replace(_path_of(unit), unit.path))
            else:
                return
        raise CompileError(
            f"{self.place.filename}:{self.place.line}: the prototype does not agree with the function:\n{problems[0]}"
        )

    @property
    def _prototypes(self) -> tuple[str, ...]:
        """The prototype, and one that repeats no type's definition where it does."""
        return tuple(dict.fromkeys((self.prototype, _without_bodies(self.prototype))))

    def _declared(self, unit: Unit, prototype: str) -> str:
        """Return a prototype as a declaration in the language of a unit."""
        end = "" if prototype.rstrip().endswith(";") else ";"
        declared = f'#line {self.place.line} "{self.place.filename}"\n{prototype}{end}\n'
        if unit.language == "c++":
            if not re.search(r'extern\s+"C"', prototype):
                declared = f'extern "C" {{\n{declared}}}\n'
            declared = f"#define restrict __restrict\n#define _Bool bool\n{declared}"
        return f"#include <stddef.h>\n#include <stdint.h>\n#include <stdbool.h>\n{declared}"


def _without_bodies(prototype: str) -> str:
    """Return a prototype without what structures and enumerations consist of: the source says so already."""
    return _UNNAMED.sub("", _BODY.sub(r"\1 \2", prototype))


def _path_of(unit: Unit) -> str:
    return os.path.abspath(os.path.join(unit.folder, unit.path))


def _included(unit: Unit) -> str:
    return f'#include "{_path_of(unit)}"\n'


def _suffix(unit: Unit) -> str:
    return "cpp" if unit.language == "c++" else "c"


def _beside(unit: Unit, path: str) -> Unit:
    """Return a unit that includes another one, and finds the same headers."""
    return replace(unit, path=path, flags=("-iquote", unit.folder, *unit.flags))
