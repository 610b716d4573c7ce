"""Makes a shared library of an object file, with a linker by itself or with a compiler driver."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import Protocol
from typing import TYPE_CHECKING

from pytest_xdevice.errors import CompileError

from .archive import resolve
from .cache import Cache
from .cache import write_atomically
from .elf import ElfFile
from .libraries import Library
from .libraries import needed_by
from .libraries import stub_ir
from .libraries import version_script
from .llvm import CompilerProcess

if TYPE_CHECKING:
    from pytest_xdevice.target import Target

# GNU's names for the formats of shared libraries, which LLD knows as well.
EMULATIONS: Final = {
    "x86_64": "elf_x86_64",
    "i686": "elf_i386",
    "aarch64": "aarch64linux",
    "arm": "armelf_linux_eabi",
    "riscv64": "elf64lriscv",
}
# Pages apart for code and for relocated data would pad a kernel of 2 kB to 64 kB, all of which goes up.
_LAYOUT: Final = tuple(f"-z{word}" for word in ("now", "noexecstack", "noseparate-code", "norelro"))
# Else a kernel called "div" or "crc32" is another one's: the loader looks in Python and its libraries first.
_OWN_FIRST: Final = "-Bsymbolic"
_MEMORY: Final = "/dev/shm"
_GNU_ARCHES: Final = {"armv7l": "arm", "armv8l": "arm", "armv6l": "arm", "armv5te": "arm", "i686": "i686"}


class Linker(Protocol):
    """One way to link; `identity` changes whenever its output might."""

    @property
    def identity(self) -> str:
        """What takes part in cache keys."""
        ...

    def serves(self, target: Target) -> bool:
        """Tell whether it can link for `target`."""
        ...

    def line(self, target: Target) -> str:
        """Return how it is called, all but the files and the device's libraries."""
        ...

    def link(self, obj: bytes, target: Target, others: Sequence[bytes] = ()) -> bytes:
        """Return the shared library made of the relocatable object `obj`.

        Parameters
        ----------
        obj : bytes
        target : Target
        others : sequence of bytes
            Objects, all of which go in, and static libraries, of which the members go in that are called.

        Raises
        ------
        UndefinedSymbols
            If a symbol is defined nowhere that this linker knows of.
        CompileError
            If the linker refuses.
        """
        ...


class UndefinedSymbols(CompileError):
    """Symbols that nothing defines which a linker knows of.

    Attributes
    ----------
    names : tuple of str
    """

    def __init__(self, names: Sequence[str], target: Target) -> None:
        advice = next((text for start, text in _ADVICE if any(name.startswith(start) for name in names)), _PLAIN_ADVICE)
        super().__init__(f"undefined symbols for {target.triple}: {', '.join(names)}; {advice}")
        self.names = tuple(names)


_PLAIN_ADVICE: Final = "a kernel may call the C library's math and memory functions and what it defines itself"
# What the names of other symbols start with, and how to do without them.
_ADVICE: Final = (
    ("__ubsan_", "a device has no library of sanitizers: compile with -fno-sanitize=undefined"),
    ("__asan_", "a device has no library of sanitizers: compile without -fsanitize=address"),
    ("NRT_", "a device has not numba's own library: a function for it allocates no arrays and raises no exceptions"),
    (
        "numba_",
        "a device has not numba's own library: a function for it raises no exceptions, as a division by zero does; "
        'cfunc(..., error_model="numpy") leaves that one out',
    ),
)


@dataclass(frozen=True)
class StubLinker:
    """A linker by itself, LLD or GNU ld, that links against stubs of the device's libraries.

    Parameters
    ----------
    command : tuple of str
        How it is called.
    emulations : frozenset of str
        The names of what it can link for, as its option ``-m`` takes them.
    cache : Cache
        Keeps the stub libraries.
    compiler : CompilerProcess
        Makes them.
    """

    command: tuple[str, ...]
    emulations: frozenset[str]
    cache: Cache
    compiler: CompilerProcess

    @property
    def identity(self) -> str:
        return program_identity(self.command)

    def serves(self, target: Target) -> bool:
        return EMULATIONS.get(target.arch) in self.emulations

    def line(self, target: Target) -> str:
        return shlex.join(
            [*self.command, "-m", EMULATIONS[target.arch], "-shared", _OWN_FIRST, *_LAYOUT, "-o", "kernel.so"]
        )

    def link(self, obj: bytes, target: Target, others: Sequence[bytes] = ()) -> bytes:
        found = resolve((obj, *others))
        libraries, unknown = needed_by(found.undefined, target)
        if unknown:
            raise UndefinedSymbols(unknown, target)
        inputs = found.objects
        options = ["--no-undefined", "--as-needed"]
        stubs = [self._stub(library, target) for library in libraries]
        try:
            return self._run(inputs, target, [*options, *map(str, stubs)])
        except CompileError:
            # A damaged stub is as likely as anything: everything that the object needs is there.
            for stub in stubs:
                stub.unlink(missing_ok=True)
            return self._run(inputs, target, [*options, *(str(self._stub(library, target)) for library in libraries)])

    def _stub(self, library: Library, target: Target) -> Path:
        script = version_script(library)
        text = "\0".join((target.triple, library.soname, script, *library.symbols, self.identity))
        path = self.cache.path_of(hashlib.sha256(text.encode()).hexdigest(), f"-{library.soname}")
        if not path.exists():
            obj = self.compiler.compile(stub_ir(library), target.generic().machine).object
            data = self._run((obj,), target, [f"--soname={library.soname}"], script)
            if not write_atomically(path, data):
                raise CompileError(f"cannot write {path}: name a cache directory that can be written")
        return path

    def _run(self, inputs: Sequence[bytes], target: Target, options: Sequence[str], script: str = "") -> bytes:
        with scratch() as folder:
            result = Path(folder, "kernel.so")
            command = [
                *self.command, "-m", EMULATIONS[target.arch], "-shared", _OWN_FIRST, *_stripping(inputs), *_LAYOUT,
                "-o", str(result), *written(inputs, folder), *options,
            ]  # fmt: skip
            if script:
                Path(folder, "versions").write_text(script)
                command.append(f"--version-script={folder}/versions")
            return call(command, result)


@dataclass(frozen=True)
class DriverLinker:
    """A C compiler driver: a cross compiler's, or this host's own for its own architecture. It knows its libraries.

    Parameters
    ----------
    command : tuple of str
        How it is called.
    machine : str
        The triple's architecture, environment and all, that it links for, as in its name: ``"arm-linux-gnueabihf"``.
    glibc : tuple of (int, int), optional
        Version of its C library, where known: what it links asks for no less.
    """

    command: tuple[str, ...]
    machine: str
    glibc: tuple[int, int] | None = None

    @property
    def identity(self) -> str:
        return program_identity(self.command)

    def serves(self, target: Target) -> bool:
        newer = self.glibc and target.glibc and self.glibc > target.glibc
        return gnu_triple(target) == self.machine and not newer

    def line(self, target: Target) -> str:
        return shlex.join([*self.command, "-shared", f"-Wl,{_OWN_FIRST}", "-lm", "-o", "kernel.so"])

    def link(self, obj: bytes, target: Target, others: Sequence[bytes] = ()) -> bytes:
        return link_with_driver(self.command, (obj, *others))


def link_with_driver(command: Sequence[str], inputs: Sequence[bytes], libraries: Sequence[str] = ()) -> bytes:
    """Return the shared library that a compiler driver makes of objects and static libraries.

    Parameters
    ----------
    command : sequence of str
        How the driver is called for the target.
    inputs : sequence of bytes
    libraries : sequence of str
        Further options, such as ``"-lz"``.

    Raises
    ------
    CompileError
        If it refuses.
    """
    with scratch() as folder:
        result = Path(folder, "kernel.so")
        objects = resolve(inputs).objects
        options = [f"-Wl,{_OWN_FIRST}", "-Wl,-z,defs", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,--as-needed"]
        options += [f"-Wl,{option}" for option in _stripping(objects)]
        made = [*command, "-shared", "-o", str(result), *written(objects, folder), *options, *libraries]
        return call([*made, "-lm", "-lpthread"], result)


def _stripping(objects: Sequence[bytes]) -> list[str]:
    """Return the option that leaves out what nobody reads: all but the lines of those who compiled with ``-g``."""
    return [] if any(ElfFile(data).has_lines for data in objects) else ["--strip-all"]


def written(inputs: Sequence[bytes], folder: str) -> list[str]:
    """Write what is to be linked below `folder`, and return the paths."""
    paths = []
    for index, data in enumerate(inputs):
        path = Path(folder, f"{index or 'kernel'}.o")
        path.write_bytes(data)
        paths.append(str(path))
    return paths


def gnu_triple(target: Target) -> str:
    """Return the target's triple as cross compilers are named: ``"arm-linux-gnueabihf"``."""
    name, _, system, environment = target.triple.split("-")
    return f"{_GNU_ARCHES.get(name, name)}-{system}-{environment}"


def program_identity(command: Sequence[str]) -> str:
    """Return text that changes when the program that a command calls does."""
    try:
        facts = os.stat(command[0])
    except OSError:
        return " ".join(command)
    return f"{' '.join(command)} {facts.st_size} {facts.st_mtime_ns}"


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Make a directory for the files of one link, in memory if it can be: on a busy disk that alone took 4 ms."""
    return tempfile.TemporaryDirectory(prefix="xdevice-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)


def call(command: Sequence[str], result: Path) -> bytes:
    """Run a linker and return the file `result` that it makes; CompileError if it makes none."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,  # one pipe for both is read without an event loop
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    except OSError as error:
        raise CompileError(f"cannot run the linker {command[0]}: {error}") from None
    if done.returncode or not result.exists():
        raise CompileError(f"{Path(command[0]).name} could not link ({done.returncode}):\n{done.stdout.strip()}")
    return result.read_bytes()
