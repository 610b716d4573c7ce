"""Whether a function's file was edited in place since it was imported: what its source says then is not what runs."""

from __future__ import annotations

import linecache
import os
import time
import warnings
from collections.abc import Iterator
from types import CodeType
from typing import Final

# Only files that changed since then are looked into: no kernel was there before.
_BEGAN: Final = time.time_ns()
_TICK: Final = 1_000_000_000  # the clocks of file systems are behind by a few milliseconds, some by a whole second


def was_edited(code: CodeType) -> bool:
    """Tell whether the file that `code` was imported from has other code by now, or none.

    Files that did not change during this process are not read, and neither is what is no file. Functions with `assert`
    statements, which pytest rewrites, count as other code.
    """
    try:
        found = os.stat(code.co_filename)
    except OSError:
        return False
    if max(found.st_mtime_ns, found.st_ctime_ns) < _BEGAN - _TICK:
        return False
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename))
    flags = code.co_flags & annotations.compiler_flag  # code that exec() ran may have it of its caller
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they were told at the import
            module = compile(text, code.co_filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):
        return True
    return all(each != code for each in _codes(module))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
