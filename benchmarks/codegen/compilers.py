"""The C compilers of this machine, and `peers.c` built with them."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_xdevice.target import Target

PEERS: Final = Path(__file__).with_name("peers.c")
# Our kernels set no errno and raise no floating-point exceptions, and need no frame pointer.
_BASE: Final = ("-O3", "-fno-math-errno", "-fno-trapping-math", "-fomit-frame-pointer")
_STRICT: Final = ("-ffp-contract=off",)
_FAST: Final = ("-ffast-math",)


@dataclass(frozen=True)
class CCompiler:
    """A C compiler: how it is called, and what it says that it is."""

    name: str
    command: tuple[str, ...]
    version: tuple[int, ...]
    tuning: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {'.'.join(map(str, self.version))}"

    def library(self, path: Path, *, fast: bool) -> Path:
        """Write the peers as a shared library for this machine."""
        self._run(["-march=native", *self.tuning, "-shared", "-fPIC", "-o", str(path), str(PEERS), "-lm"], fast)
        return path

    def assembly(self, options: Sequence[str], path: Path, *, fast: bool) -> str:
        """Return the assembly of the peers for a target given by `options`, which is written to `path`."""
        self._run([*options, "-fPIC", "-g0", "-S", "-o", str(path), str(PEERS)], fast)
        return path.read_text()

    def _run(self, arguments: Sequence[str], fast: bool) -> str:
        command = [*self.command, *_BASE, *(_FAST if fast else _STRICT), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def newest_clang() -> CCompiler | None:
    """Return the newest of the clang on PATH and that of the package ziglang, or None where there is neither."""
    candidates = [("clang",)] if shutil.which("clang") else []
    found = [_described("clang", command) for command in candidates]
    if importlib.util.find_spec("ziglang"):
        found.append(_described("clang", (sys.executable, "-m", "ziglang", "cc", "-fno-sanitize=all"), _tuning()))
    return max(found, key=lambda compiler: compiler.version, default=None)


def _tuning() -> tuple[str, ...]:
    # Zig's driver tunes for no processor in particular, where clang's own takes -march=native to mean that too.
    return ("-Xclang", "-tune-cpu", "-Xclang", Target.host().machine.cpu)


def gcc() -> CCompiler | None:
    """Return the gcc on PATH, or None where there is none."""
    return _described("gcc", ("gcc",)) if shutil.which("gcc") else None


def _described(name: str, command: tuple[str, ...], tuning: tuple[str, ...] = ()) -> CCompiler:
    printed = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True).stdout
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", printed)
    return CCompiler(name, command, tuple(map(int, numbers.groups())) if numbers else (), tuning)
