"""How the front end reads atomic operations on elements of arrays."""

from __future__ import annotations

import ast
from typing import Final

from pytest_xdevice.kernel.ir import Atomic
from pytest_xdevice.kernel.ir import AtomicOp
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import i32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import LocalArray
from pytest_xdevice.kernel.types import u32
from pytest_xdevice.kernel.types import u64

from .block import Block
from .elements import Element

_ELEMENTS: Final = (i32, u32, i64, u64, f32, f64)
_USAGE: Final = {
    "add": "atomic_add(a[i], value)",
    "min": "atomic_min(a[i], value)",
    "max": "atomic_max(a[i], value)",
    "cas": "atomic_cas(a[i], expected, desired)",
}


def read_atomic(block: Block, call: ast.Call, op: AtomicOp, result: str | None) -> Atomic:
    """Return the operation that `call` is.

    Parameters
    ----------
    block : Block
        What reads the function that it stands in.
    call : ast.Call
    op : {"add", "min", "max", "cas"}
    result : str or None
        The local, to be declared by the caller, that takes the old value.

    Raises
    ------
    KernelError
        If it is not on an element on which there are such operations.
    """
    count = 3 if op == "cas" else 2
    if len(call.args) != count or call.keywords or any(isinstance(each, ast.Starred) for each in call.args):
        raise block.text.error(
            call, f"atomic_{op}() takes an element and {count - 1} value{'s'[: count > 2]}.", f"Write {_USAGE[op]}."
        )
    target, *values = call.args
    if not isinstance(target, ast.Subscript):
        raise block.text.error(
            target, f"atomic_{op}() works on an element of an array, and this is none.", f"Write {_USAGE[op]}."
        )
    element = block.element(target)
    _check(block, target, element)
    type_ = element.type.element
    reason = f"'{element.name}' holds {type_}"
    operands = tuple(block.fitting(block.expressions.visit(value), type_, value, reason) for value in values)
    return Atomic(op, element.array, element.indices, operands, result, type_, block.text.location(call))


def _check(block: Block, target: ast.Subscript, element: Element) -> None:
    """Refuse an element that no other iteration has, that cannot be written, or that no device has atomics for."""
    array, name = element.type, element.name
    if isinstance(array, LocalArray) and array.space == "private":
        raise block.text.error(
            target, f"'{name}' is private: no other iteration has a part in it.", f"Write {name}[i] += value."
        )
    if isinstance(array, ArrayType) and array.mode != "inout":
        kind, why = ("an In", "is written") if array.mode == "in" else ("an Out", "has nothing in it to begin with")
        inner = repr(array).partition("[")[2]
        raise block.text.error(target, f"'{name}' is {kind} array and {why}.", f"Annotate it as InOut[{inner} instead.")
    if array.element not in _ELEMENTS:
        known = ", ".join(map(repr, _ELEMENTS))
        raise block.text.error(
            target, f"'{name}' holds {array.element}, for which there are no atomic operations.",
            f"Use an array of {known}.",
        )  # fmt: skip
