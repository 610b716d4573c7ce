"""Compilers of C and C++: how each is called for a target, and what one translation unit becomes."""

from __future__ import annotations

import functools
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from typing import Literal
from typing import Protocol
from typing import TYPE_CHECKING

from pytest_xdevice.errors import CompileError

from .gcc_options import processor_options
from .linker import gnu_triple
from .linker import link_with_driver
from .linker import program_identity
from .linker import scratch

if TYPE_CHECKING:
    from pytest_xdevice.target import Target

Language = Literal["c", "c++", "assembler-with-cpp"]
Listing = Literal["assembly", "llvm_ir"]
_DEFAULTS: Final = ("-O3", "-fPIC")
_CLANG_DEFAULTS: Final = (
    *_DEFAULTS,
    "-fno-crash-diagnostics",  # those are files in /tmp that nobody asked for
    "-fdebug-default-version=4",  # of version 5, GNU's addr2line confuses the files that #line directives name
)
# Flags by which a user chooses the processor, instead of the target's own.
_PROCESSOR: Final = ("-march=", "-mcpu=", "-mfpu=")
_ENVIRONMENT: Final = ("CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH")
_ASSUMED_GLIBC: Final = (2, 28)
_NEWEST_GLIBC: Final = (2, 39)  # that every supported zig knows
_ZIG_ARCHES: Final = {"i686": "x86"}


@dataclass(frozen=True)
class Unit:
    """A translation unit.

    Attributes
    ----------
    path : str
        The file, as its user wrote it, from `folder`.
    folder : str
        Where the compiler is called.
    language : {"c", "c++", "assembler-with-cpp"}
    flags : tuple of str
        Include directories, macros, and the user's own flags.
    """

    path: str
    folder: str
    language: Language
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Object:
    """An object file, and the files that it was made of."""

    data: bytes
    dependencies: tuple[str, ...]


class CCompiler(Protocol):
    """A compiler of C and C++ for some targets; `identity` changes whenever its output might."""

    @property
    def identity(self) -> str:
        """What takes part in cache keys."""
        ...

    @property
    def emits_llvm(self) -> bool:
        """Whether it can print LLVM IR."""
        ...

    def serves(self, target: Target) -> bool:
        """Tell whether it has code generation and headers for `target`."""
        ...

    def command(self, target: Target, language: Language, flags: Sequence[str]) -> list[str]:
        """Return how it is called to compile, all but the file; `flags` are the user's, and come last."""
        ...

    def link_command(self, target: Target, language: Language) -> list[str]:
        """Return how it is called to link."""
        ...


@dataclass(frozen=True)
class ZigClang:
    """The clang of the package ziglang, with the headers that it has for every target.

    It is called as clang itself: ``zig cc`` has another spelling of processors, and checks of its own in the code.
    """

    program: str
    emits_llvm = True

    @property
    def identity(self) -> str:
        return program_identity((self.program,))

    def serves(self, target: Target) -> bool:
        return target.libc in ("gnu", "musl")

    def command(self, target: Target, language: Language, flags: Sequence[str]) -> list[str]:
        return [
            self.program, "clang", f"--target={target.triple}", "-nostdinc",
            *_zig_headers(self.program, _zig_triple(target), language), *_clang_processor(target, flags),
            *_CLANG_DEFAULTS, *flags,
        ]  # fmt: skip

    def link_command(self, target: Target, language: Language) -> list[str]:
        return [self.program, "c++" if language == "c++" else "cc", "-target", _zig_triple(target)]


@dataclass(frozen=True)
class HostClang:
    """A clang on PATH, which has headers and libraries for this host alone."""

    program: str
    emits_llvm = True

    @property
    def identity(self) -> str:
        return program_identity((self.program,))

    def serves(self, target: Target) -> bool:
        return _is_host(target)

    def command(self, target: Target, language: Language, flags: Sequence[str]) -> list[str]:
        processor = _clang_processor(target, flags)
        if not _accepts(self.program, tuple(processor)):
            processor = _clang_processor(target, flags, with_cpu=False)  # it is older than the processor
        return [self.program, *processor, *_CLANG_DEFAULTS, *flags]

    def link_command(self, target: Target, language: Language) -> list[str]:
        return [_for_cpp(self.program, "clang", "clang++") if language == "c++" else self.program]


@dataclass(frozen=True)
class Gcc:
    """GCC for one machine: this host's, or a cross compiler.

    Parameters
    ----------
    program : str
    machine : str
        As in a cross compiler's name: ``"arm-linux-gnueabihf"``.
    """

    program: str
    machine: str
    emits_llvm = False

    @property
    def identity(self) -> str:
        return program_identity((self.program,))

    def serves(self, target: Target) -> bool:
        return gnu_triple(target) == self.machine

    def command(self, target: Target, language: Language, flags: Sequence[str]) -> list[str]:
        accepts = functools.partial(_accepts, self.program)
        processor = [] if _chooses_processor(flags) else processor_options(target, accepts)
        return [self.program, *processor, *_DEFAULTS, *flags]

    def link_command(self, target: Target, language: Language) -> list[str]:
        return [_for_cpp(self.program, "gcc", "g++") if language == "c++" else self.program]


def _for_cpp(program: str, c: str, cpp: str) -> str:
    """Return the name of the driver that links with the library of C++: of ``gcc-12`` it is ``g++-12``."""
    folder, name = os.path.split(program)
    return os.path.join(folder, name.replace(c, cpp))


def compile_unit(compiler: CCompiler, unit: Unit, target: Target) -> Object:
    """Compile one translation unit.

    Raises
    ------
    CompileError
        With what the compiler wrote.
    """
    with scratch() as folder:
        result, listed = Path(folder, "unit.o"), Path(folder, "unit.d")
        command = [*_called(compiler, unit, target), "-c", "-o", str(result), "-MD", "-MF", str(listed)]
        said = _run(command, unit)
        if not result.exists():
            raise CompileError(said or f"{command[0]} made no object of {unit.path}")
        data = result.read_bytes()
        if not data.startswith(b"\x7fELF"):
            raise CompileError(f"{unit.path} became no ELF object: leave out -flto and what else stops before one")
        return Object(data, _dependencies(listed.read_text(errors="surrogateescape")))


def check_unit(compiler: CCompiler, unit: Unit, target: Target) -> None:
    """Have the compiler check a unit without making code; CompileError with what it wrote."""
    _run([*_called(compiler, unit, target), "-fsyntax-only", "-w"], unit)


def list_unit(compiler: CCompiler, unit: Unit, target: Target, kind: Listing) -> str:
    """Return the assembly, or the LLVM IR after optimisation, of a unit; empty where the compiler has none."""
    if kind == "llvm_ir" and not compiler.emits_llvm:
        return ""
    options = ["-S", "-emit-llvm"] if kind == "llvm_ir" else ["-S"]
    with scratch() as folder:
        result = Path(folder, "listing")
        _run([*_called(compiler, unit, target), *options, "-o", str(result)], unit)
        return result.read_text(errors="replace")


def link_units(
    compiler: CCompiler, inputs: Sequence[bytes], target: Target, language: Language, flags: Sequence[str]
) -> bytes:
    """Return the shared library of objects, linked with the compiler's own libraries; CompileError if it refuses."""
    kept = [flag for flag in flags if not flag.startswith(_PROCESSOR)]
    return link_with_driver([*compiler.link_command(target, language), *kept], inputs, kept)


def command_line(compiler: CCompiler, unit: Unit, target: Target, result: str) -> str:
    """Return the command that makes the object `result` of a unit, for a shell."""
    command = shlex.join([*_called(compiler, unit, target), "-c"])
    return f'(cd {shlex.quote(unit.folder)} && {command} -o "$OLDPWD/{result}")'


def environment() -> str:
    """Return what of the environment changes where headers are found."""
    return "\0".join(f"{name}={os.environ.get(name, '')}" for name in _ENVIRONMENT)


def _called(compiler: CCompiler, unit: Unit, target: Target) -> list[str]:
    return [*compiler.command(target, unit.language, unit.flags), "-x", unit.language, unit.path]


def _run(command: Sequence[str], unit: Unit) -> str:
    """Call the compiler where the unit's paths start; return what it said, or raise it."""
    try:
        done = subprocess.run(
            command,
            cwd=unit.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except OSError as error:
        raise CompileError(f"cannot run the compiler {command[0]}: {error}") from None
    if done.returncode:
        ended = f"{Path(command[0]).name} ended with status {done.returncode}"
        raise CompileError(done.stdout.strip() or ended)
    return done.stdout


def _dependencies(text: str) -> tuple[str, ...]:
    """Read the rule for make that a compiler wrote, without its target."""
    _, _, listed = text.replace("\\\n", " ").partition(": ")
    return tuple(name.replace("\\ ", " ").replace("$$", "$") for name in re.findall(r"(?:\\ |\S)+", listed))


def _chooses_processor(flags: Sequence[str]) -> bool:
    return any(flag.startswith(_PROCESSOR) for flag in flags)


def _clang_processor(target: Target, flags: Sequence[str], *, with_cpu: bool = True) -> list[str]:
    """Return the target's processor and features in LLVM's own words, which clang's options spell otherwise."""
    if _chooses_processor(flags):
        return []
    words = ["-target-cpu", target.cpu] if target.cpu and with_cpu else []
    # Clang forgets their order: what a later one takes back must not be said.
    signs = {feature[1:]: feature[0] for feature in target.features}
    if target.arch == "arm" and signs.get("neon") == "+" and signs.get("d32") == "-":
        del signs["d32"]
    for name, sign in signs.items():
        words += ["-target-feature", sign + name]
    abi = [f"-mabi={target.abi}"] if target.abi else []
    return [*abi, *(part for word in words for part in ("-Xclang", word))]


def _is_host(target: Target) -> bool:
    libc = "gnu" if platform.libc_ver()[0] == "glibc" else "musl"
    return target.arch == platform.machine() and target.libc == libc


def has_headers(program: str) -> bool:
    """Tell whether a compiler finds its own headers and those of the C library, which are packages of their own."""
    command = [program, "-fsyntax-only", "-include", "stddef.h", "-include", "stdio.h", "-x", "c", os.devnull]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return not done.returncode


@functools.lru_cache(maxsize=256)
def _accepts(program: str, options: tuple[str, ...]) -> bool:
    """Tell whether a compiler knows some options."""
    command = [program, *options, "-fsyntax-only", "-x", "c", os.devnull]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return not done.returncode


def _zig_triple(target: Target) -> str:
    version = ""
    if target.libc == "gnu":
        version = ".{}.{}".format(*min(target.glibc or _ASSUMED_GLIBC, _NEWEST_GLIBC))
    return f"{_ZIG_ARCHES.get(target.arch, target.arch)}-linux-{target.environment}{version}"


@functools.cache
def _zig_headers(program: str, triple: str, language: Language) -> tuple[str, ...]:
    """Return the options for the headers that zig has for a target, as it would hand them to clang itself."""
    driver = "c++" if language == "c++" else "cc"
    suffix = "cpp" if language == "c++" else "c"
    with scratch() as folder:
        source = Path(folder, f"empty.{suffix}")
        source.write_text("")
        command = [program, driver, "-target", triple, "-c", str(source), "-o", f"{folder}/empty.o", "-###"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    line = next((line for line in done.stderr.splitlines() if '"-cc1"' in line), "")
    words = shlex.split(line)
    # Zig shortens paths to those within the working directory, which is another when a kernel is compiled.
    found = [
        part
        for option, value in pairwise(words)
        if option in ("-isystem", "-D")
        for part in (option, str(Path(value).resolve()) if option == "-isystem" else value)
    ]
    if not found:
        raise CompileError(f"{program} has no headers for {triple}:\n{done.stderr.strip()[-2000:]}")
    return tuple(found)
