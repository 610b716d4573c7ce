"""How OpenCL C does atomic operations: its own on 32-bit integers, those of an extension on 64-bit ones, and loops."""

from __future__ import annotations

from typing import Final

from pytest_xdevice.kernel.ir import AtomicOp
from pytest_xdevice.kernel.types import ScalarType

from .mathtable import C_TYPES
from .mathtable import MathFunctions

INT64_EXTENSION: Final = "cl_khr_int64_base_atomics"


def needs_extension(element: ScalarType) -> bool:
    """Tell whether atomic operations on `element` are those of `INT64_EXTENSION`."""
    return element.bits == 64


def atomic_function(functions: MathFunctions, op: AtomicOp, element: ScalarType, space: str) -> str:
    """Return the name of ``T f(volatile SPACE T *place, T operand...)``, which gives the old value.

    Parameters
    ----------
    functions : MathFunctions
        Takes the definition.
    op : {"add", "min", "max", "cas"}
    element : ScalarType
    space : {"__global", "__local"}
    """
    name = f"xd_atomic_{op}_{element.name}{space}"
    c_type = C_TYPES[element.name]
    operands = "expected, {0} desired" if op == "cas" else "value"
    head = f"{c_type} {name}(volatile {space} {c_type} *place, {c_type} {operands.format(c_type)})"
    functions.define(name, f"{head} {{ {_body(functions, op, element, space)} }}")
    return name


def _body(functions: MathFunctions, op: AtomicOp, element: ScalarType, space: str) -> str:
    prefix = "atom" if element.bits == 64 else "atomic"
    if element.is_float:
        return _float_body(functions, op, element, space, prefix)
    if op == "cas":
        return f"return {prefix}_cmpxchg(place, expected, desired);"
    if op == "add" or element.bits == 32:
        return f"return {prefix}_{op}(place, value);"
    c_type = C_TYPES[element.name]
    return (
        f"{c_type} seen = *place, old; do {{ old = seen; seen = {prefix}_cmpxchg(place, old, {op}(old, value)); }} "
        "while (seen != old); return seen;"
    )


def _float_body(functions: MathFunctions, op: AtomicOp, element: ScalarType, space: str, prefix: str) -> str:
    c_type, bits = C_TYPES[element.name], "ulong" if element.bits == 64 else "uint"
    cast = f"volatile {space} {bits} *at = (volatile {space} {bits} *)place;"
    if op == "cas":
        return f"{cast} return as_{c_type}({prefix}_cmpxchg(at, as_{bits}(expected), as_{bits}(desired)));"
    old = f"as_{c_type}(old)"
    new = f"{old} + value" if op == "add" else f"{functions.callee(op, element)}({old}, value)"
    return (
        f"{cast} {bits} seen = *at, old; "
        f"do {{ old = seen; seen = {prefix}_cmpxchg(at, old, as_{bits}({new})); }} while (seen != old); "
        f"return as_{c_type}(seen);"
    )
