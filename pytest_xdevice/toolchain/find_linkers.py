"""Finds the linkers that this host has."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pytest_xdevice.device_info import DeviceInfo

from .cache import Cache
from .linker import DriverLinker
from .linker import EMULATIONS
from .linker import Linker
from .linker import StubLinker
from .llvm import CompilerProcess

MACHINES: Final = (
    "x86_64-linux-gnu", "i686-linux-gnu", "aarch64-linux-gnu", "arm-linux-gnueabihf", "arm-linux-gnueabi",
    "riscv64-linux-gnu", "x86_64-linux-musl", "aarch64-linux-musl", "arm-linux-musleabihf", "riscv64-linux-musl",
)  # fmt: skip


def find_linkers(cache: Cache, compiler: CompilerProcess) -> tuple[Linker, ...]:
    """Return the linkers of this host, the best one first.

    All that link against stubs make libraries that need the same; what sets them apart is how long they take to
    start. GNU ld took 2 ms a link, ziglang's LLD 6 ms, and Debian's LLD, which loads all of LLVM, 15 ms.
    """
    stubs = [
        StubLinker(command, emulations, cache, compiler) for command, emulations in (*_gnu_linkers(), *_lld_commands())
    ]
    return (*stubs, *_drivers())


def _gnu_linkers() -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Yield GNU's linkers, this host's own and those of cross binutils, each with the emulations that it lists."""
    seen: set[str] = set()
    for name in ("ld.bfd", "ld", *(f"{machine}-{program}" for machine in MACHINES for program in ("ld.bfd", "ld"))):
        program = os.path.realpath(shutil.which(name) or "")
        if program not in seen and os.path.isfile(program):
            seen.add(program)
            emulations = _gnu_emulations(program)
            if emulations:
                yield (program,), emulations


def _gnu_emulations(program: str) -> frozenset[str]:
    """Return the emulations of GNU ld; none for another linker of that name."""
    try:
        said = subprocess.run([program, "-V"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except OSError:
        return frozenset()
    name, _, listed = said.stdout.partition("Supported emulations:")
    return frozenset(listed.split()) if name.startswith("GNU ld ") else frozenset()


def _lld_commands() -> Iterator[tuple[tuple[str, ...], frozenset[str]]]:
    """Yield the ways to call LLD, which links for every target."""
    for command in _lld_programs():
        yield (*command, "--threads=1"), frozenset(EMULATIONS.values())


def _lld_programs() -> Iterator[tuple[str, ...]]:
    package, path = packaged_zig(), shutil.which("zig")
    if package:
        yield (package, "ld.lld")
    for name in ("ld.lld", *numbered("ld.lld")):
        found = shutil.which(name)
        if found:
            yield (found,)
    if path:
        yield (path, "ld.lld")


def packaged_zig() -> str:
    """Return the program of the package ziglang, itself: ``python -m ziglang`` starts a Python first. Else ""."""
    package = importlib.util.find_spec("ziglang")
    for folder in (package.submodule_search_locations or []) if package else []:
        program = Path(folder, "zig")
        if os.access(program, os.X_OK):
            return str(program)
    return ""


def numbered(name: str) -> list[str]:
    """Return programs such as ``ld.lld-18`` on PATH, the newest first."""
    found: set[str] = set()
    for folder in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        found.update(path.name for path in Path(folder).glob(f"{name}-*") if path.name[len(name) + 1 :].isdigit())
    return sorted(found, key=lambda text: -int(text.rpartition("-")[2]))


def _drivers() -> Iterator[DriverLinker]:
    for machine in MACHINES:
        found = shutil.which(f"{machine}-gcc")
        if found:
            yield DriverLinker((found,), machine)
    native = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    name, version = platform.libc_ver()
    if native and platform.machine() in ("x86_64", "aarch64", "riscv64"):
        libc = "gnu" if name == "glibc" else "musl"
        glibc = DeviceInfo(libc=(name, version)).glibc
        yield DriverLinker((native,), f"{platform.machine()}-linux-{libc}", glibc)
