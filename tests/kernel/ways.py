"""The ways to run a kernel in the tests of the language: interpreted, as LLVM compiles it, on threads, by OpenCL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Final

import numpy as np

from pytest_xdevice.kernel import Kernel
from pytest_xdevice.kernel.binding import bind
from pytest_xdevice.kernel.llvm.threads import Threads
from pytest_xdevice.kernel.oracle import poisoned
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.target import Target
from tests.kernel.cl_program import Built
from tests.kernel.cl_program import context
from tests.kernel.native import Native

Run = Callable[..., Any]


def interpreted(kernel: Kernel, *arguments: Any, **keywords: Any) -> Any:
    """Run `kernel` in Python."""
    return kernel.python(*arguments, **keywords)


def compiled(kernel: Kernel, *arguments: Any, **keywords: Any) -> Any:
    """Run `kernel` in this process, as LLVM compiles it."""
    return _with_missing(kernel, arguments, keywords, Native(kernel.ir))


def on_threads(kernel: Kernel, *arguments: Any, **keywords: Any) -> Any:
    """Run `kernel` as LLVM compiles it on three threads, which share out loops however small they are."""
    threads = Threads(3, Target.host().arch, chunk=1)
    return _with_missing(kernel, arguments, keywords, Native(kernel.ir, threads=threads))


def by_opencl(kernel: Kernel, *arguments: Any, **keywords: Any) -> Any:
    """Run `kernel` on the first OpenCL device; skip where there is none."""
    context()

    def launch(*everything: Any) -> None:
        program = kernel.opencl_program()
        Built(program.source, {kernel.name: (kernel.signature, program)}).run(kernel.name, *everything)

    return _with_missing(kernel, arguments, keywords, launch)


def agree(run: Run, source: Kernel, *arguments: Any) -> None:
    """Check that `run` writes what `interpreted` does, on copies of the same arguments."""
    expected, got = ([a.copy() if isinstance(a, np.ndarray) else a for a in arguments] for _ in "eg")
    interpreted(source, *expected)
    run(source, *got)
    for wanted, found in zip(expected, got, strict=True):
        np.testing.assert_array_equal(found, wanted)


def _with_missing(kernel: Kernel, arguments: tuple[Any, ...], keywords: dict[str, Any], launch: Run) -> Any:
    """Launch with arrays for the Out parameters that were left out, and return those as `Kernel.python` does."""
    bound = bind(kernel.signature, arguments, keywords, allow_missing_out=True)
    values, made = list(bound.values), []
    for index, (param, shape) in enumerate(zip(kernel.signature.params, bound.shapes, strict=True)):
        if values[index] is None and shape is not None:
            assert isinstance(param.type, ArrayType)
            values[index] = poisoned(shape, param.type)
            made.append(values[index])
    launch(*values)
    if not made:
        return None
    return made[0] if len(made) == 1 else tuple(made)


WAYS: Final[dict[str, Run]] = {
    "python": interpreted, "llvm": compiled, "threads": on_threads, "opencl": by_opencl,
}  # fmt: skip
