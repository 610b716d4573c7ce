"""Which kernels become vector instructions on processors that are not here, ours and clang's side by side."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_xdevice.compile import build

from .cases import cases
from .compilers import newest_clang
from .native import SIZES


@dataclass(frozen=True)
class Processor:
    """A processor to compile for.

    Attributes
    ----------
    name : str
    target : str
        As our `build` takes it.
    options : tuple of str
        The same for Zig's clang.
    arithmetic : re.Pattern
        Matches an instruction that computes on vectors, and not one that only loads, stores or moves them.
    """

    name: str
    target: str
    options: tuple[str, ...]
    arithmetic: re.Pattern[str]


_A64: Final = re.compile(
    r"^\s+(?!ld|st|mov|dup|ins|fmov|ext\s|zip|uzp|trn|rev)(\w+)\s+v\d+\.(?:2s|4s|2d|4h|8h|8b|16b),"
)
_A32: Final = re.compile(r"^\s+v(?!ld|st|mov|dup|ext|trn|zip|uzp|swp|rev|push|pop)(\w+)\.(?:f32|[isu]\d+)\s+[qd]\d+,")
_RVV: Final = re.compile(r"^\s+v(?!set|l|s[esu]|mv|fmv|id|slide|rgather|compress)(\w+\.[vwm][vxfsim]*)\s")

PROCESSORS: Final = (
    *(
        Processor(
            f"aarch64 {cpu}",
            f"llvm -mtriple=aarch64-linux-gnu -mcpu={cpu}",
            ("-target", "aarch64-linux-gnu", f"-mcpu={cpu.replace('-', '_')}"),
            _A64,
        )
        for cpu in ("cortex-a53", "cortex-a72", "neoverse-n1")
    ),
    Processor(
        "armv7 cortex-a53",
        "llvm -mtriple=armv7l-linux-gnueabihf -mcpu=cortex-a53 -mattr=+neon",
        ("-target", "arm-linux-gnueabihf", "-mcpu=cortex_a53+neon"),
        _A32,
    ),
    Processor(
        "rv64gcv",
        "llvm -mtriple=riscv64-linux-gnu -mattr=+m,+a,+f,+d,+c,+v",
        ("-target", "riscv64-linux-gnu", "-mcpu=generic_rv64+m+a+f+d+c+v"),
        _RVV,
    ),
)


def compare_all(folder: Path, chosen: str) -> None:
    """Print, for each processor, how many vector instructions compute in each kernel; our count before clang's."""
    clang = newest_clang()
    if clang is None:
        raise SystemExit("needs a clang that knows other processors: pip install ziglang")
    print(f"instructions that compute on vectors: ours / {clang}")
    print(f"{'':<22}" + "".join(f"{processor.name:>21}" for processor in PROCESSORS))
    peers = [
        {fast: clang.assembly(processor.options, folder / "peers.s", fast=fast) for fast in (False, True)}
        for processor in PROCESSORS
    ]
    missing = []
    for case in cases(SIZES):
        if chosen not in case.name and chosen not in case.kernel.name:
            continue
        columns = []
        for processor, peer in zip(PROCESSORS, peers, strict=True):
            ours = count(build(case.kernel, processor.target).assembly, f"xd_{case.kernel.name}", processor.arithmetic)
            theirs = count(peer[case.is_fast], f"c_{case.kernel.name}", processor.arithmetic)
            columns.append(f"{f'{ours} / {theirs}':>21}")
            missing += [f"{case.name} for {processor.name}"] if theirs and not ours else []
        print(f"{case.name:<22}{''.join(columns)}", flush=True)
    print(f"vectors in clang's code alone: {', '.join(missing) or 'nowhere'}")


def count(assembly: str, function: str, arithmetic: re.Pattern[str]) -> int:
    """Return how many instructions of `function` compute on vectors."""
    return sum(1 for line in _body(assembly, function) if arithmetic.match(line))


def _body(assembly: str, function: str) -> list[str]:
    lines = assembly.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"{function}:"))
    end = next(
        number for number in range(start, len(lines)) if lines[number].lstrip().startswith(f".size\t{function},")
    )
    return lines[start:end]
