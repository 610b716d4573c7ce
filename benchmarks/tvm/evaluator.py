"""TVM's ``time_evaluator`` on functions in C of the form ``void f(int n, const float *a, float *b)``."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tvm

_PAGE = 4096
# What TVM calls has its arguments in tagged slots of 16 bytes; pointers travel as integers.
_HEAD = """
#include <stdint.h>
typedef struct { int32_t type; int32_t padding; int64_t value; } Any;
"""
_ENTRY = """
void {name}(int n, const float *a, float *b);
int __tvm_ffi_{name}(void *self, const Any *args, int32_t count, Any *result) {{
    {name}((int)args[0].value, (const float *)args[1].value, (float *)args[2].value);
    return 0;
}}
"""


class Evaluator:
    """Times functions of shared libraries by TVM.

    Parameters
    ----------
    libraries : sequence of Path
        What they are in, all in one folder; their entries are built beside them.
    names : iterable of str
    """

    def __init__(self, libraries: Sequence[Path], names: Iterable[str]) -> None:
        folder = libraries[0].parent
        source, entries = folder / "entries.c", folder / "entries.so"
        source.write_text("".join([_HEAD, *(_ENTRY.format(name=name) for name in names)]))
        link = [*map(str, libraries), f"-Wl,-rpath,{folder}"]
        subprocess.run(["cc", "-O3", "-shared", "-fPIC", "-o", str(entries), str(source), *link], check=True)
        self._module: Any = tvm.runtime.load_module(str(entries))

    def samples(self, name: str, n: int, elements: int, number: int, repeat: int) -> Sequence[float]:
        """Return seconds per call, one entry a sample of `number` calls."""
        block = np.zeros(2 * elements + 2 * _PAGE, np.float32)
        start = block.ctypes.data + -block.ctypes.data % _PAGE
        first = (start - block.ctypes.data) // block.itemsize
        block[first : first + elements] = 1
        evaluate = self._module.time_evaluator(name, tvm.cpu(), number=number, repeat=repeat)
        found = evaluate(n, start, start + elements * block.itemsize)
        return [float(seconds) for seconds in found.results]
