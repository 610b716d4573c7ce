"""Object files and libraries that others made: read, and checked to be for the target."""

from __future__ import annotations

from pathlib import Path
from typing import Final
from typing import TYPE_CHECKING

from pytest_xdevice.errors import CompileError

from .archive import elf_files
from .elf import EF_ARM_ABI_FLOAT_HARD
from .elf import EF_ARM_ABI_FLOAT_SOFT
from .elf import EF_RISCV_FLOAT_ABI
from .elf import EF_RISCV_FLOAT_ABI_DOUBLE
from .elf import ElfError
from .elf import ElfFile
from .elf import EM_386
from .elf import EM_AARCH64
from .elf import EM_ARM
from .elf import EM_RISCV
from .elf import EM_X86_64

if TYPE_CHECKING:
    from pytest_xdevice.target import Target

_MACHINES: Final = {
    "x86_64": (EM_X86_64, 64),
    "i686": (EM_386, 32),
    "aarch64": (EM_AARCH64, 64),
    "arm": (EM_ARM, 32),
    "riscv64": (EM_RISCV, 64),
}
_NAMES: Final = {(machine, bits): name for name, (machine, bits) in _MACHINES.items()}


def read_binary(path: str, target: Target) -> bytes:
    """Read an object file, a static or a shared library.

    Raises
    ------
    CompileError
        If it cannot be read, is none of these, or is for another architecture or ABI than `target`.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CompileError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        files = elf_files(data)
    except ElfError as error:
        raise CompileError(f"{path}: {error}; an object file, or a static or shared library, is wanted") from None
    for file in files:
        _check(path, file, target)
    return data


def _check(path: str, file: ElfFile, target: Target) -> None:
    if _MACHINES[target.arch] != (file.machine, file.bits):
        made_for = _NAMES.get((file.machine, file.bits), f"machine {file.machine} with {file.bits} bits")
        raise CompileError(
            f"{path} is for {made_for}, and the target is {target.triple}: give one that was built for {target.arch}"
        )
    wanted, given = _float_abi_of_target(target), _float_abi(file)
    if wanted and given and wanted != given:
        raise CompileError(
            f"{path} passes floating-point numbers by the {given} ABI, and the target {target.triple} by {wanted}: "
            f"build it for {wanted}"
        )


def _float_abi_of_target(target: Target) -> str:
    return "lp64d" if target.arch == "riscv64" and not target.abi else target.abi or target.float_abi


def _float_abi(file: ElfFile) -> str:
    """Return the name of the floating-point ABI that a file says it has; empty where it says none."""
    if file.machine == EM_RISCV:
        kinds = {0: "lp64", 2: "lp64f", EF_RISCV_FLOAT_ABI_DOUBLE: "lp64d"}
        return kinds.get(file.flags & EF_RISCV_FLOAT_ABI, "")
    if file.machine == EM_ARM:
        if file.flags & EF_ARM_ABI_FLOAT_HARD:
            return "hard"
        if file.flags & EF_ARM_ABI_FLOAT_SOFT:
            return "soft"
    return ""
