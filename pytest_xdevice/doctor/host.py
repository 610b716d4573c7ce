"""What of this host is needed to build kernels for devices."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from typing import Final

from ..compile import Compiler
from ..compile import default_compiler
from ..config import DeviceConfig
from ..errors import XDeviceError
from ..remote import Session
from ..report.device import opencl_text
from ..target import Target
from ..toolchain import llvm
from ..toolchain.cache import write_atomically
from ..toolchain.find_c_compilers import find_c_compilers
from .step import State
from .step import Step

OLDEST_PYTHON: Final = (3, 10)
TRIPLES: Final = ("x86_64-linux-gnu", "aarch64-linux-gnu", "armv7l-linux-gnueabihf", "riscv64-linux-gnu")
_TOOLCHAIN: Final = 'pip install "pytest-xdevice[toolchain]"'


def host_steps() -> Iterator[Step]:
    """Yield what there is on this host, one step at a time."""
    compiler = default_compiler()
    yield _python()
    yield _llvm()
    yield _linkers(compiler)
    yield _c_compilers()
    yield _cache(compiler)
    yield _opencl()


def _step(name: str, state: State, found: str, mend: str = "") -> Step:
    return Step("host", name, state, found, "" if state == "ok" else mend)


def _python() -> Step:
    wanted = ".".join(map(str, OLDEST_PYTHON))
    state: State = "ok" if sys.version_info[:2] >= OLDEST_PYTHON else "failed"
    return _step("Python", state, f"{platform.python_version()}, {sys.executable}", f"use Python {wanted} or newer")


def _llvm() -> Step:
    """Look whether LLVM starts and knows the usual targets."""
    try:
        version = importlib.metadata.version("llvmlite")
        lacking = [triple for triple in TRIPLES if not _is_known(triple)]
    except (importlib.metadata.PackageNotFoundError, OSError, XDeviceError) as error:
        return _step("llvmlite", "failed", str(error), "pip install --force-reinstall llvmlite")
    if lacking:
        found = f"{version}, without a code generator for {', '.join(lacking)}"
        return _step("llvmlite", "note", found, "pip install --force-reinstall llvmlite, whose wheels have all")
    return _step("llvmlite", "ok", f"{version}, for {', '.join(_arch(triple) for triple in TRIPLES)}")


def _is_known(triple: str) -> bool:
    process = llvm.shared()
    process.ping()
    try:
        Target.parse(triple).validate(process)
    except XDeviceError:
        return False
    return True


def _linkers(compiler: Compiler) -> Step:
    found = {triple: compiler.linker_for(Target.parse(triple)) for triple in TRIPLES}
    words = [f"{_arch(triple)} by {_program(linker.identity)}" for triple, linker in found.items() if linker]
    lacking = [_arch(triple) for triple, linker in found.items() if not linker]
    if not lacking:
        return _step("linker", "ok", ", ".join(words))
    text = ", ".join([*words, f"none for {', '.join(lacking)}: such a device links by itself, if it has a C compiler"])
    return _step("linker", "note", text, f"{_TOOLCHAIN}, or Debian's lld")


def _c_compilers() -> Step:
    compilers = find_c_compilers()
    words = []
    for triple in TRIPLES:
        target = Target.parse(triple)
        best = next((compiler for compiler in compilers if compiler.serves(target)), None)
        words.append(f"{_arch(triple)} by {_program(best.identity)}" if best else f"none for {_arch(triple)}")
    state: State = "note" if any(word.startswith("none") for word in words) else "ok"
    return _step("C compiler", state, ", ".join(words), f"only kernels in C need one: {_TOOLCHAIN}")


def _cache(compiler: Compiler) -> Step:
    directory = compiler.cache_directory
    probe = directory / f"doctor-{os.getpid()}"
    if not write_atomically(probe, b""):
        return _step(
            "cache",
            "note",
            f"cannot write below {directory}: every run compiles its kernels anew",
            "make it writable, or set XDG_CACHE_HOME to a directory that is",
        )
    probe.unlink(missing_ok=True)
    return _step("cache", "ok", str(directory))


def _opencl() -> Step:
    """Look for OpenCL the way a run on the device ``local`` does: in a process that a bad driver may end."""
    try:
        session = Session.open(DeviceConfig("local", "local"))
    except XDeviceError as error:
        return _step("OpenCL", "note", str(error))
    try:
        devices = session.opencl_devices()
        problem = (session.opencl_problem or "no device").removeprefix("local: ")
    except XDeviceError as error:
        devices, problem = (), str(error)
    finally:
        session.close()
    if not devices:
        return _step("OpenCL", "note", problem)
    return _step("OpenCL", "ok", "; ".join(map(opencl_text, devices)))


def _arch(triple: str) -> str:
    return triple.split("-", maxsplit=1)[0]


def _program(identity: str) -> str:
    """Return the program in what identifies a tool: all but its size and time."""
    words = [word for word in identity.split() if not word.isdigit()]
    return os.path.basename(next((word for word in words if "/" in word), words[0]))
