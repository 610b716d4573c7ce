"""What it takes to compile a small kernel, whole and by its steps, beside a C compiler on the same loop."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

from pytest_xdevice import kernel
from pytest_xdevice import sin
from pytest_xdevice.compile import Compiler
from pytest_xdevice.kernel.kernel import Kernel
from pytest_xdevice.target import Target
from pytest_xdevice.toolchain import llvm

from .codegen import kernels
from .figures import Figure
from .figures import least_seconds
from .timing_loop import C_LOOP

_ROUNDS = 21
_SMALL = (
    kernels.add_one,
    kernels.saxpy,
    kernels.stencil3,
    kernels.histogram,
    kernels.dot_i8,
    kernels.make_of_each(sin, fast=False),
)
_IMPORT = "from pytest_xdevice import dim, f32, In, kernel, Out, parallel"


def compile_figures(compiler: Compiler) -> Iterator[Figure]:
    """Measure kernels from Python to a shared library for this machine, with nothing in a cache."""
    target = Target.host()
    with tempfile.TemporaryDirectory() as folder:
        theirs = least_seconds(_c_compiler(Path(folder)), _ROUNDS)
    for source in _SMALL:
        seconds = least_seconds(lambda: _build(source, target, compiler), _ROUNDS)  # noqa: B023 - called before the next
        peer = f"{theirs * 1e3:.1f} ms cc -O3: {seconds / theirs:.2f}x" if source is kernels.add_one else ""
        yield Figure(f"compile {source.name}", f"{seconds * 1e3:.1f} ms", peer)
        if source is kernels.add_one:
            yield from _steps(compiler, source, target)
    yield _import_figure()


def _build(source: Kernel, target: Target, compiler: Compiler) -> None:
    """Build a kernel that no cache has."""
    with tempfile.TemporaryDirectory() as cache:
        Compiler(cache, linkers=compiler.linkers).build(_again(source), target)


def _again(source: Kernel) -> Kernel:
    """Return the kernel as if it had just been defined."""
    return kernel(source.__wrapped__)  # type: ignore[attr-defined]


def _c_compiler(folder: Path) -> Callable[[], object]:
    source = folder / "loop.c"
    source.write_text(C_LOOP)
    command = ["cc", "-O3", "-march=native", "-shared", "-fPIC", "-o", str(folder / "loop.so"), str(source)]
    return lambda: subprocess.run(command, check=True)


def _steps(compiler: Compiler, source: Kernel, target: Target) -> Iterator[Figure]:
    """Measure the steps of compiling a kernel apart."""
    linker = compiler.linker_for(target)
    assert linker is not None, "this machine has no linker"
    text = source.llvm_ir(target)
    obj = llvm.shared().compile(text, target.machine).object
    for name, step in (
        ("from Python to LLVM IR", lambda: _again(source).llvm_ir(target)),
        ("optimise and emit", lambda: llvm.shared().compile(text, target.machine)),
        (f"link with {linker.identity.split()[0]}", lambda: linker.link(obj, target)),
    ):
        yield Figure(f"  {name}", f"{least_seconds(step, _ROUNDS) * 1e3:.1f} ms")


def _import_figure() -> Figure:
    """Measure the import of the language, with and without it interleaved."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_ROUNDS):
        for side, program in zip(times, (_IMPORT, "pass"), strict=True):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            side.append(time.perf_counter() - start)
    ours, bare = min(times[0]), min(times[1])
    return Figure("import of the language", f"{(ours - bare) * 1e3:.0f} ms", f"{bare * 1e3:.0f} ms Python without it")
