"""Finds the line of the source that an address in a library was compiled from, by its debug information."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from .elf import ElfFile
from .elf import EM_AARCH64
from .elf import EM_ARM
from .elf import EM_RISCV
from .elf import EM_X86_64
from .find_linkers import numbered
from .linker import scratch

_SECONDS: Final = 20.0
# GNU's reads the files of the processors that it was built for, as a rule one.
_CROSS: Final = {
    EM_AARCH64: ("aarch64-linux-gnu",),
    EM_ARM: ("arm-linux-gnueabihf", "arm-linux-gnueabi"),
    EM_RISCV: ("riscv64-linux-gnu",),
    EM_X86_64: ("x86_64-linux-gnu",),
}


def line_of(library: bytes, symbol: str, offset: int) -> str:
    """Return where the code stands that lies `offset` bytes from `symbol`: ``"saxpy.c:7"``.

    Empty where the library does not say, or this host has neither llvm-symbolizer nor an addr2line that reads it.
    """
    file = ElfFile(library)
    found = next((each for each in file.symbols if each.name == symbol), None)
    program = symbolizer(file.machine)
    if found is None or not program or not file.has_lines:
        return ""
    with scratch() as folder:
        path = Path(folder, "kernel.so")
        path.write_bytes(library)
        command = [*program, "-e", str(path), hex(found.value + offset)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
    return _shown(next((line for line in done.stdout.splitlines() if ":" in line), ""))


def _shown(line: str) -> str:
    """Return ``FILE:LINE`` of what a program said, from the current folder where the file is below it."""
    name, _, rest = line.strip().partition(":")
    number = rest.split(":")[0].split(" ")[0]
    if not name or name.startswith("??") or not number.isdigit() or number == "0":
        return ""
    near = os.path.relpath(name)
    return f"{name if near.startswith('..') else near}:{number}"


@functools.cache
def symbolizer(machine: int | None = None) -> tuple[str, ...]:
    """Return how the program is called that reads debug information; empty where this host has none.

    Parameters
    ----------
    machine : int, optional
        The processor of the file, as ELF numbers it; by default this host's own.
    """
    for name in ("llvm-symbolizer", *numbered("llvm-symbolizer")):
        found = shutil.which(name)
        if found:
            return (found, "--functions=none", "--output-style=GNU", "--no-inlines")
    for name in (*(f"{prefix}-addr2line" for prefix in _CROSS.get(machine or 0, ())), "addr2line"):
        found = shutil.which(name)
        if found:
            return (found,)
    return ()
