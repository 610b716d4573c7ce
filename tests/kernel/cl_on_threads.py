"""Run the OpenCL C of a loop with barriers as C, with a thread for each item of a work-group.

It takes the program at its word, where OpenCL compilers have faults of their own: PoCL 3.0 aborts on some loops with
barriers that nest and break, and makes wrong code of others.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any
from typing import Final

from pytest_xdevice.kernel import Kernel
from pytest_xdevice.kernel.types import ArrayType

from .native import packed

_HEAD: Final = """\
#include <pthread.h>
#include <stdbool.h>
typedef unsigned char uchar; typedef unsigned short ushort; typedef unsigned int uint; typedef unsigned long ulong;
static __thread long xd_item;
static long xd_block;
static pthread_barrier_t xd_barrier;
#define __kernel
#define __global
#define __local static
#define restrict
#define CLK_LOCAL_MEM_FENCE 1
#define CLK_GLOBAL_MEM_FENCE 2
#define as_long(x) ((long)(x))
#define get_global_id(dimension) xd_item
#define get_group_id(dimension) (xd_item / xd_block)
#define get_local_size(dimension) xd_block
#define barrier(fences) pthread_barrier_wait(&xd_barrier)
"""
_TAIL: Final = """
static void **xd_arguments;

static void *xd_run_item(void *item) { xd_item = (long)item; CALL; return 0; }

void xd_run(void **arguments, long items, long block)
{
    pthread_t threads[1024];
    xd_arguments = arguments;
    xd_block = block;
    for (long first = 0; first < items; first += block) {
        pthread_barrier_init(&xd_barrier, 0, block);
        for (long item = 0; item < block; ++item)
            pthread_create(&threads[item], 0, xd_run_item, (void *)(first + item));
        for (long item = 0; item < block; ++item)
            pthread_join(threads[item], 0);
        pthread_barrier_destroy(&xd_barrier);
    }
}
"""


def c_compiler() -> str | None:
    """Return the C compiler of this machine, or None."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


class OnThreads:
    """A kernel of one parallel loop over one variable, on integers.

    Parameters
    ----------
    kernel : Kernel
    folder : Path
        Where the library is built.
    """

    def __init__(self, kernel: Kernel, folder: Path) -> None:
        program = kernel.opencl_program()
        (phase,) = program.phases
        assert phase.block is not None
        self._signature, self._phase, self._block = kernel.signature, phase, phase.block[0]
        taken = [
            f"xd_arguments[{number}]" if isinstance(param.type, ArrayType) else f"*(long *)xd_arguments[{number}]"
            for number, param in enumerate(self._signature.params)
        ]
        taken += [f"*(long *)xd_arguments[{len(taken) + number}]" for number, _ in enumerate(self._signature.dims)]
        text = _HEAD + program.source + _TAIL.replace("CALL", f"{phase.entry}({', '.join(taken)})")
        source, library = folder / f"{kernel.name}.c", folder / f"{kernel.name}.so"
        source.write_text(text, encoding="utf-8")
        compiler = c_compiler()
        assert compiler is not None
        options = ["-w", "-O1", "-fwrapv", "-shared", "-fPIC", "-pthread"]
        subprocess.run([compiler, *options, "-o", str(library), str(source)], check=True)
        self._library = ctypes.CDLL(str(library))

    def __call__(self, *arguments: Any, **dims: int) -> None:
        """Run on NumPy arrays, changed in place, and i64 scalars, in parameter order; `dims` by name."""
        (items,) = self._phase.sizes(dims)
        slots, _keep = packed(self._signature, arguments)
        self._library.xd_run(slots, ctypes.c_long(items), ctypes.c_long(self._block))
