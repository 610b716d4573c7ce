"""Finds the compilers of C and C++ that this host has."""

from __future__ import annotations

import functools
import platform
import shutil
from collections.abc import Iterator
from typing import Final

from .c_compiler import CCompiler
from .c_compiler import Gcc
from .c_compiler import has_headers
from .c_compiler import HostClang
from .c_compiler import ZigClang
from .find_linkers import MACHINES
from .find_linkers import numbered
from .find_linkers import packaged_zig

_NATIVE: Final = frozenset({"x86_64", "aarch64", "riscv64"})


@functools.cache
def find_c_compilers() -> tuple[CCompiler, ...]:
    """Return the C compilers of this host: ziglang's clang, which serves every target, then clang, then GCC."""
    return tuple(_found())


def _found() -> Iterator[CCompiler]:
    zig = packaged_zig() or shutil.which("zig")
    if zig:
        yield ZigClang(zig)
    for name in ("clang", *numbered("clang")):
        program = shutil.which(name)
        if program and has_headers(program):
            yield HostClang(program)
    for machine in MACHINES:
        program = shutil.which(f"{machine}-gcc")
        if program:
            yield Gcc(program, machine)
    native = shutil.which("gcc")
    if native and platform.machine() in _NATIVE:
        libc = "gnu" if platform.libc_ver()[0] == "glibc" else "musl"
        yield Gcc(native, f"{platform.machine()}-linux-{libc}")
