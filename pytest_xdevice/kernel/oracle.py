"""Runs a kernel in Python from the arguments of a call: binds them, interprets, and hands back what was left out."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence
from itertools import combinations
from typing import Any
from typing import Final

import numpy as np

from ..errors import ArgumentError
from .binding import binder
from .interpret import run
from .ir import KernelIR
from .signature import Signature
from .types import ArrayType

__tracebackhide__: Final = True  # pytest ends with the line of the test


def run_in_python(ir: KernelIR, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
    """Run `ir` and return the Out arrays that `arguments` left out: None, one array, or a tuple.

    Raises
    ------
    ArgumentError
        If the arguments do not fit, or an array that is to be written is read-only or shares memory with another.
    """
    signature = ir.signature
    binding = binder(signature).bind(arguments, keywords, allow_missing_out=True)
    arrays: dict[str, Any] = {}
    scalars: dict[str, Any] = {}
    made = []
    for param, value, shape in zip(signature.params, binding.values, binding.shapes, strict=True):
        if not isinstance(param.type, ArrayType) or shape is None:
            scalars[param.name] = value
            continue
        if value is None:
            value = poisoned(shape, param.type)
            made.append(value)
        array = np.asarray(value)
        if param.is_written and not array.flags.writeable:
            raise ArgumentError(f"{signature.name}: {param.name} is written and is read-only: pass {param.name}.copy()")
        arrays[param.name] = array
    _check_apart(signature, arrays)
    run(ir, arrays, scalars, binding.dims)
    if not made:
        return None
    return made[0] if len(made) == 1 else tuple(made)


def _check_apart(signature: Signature, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
    """Refuse memory that two parameters share and one of them writes, as a device does."""
    written = {param.name for param in signature.params if param.is_written}
    for one, other in combinations(arrays, 2):
        if {one, other} & written and np.may_share_memory(arrays[one], arrays[other]):
            raise ArgumentError(
                f"{signature.name}: {one} and {other} share memory, and one of them is written: declare one InOut "
                "parameter instead, or pass a copy"
            )


def poisoned(shape: tuple[int, ...], type_: ArrayType) -> np.ndarray[Any, Any]:
    """Return a new array in which an element that is never written shows: NaN, or bytes of 0xA5."""
    dtype = type_.element.dtype
    if type_.element.is_float:
        return np.full(shape, np.nan, dtype)
    if type_.element.kind == "bool":
        return np.ones(shape, dtype)
    poison = np.frombuffer(b"\xa5" * dtype.itemsize, dtype)[0]
    return np.full(shape, poison, dtype)
