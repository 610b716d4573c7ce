"""Kernels in C and C++, from a file or a text, compiled for whatever target a test runs on."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Final
from typing import Literal
from typing import TYPE_CHECKING
from typing import Union

from ..errors import ArgumentError
from ..errors import CompileError
from .call_site import CallSite
from .foreign import PrototypedKernel

if TYPE_CHECKING:
    from ..target import Target
    from ..toolchain.c_compiler import Language
    from ..toolchain.c_compiler import Unit
    from ..toolchain.c_objects import CachedObject
    from ..toolchain.c_objects import Stamp
    from ..toolchain.parts import Parts
    from ..toolchain.parts import Workshop

PathText = Union[str, "os.PathLike[str]"]
CLanguage = Literal["c", "c++"]
_SUFFIXES: Final[dict[str, Language]] = {
    ".c": "c", ".cc": "c++", ".cpp": "c++", ".cxx": "c++", ".C": "c++",
    ".s": "assembler-with-cpp", ".S": "assembler-with-cpp",
}  # fmt: skip
_IS_CPP: Final = re.compile(r'extern\s+"C"|\btemplate\s*<|\bnamespace\b')


def c_kernel(
    path_or_text: PathText,
    prototype: str,
    *,
    sources: Sequence[PathText] = (),
    objects: Sequence[PathText] = (),
    flags: Sequence[str] = (),
    include_dirs: Sequence[PathText] = (),
    defines: Mapping[str, object] | None = None,
    language: CLanguage | None = None,
) -> CKernel:
    """Make a kernel of a function in C or C++.

    Parameters
    ----------
    path_or_text : str or path
        A file, relative to the working directory or to the calling file; or C code itself.
    prototype : str
        The function's declaration: ``"void saxpy(int n, float a, const float *x, float *y)"``. ``const T *`` is an
        array that is read, ``T *`` one that is read and written. A result comes back after the arrays.
    sources : sequence of paths
        Further translation units.
    objects : sequence of paths
        Object files and static libraries, for the target.
    flags : sequence of str
        Of the compiler, after ``-O3 -fPIC``. One that chooses a processor (``-march=``, ``-mcpu=``, ``-mfpu=``) stands
        instead of the target's processor and features.
    include_dirs : sequence of paths
    defines : mapping of str to object
        Macros; None or True for one without a value, which is 1.
    language : {"c", "c++"}, optional
        By default what the file's name says; a text is C++ where it has ``extern "C"``, templates or namespaces.

    Returns
    -------
    CKernel
        As good as a kernel in Python, on CPUs. Nothing is read or compiled before it is used.
    """
    if language not in (None, "c", "c++"):
        raise ArgumentError(f"language={language!r}: it is 'c' or 'c++'")
    for name, given in (("flags", flags), ("sources", sources), ("objects", objects), ("include_dirs", include_dirs)):
        if isinstance(given, (str, os.PathLike)):
            raise ArgumentError(f"{name}={given!r}: give a sequence, as in {name}=[{str(given)!r}]")
    code = Code(
        path_or_text if isinstance(path_or_text, str) else os.fspath(path_or_text),
        is_text=isinstance(path_or_text, str) and bool(re.search(r"[\n{]", path_or_text)),
        sources=_paths(sources),
        objects=_paths(objects),
        flags=(*_define_flags(defines or {}), *flags),
        include_dirs=_paths(include_dirs),
        language=language,
    )
    return CKernel(code, prototype, CallSite.above())


@dataclass(frozen=True)
class Code:
    """What a kernel in C is made of, as its user gave it."""

    main: str
    is_text: bool
    sources: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    include_dirs: tuple[str, ...] = ()
    language: CLanguage | None = None


class CKernel(PrototypedKernel):
    """A kernel in C or C++; made by `c_kernel`."""

    language = "a kernel in C"

    def __init__(self, code: Code, prototype: str, site: CallSite) -> None:
        super().__init__(prototype, site)
        self._code = code
        self._made_of: dict[Target, tuple[tuple[Stamp, ...], object]] = {}

    def revision(self, target: Target) -> object:
        """Return the same object as long as no file that it was built of for `target` has changed."""
        from ..toolchain.c_objects import Stamp

        stamps, token = self._made_of.get(target, ((), None))
        if token is None or any(Stamp.of(stamp.path) != stamp for stamp in stamps):
            return object()
        return token

    def parts(self, target: Target, workshop: Workshop) -> Parts:
        """Compile for `target`.

        Raises
        ------
        CompileError
            With what the compiler wrote, or if nothing defines the kernel.
        KernelError
            If there is a mistake in the prototype.
        """
        from ..toolchain.c_compiler import command_line
        from ..toolchain.c_compiler import link_units
        from ..toolchain.c_compiler import list_unit
        from ..toolchain.c_objects import compiled
        from ..toolchain.parts import Parts
        from .c_check import EntryCheck

        compiler = workshop.c_compiler(target, self.name)
        units = [self._main_unit(workshop), *map(self._unit, self._code.sources)]
        own = [(unit, compiled(workshop.cache, compiler, unit, target)) for unit in units]
        given = [self._binary(path, target) for path in self._code.objects]
        check = EntryCheck(self.function, self.prototype, self._site.place_of(self.prototype), compiler, target)
        made = check.run(own, given, workshop)
        self._remember(target, [each for _, each in made])
        language: Language = "c++" if any(unit.language == "c++" for unit in units) else "c"
        objects = (*(each.data for _, each in made), *given)
        main = made[0][0]
        return Parts(
            objects=objects,
            link=lambda inputs: link_units(compiler, inputs, target, language, self._code.flags),
            source=_text_of(units[0]),
            sources={f"{index}{os.path.splitext(unit.path)[1]}": _text_of(unit) for index, unit in enumerate(units, 1)},
            llvm_ir=functools.partial(list_unit, compiler, main, target, "llvm_ir"),
            assembly=functools.partial(list_unit, compiler, main, target, "assembly"),
            signature=self.function.signature_on(target),
            place=self.place,
            commands=tuple(
                command_line(compiler, unit, target, f"{index}.o") for index, (unit, _) in enumerate(made, 1)
            ),
        )

    def _remember(self, target: Target, made: Sequence[CachedObject]) -> None:
        from ..toolchain.c_objects import Stamp

        folder = self._site.folder
        given = tuple(Stamp.of(os.path.join(folder, path)) for path in self._code.objects)
        self._made_of[target] = (*(stamp for each in made for stamp in each.stamps), *given), object()

    def _main_unit(self, workshop: Workshop) -> Unit:
        if not self._code.is_text:
            return self._unit(self._code.main)
        language = self._code.language or ("c++" if _IS_CPP.search(self._code.main) else "c")
        line = self._site.line_of(self._code.main)
        name = self._site.shown if line else f"{self.name}.{'cpp' if language == 'c++' else 'c'}"
        text = f'#line {line or 1} "{name}"\n{self._code.main}\n'
        path = workshop.file_of(f"{self.name}.{'cpp' if language == 'c++' else 'c'}", text)
        # Headers are found from where the text stands, as those of a file are.
        return replace(self._unit(str(path), language), flags=("-iquote", self._site.folder, *self._flags))

    def _unit(self, path: str, language: CLanguage | None = None) -> Unit:
        from ..toolchain.c_compiler import Unit

        suffix = os.path.splitext(path)[1]
        chosen: Language | None = language or self._code.language or _SUFFIXES.get(suffix)
        if chosen is None:
            raise ArgumentError(
                f"{path}: no file of C or C++ by its name, which ends in one of {', '.join(_SUFFIXES)}; "
                "or say language='c' or 'c++'"
            )
        folder, path = self._site.resolve(path)
        if not os.path.isfile(os.path.join(folder, path)):
            raise CompileError(
                f"{self.place}: there is no file {path}, neither beside this test file nor in {os.getcwd()}"
            )
        if suffix in (".s", ".S"):
            chosen = "assembler-with-cpp"
        return Unit(path, folder, chosen, self._flags)

    @property
    def _flags(self) -> tuple[str, ...]:
        folders = [f"-I{os.path.join(*self._site.resolve(path))}" for path in self._code.include_dirs]
        return (*folders, *self._code.flags)


def _text_of(unit: Unit) -> str:
    return Path(unit.folder, unit.path).read_text(errors="replace")


def _paths(given: Sequence[PathText]) -> tuple[str, ...]:
    return tuple(os.fspath(path) for path in given)


def _define_flags(defines: Mapping[str, object]) -> list[str]:
    flags = []
    if not isinstance(defines, Mapping):
        raise ArgumentError(f"defines={defines!r}: give a mapping, as in defines={{'SIZE': 16}}")
    for name, value in defines.items():
        if value is False:
            raise ArgumentError(f"defines: {name}=False: leave the macro out, or write 0 for its value")
        flags.append(f"-D{name}" if value is None or value is True else f"-D{name}={value}")
    return flags
