"""What a launch costs in the native timing loop, beside the same loop in C."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pytest_xdevice.artifact import Artifact
from pytest_xdevice.compile import Compiler
from pytest_xdevice.target import Target

from .figures import Figure
from .kernels import add_one
from .kernels import nothing

C_LOOP = """
#include <stdint.h>
#include <time.h>
static void add_one(const float *restrict a, float *restrict b, int64_t n) {
    for (int64_t i = 0; i < n; i++) b[i] = a[i] + 1.0f;
}
int64_t xd_add_one(void **args) { add_one(args[0], args[1], *(int64_t *)args[2]); return 0; }
"""


def code_figures(compiler: Compiler) -> Iterator[Figure]:
    """Measure an empty kernel, and add_one beside the same loop in C, with the same timing loop, interleaved."""
    with tempfile.TemporaryDirectory() as folder:
        ours = load(compiler.build(add_one), Path(folder, "add_one.so"))
        empty = load(compiler.build(nothing), Path(folder, "nothing.so"))
        source, library = Path(folder, "c.c"), Path(folder, "c.so")
        source.write_text(C_LOOP)
        command = [
            "cc",
            "-O3",
            "-march=native",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            "-o",
            str(library),
            str(source),
        ]
        subprocess.run(command, check=True)
        theirs = ctypes.CDLL(str(library)).xd_add_one
        size = ctypes.c_int64(1024)
        block = np.zeros(2 * 1024 + 32, np.float32)
        start = block.ctypes.data + (-block.ctypes.data) % 64
        args = (ctypes.c_void_p * 3)(start, start + 4096, ctypes.addressof(size))
        loop = load(compiler.timing_loop(Target.host()), Path(folder, "loop.so")).xd_time

        def sample(entry: object, calls: int) -> float:
            return float(loop(ctypes.cast(entry, ctypes.c_void_p), args, ctypes.c_int64(calls))) / calls  # type: ignore[arg-type]

        loop.restype = ctypes.c_int64
        pairs = [(sample(ours.xd_add_one, 5000), sample(theirs, 5000)) for _ in range(301)]
        mine, other = (min(side) for side in zip(*pairs, strict=True))
        yield Figure("add_one(1024) f32", f"{mine:.2f} ns", f"{other:.2f} ns cc -O3 -march=native: {mine / other:.3f}x")
        nanoseconds = min(sample(empty.xd_nothing, 100_000) for _ in range(51))
        yield Figure("empty kernel", f"{nanoseconds:.2f} ns a call")


def load(artifact: Artifact, path: Path) -> ctypes.CDLL:
    """Load what was built for this machine here."""
    return ctypes.CDLL(str(artifact.save(path)))
