"""What two threads make of a launch, beside one: the same kernel, interleaved, where they should pay and where not."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pytest_xdevice.compile import Compiler
from pytest_xdevice.target import Target

from .figures import Figure
from .kernels import matmul
from .kernels import saxpy
from .timing_loop import load

_ROUNDS = 201
_SAMPLE_SECONDS = 0.0005
Arrays = tuple["np.ndarray[Any, Any]", ...]


def thread_figures(compiler: Compiler) -> Iterator[Figure]:
    """Measure saxpy within and beyond the size from which threads are used, and a matrix product."""
    for size in (1 << 13, 1 << 20):
        yield _figure(compiler, saxpy, f"saxpy({size}) f32", _saxpy_arguments(size))
    yield _figure(compiler, matmul, "matmul(96, 96, 96) f32", _matmul_arguments(96))


def _saxpy_arguments(size: int) -> Arrays:
    values = np.ones(size, np.float32)
    return np.float32([1e-9]), values, values.copy(), np.int64([size])


def _matmul_arguments(size: int) -> Arrays:
    values = np.ones((size, size), np.float32)
    return values, values.copy(), values.copy(), *(np.int64([size]) for _ in range(3))


def _figure(compiler: Compiler, source: Any, what: str, arguments: Arrays) -> Figure:
    pointers = (ctypes.c_void_p * len(arguments))(*(array.ctypes.data for array in arguments))
    with tempfile.TemporaryDirectory() as folder:
        one, two = (_sampler(compiler, source, pointers, threads, Path(folder)) for threads in (1, 2))
        calls = max(1, int(_SAMPLE_SECONDS / one(1)))
        pairs = [(one(calls), two(calls)) for _ in range(_ROUNDS)]
    alone, shared = (min(side) for side in zip(*pairs, strict=True))
    return Figure(
        f"{what}, 2 threads of {os.cpu_count()} cores",
        f"{shared * 1e6:.2f} µs",
        f"{alone * 1e6:.2f} µs with 1: {alone / shared:.2f}x as fast",
    )


def _sampler(compiler: Compiler, source: Any, pointers: Any, threads: int, folder: Path) -> Callable[[int], float]:
    """Return what measures a number of calls with the native timing loop, in seconds per call."""
    library = load(compiler.build(source, Target.host(), threads=threads), folder / f"{threads}.so")
    entry = ctypes.cast(library[f"xd_{source.name}"], ctypes.c_void_p)
    loop = load(compiler.timing_loop(Target.host()), folder / f"loop-{threads}.so").xd_time
    loop.restype = ctypes.c_int64
    return lambda calls: float(loop(entry, pointers, ctypes.c_int64(calls))) * 1e-9 / calls
