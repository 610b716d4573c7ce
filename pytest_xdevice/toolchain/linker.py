"""Makes a shared library of an object file, with the best linker that this host has for the target."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import Protocol
from typing import TYPE_CHECKING

from pytest_xdevice.device_info import DeviceInfo
from pytest_xdevice.errors import CompileError

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

_EMULATIONS: Final = {
    "x86_64": "elf_x86_64",
    "i686": "elf_i386",
    "aarch64": "aarch64linux",
    "arm": "armelf_linux_eabi",
    "riscv64": "elf64lriscv",
}
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

    def link(self, obj: bytes, target: Target) -> bytes:
        """Return the shared library made of the relocatable object `obj`.

        Raises
        ------
        CompileError
            If a symbol is defined nowhere, or the linker refuses.
        """
        ...


@dataclass(frozen=True)
class LldLinker:
    """LLVM's linker: one program for every target, linking against stubs of the device's libraries.

    Parameters
    ----------
    command : tuple of str
        How it is called.
    cache : Cache
        Keeps the stub libraries.
    compiler : CompilerProcess
        Makes them.
    """

    command: tuple[str, ...]
    cache: Cache
    compiler: CompilerProcess

    @property
    def identity(self) -> str:
        return _identity(self.command)

    def serves(self, target: Target) -> bool:
        return target.arch in _EMULATIONS

    def link(self, obj: bytes, target: Target) -> bytes:
        libraries, unknown = needed_by(ElfFile(obj).undefined, target)
        if unknown:
            raise CompileError(
                f"undefined symbols for {target.triple}: {', '.join(unknown)}; a kernel may call the C library's math "
                "and memory functions and what it defines itself"
            )
        options = ["--no-undefined", "--as-needed"]
        stubs = [self._stub(library, target) for library in libraries]
        try:
            return self._run(obj, target, [*options, *map(str, stubs)])
        except CompileError:
            # A damaged stub is as likely as anything: everything that the object needs is there.
            for stub in stubs:
                stub.unlink(missing_ok=True)
            return self._run(obj, target, [*options, *(str(self._stub(library, target)) for library in libraries)])

    def _stub(self, library: Library, target: Target) -> Path:
        script = version_script(library)
        text = "\0".join((target.triple, library.soname, script, *library.symbols, self.identity))
        path = self.cache.path_of(hashlib.sha256(text.encode()).hexdigest(), f"-{library.soname}")
        if not path.exists():
            obj = self.compiler.compile(stub_ir(library), target.generic().machine).object
            data = self._run(obj, target, [f"--soname={library.soname}"], script)
            if not write_atomically(path, data):
                raise CompileError(f"cannot write {path}: name a cache directory that can be written")
        return path

    def _run(self, obj: bytes, target: Target, options: Sequence[str], script: str = "") -> bytes:
        with tempfile.TemporaryDirectory(prefix="xdevice-") as folder:
            source = Path(folder, "kernel.o")
            source.write_bytes(obj)
            result = Path(folder, "kernel.so")
            command = [
                *self.command, "-m", _EMULATIONS[target.arch], "-shared", "--strip-all", "-z", "now",
                "-z", "noexecstack", "--threads=1", "-o", str(result), str(source), *options,
            ]  # fmt: skip
            if script:
                Path(folder, "versions").write_text(script)
                command.append(f"--version-script={folder}/versions")
            return _call(command, result)


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
        return _identity(self.command)

    def serves(self, target: Target) -> bool:
        newer = self.glibc and target.glibc and self.glibc > target.glibc
        return gnu_triple(target) == self.machine and not newer

    def link(self, obj: bytes, target: Target) -> bytes:
        with tempfile.TemporaryDirectory(prefix="xdevice-") as folder:
            source = Path(folder, "kernel.o")
            source.write_bytes(obj)
            result = Path(folder, "kernel.so")
            command = [
                *self.command, "-shared", "-o", str(result), str(source),
                "-Wl,-z,defs", "-Wl,-z,now", "-Wl,-z,noexecstack", "-Wl,--as-needed", "-s", "-lm",
            ]  # fmt: skip
            return _call(command, result)


def find_linkers(cache: Cache, compiler: CompilerProcess) -> tuple[Linker, ...]:
    """Return the linkers of this host, the best one first.

    ziglang's linker comes before the system's: it took 6 ms a link against 15 ms, having less to relocate at its
    own start. Both are LLD and make the same library.
    """
    lld = [LldLinker(command, cache, compiler) for command in _lld_commands()]
    return (*lld, *_drivers())


def gnu_triple(target: Target) -> str:
    """Return the target's triple as cross compilers are named: ``"arm-linux-gnueabihf"``."""
    name, _, system, environment = target.triple.split("-")
    return f"{_GNU_ARCHES.get(name, name)}-{system}-{environment}"


def _lld_commands() -> Iterator[tuple[str, ...]]:
    package = importlib.util.find_spec("ziglang")
    for folder in (package.submodule_search_locations or []) if package else []:
        program = Path(folder, "zig")
        if os.access(program, os.X_OK):
            yield (str(program), "ld.lld")  # the program itself: `python -m ziglang` starts a Python first
    for name in ("ld.lld", *_numbered("ld.lld")):
        found = shutil.which(name)
        if found:
            yield (found,)
    zig = shutil.which("zig")
    if zig:
        yield (zig, "ld.lld")


def _numbered(name: str) -> list[str]:
    """Return programs such as ``ld.lld-18`` on PATH, the newest first."""
    found: set[str] = set()
    for folder in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        found.update(path.name for path in Path(folder).glob(f"{name}-*") if re.fullmatch(r".*-\d+", path.name))
    return sorted(found, key=lambda text: -int(text.rpartition("-")[2]))


def _drivers() -> Iterator[DriverLinker]:
    for machine in (
        "x86_64-linux-gnu", "i686-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf", "arm-linux-gnueabi",
        "riscv64-linux-gnu", "x86_64-linux-musl", "aarch64-linux-musl", "arm-linux-musleabihf", "riscv64-linux-musl",
    ):  # fmt: skip
        found = shutil.which(f"{machine}-gcc")
        if found:
            yield DriverLinker((found,), machine)
    native = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    name, version = platform.libc_ver()
    if native and platform.machine() in ("x86_64", "aarch64", "riscv64"):
        libc = "gnu" if name == "glibc" else "musl"
        glibc = DeviceInfo(libc=(name, version)).glibc
        yield DriverLinker((native,), f"{platform.machine()}-linux-{libc}", glibc)


def _identity(command: Sequence[str]) -> str:
    try:
        facts = os.stat(command[0])
    except OSError:
        return " ".join(command)
    return f"{' '.join(command)} {facts.st_size} {facts.st_mtime_ns}"


def _call(command: Sequence[str], result: Path) -> bytes:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CompileError(f"cannot run the linker {command[0]}: {error}") from None
    if done.returncode or not result.exists():
        raise CompileError(f"{Path(command[0]).name} could not link ({done.returncode}):\n{done.stderr.strip()}")
    return result.read_bytes()
