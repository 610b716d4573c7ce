"""Libraries as others would build them: made with this host's compiler for a target."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_xdevice.compile import default_compiler
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain.c_compiler import compile_unit
from pytest_xdevice.toolchain.c_compiler import Unit
from pytest_xdevice.toolchain.find_c_compilers import find_c_compilers
from pytest_xdevice.toolchain.linker import EMULATIONS
from pytest_xdevice.toolchain.linker import StubLinker
from tests.harness.requirement import unavailable


def object_of(text: str, target: Target, folder: Path, config: pytest.Config, *, name: str = "unit") -> Path:
    """Compile C to ``folder/<name>.o``; skip the test where this host has no compiler for the target."""
    compiler = next((each for each in find_c_compilers() if each.serves(target)), None)
    if compiler is None:
        unavailable(config, f"no C compiler for {target.triple}")
    (folder / f"{name}.c").write_text(text)
    made = compile_unit(compiler, Unit(f"{name}.c", str(folder), "c"), target)
    path = folder / f"{name}.o"
    path.write_bytes(made.data)
    return path


def shared_library(result: Path, target: Target, objects: Sequence[Path], *options: str) -> Path:
    """Link objects, and what `options` name, to a shared library without looking for undefined symbols."""
    linker = default_compiler().linker_for(target)
    assert isinstance(linker, StubLinker)
    command = [*linker.command, "-m", EMULATIONS[target.arch], "-shared", "-o", str(result), *map(str, objects)]
    subprocess.run([*command, *options], check=True)
    return result


def static_library(result: Path, objects: Sequence[Path]) -> Path:
    """Write objects into an ``ar`` archive without a table of symbols, as any ``ar`` does first of all."""
    data = b"!<arch>\n"
    for path in objects:
        content = path.read_bytes()
        name = f"{path.name}/"
        data += f"{name:<16}{0:<12}{0:<6}{0:<6}{'644':<8}{len(content):<10}`\n".encode() + content
        data += b"\n" * (len(content) % 2)
    result.write_bytes(data)
    return result
