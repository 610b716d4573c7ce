"""Atomic operations on elements of arrays: what the language calls them, and how the front end reads a call."""

from __future__ import annotations

import ast
from types import FunctionType
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from .ir import Atomic
from .ir import AtomicOp
from .types import ArrayType
from .types import f32
from .types import f64
from .types import i32
from .types import i64
from .types import LocalArray
from .types import u32
from .types import u64

if TYPE_CHECKING:
    from .expressions import Element
    from .frontend import Statements

_ELEMENTS: Final = (i32, u32, i64, u64, f32, f64)


def atomic_add(element: Any, value: Any) -> Any:
    """Add to an element while others may do so too, and return what it was: ``old = atomic_add(a[i], 1)``.

    Parameters
    ----------
    element : element of an InOut or shared array of i32, u32, i64, u64, f32 or f64
    value : number

    Raises
    ------
    TypeError
        Whenever Python itself runs it: it has a meaning only in a kernel.
    """
    raise _outside("atomic_add(a[i], 1)")


def atomic_min(element: Any, value: Any) -> Any:
    """Make an element the lesser of itself and `value`, and return what it was; else as `atomic_add`."""
    raise _outside("atomic_min(a[i], x)")


def atomic_max(element: Any, value: Any) -> Any:
    """Make an element the greater of itself and `value`, and return what it was; else as `atomic_add`."""
    raise _outside("atomic_max(a[i], x)")


def atomic_cas(element: Any, expected: Any, desired: Any) -> Any:
    """Make an element `desired` where it is `expected`, bit by bit, and return what it was; else as `atomic_add`."""
    raise _outside("atomic_cas(a[i], 0, 1)")


def _outside(example: str) -> TypeError:
    return TypeError(f"this has a meaning only inside a @kernel: there, write 'old = {example}'.")


ATOMICS: Final[dict[Any, AtomicOp]] = {atomic_add: "add", atomic_min: "min", atomic_max: "max", atomic_cas: "cas"}
_USAGE: Final = {
    "add": "atomic_add(a[i], value)",
    "min": "atomic_min(a[i], value)",
    "max": "atomic_max(a[i], value)",
    "cas": "atomic_cas(a[i], expected, desired)",
}


def is_atomic(callee: Any) -> bool:
    """Tell whether `callee` is one of the atomic operations."""
    return isinstance(callee, FunctionType) and callee in ATOMICS


def read_atomic(statements: Statements, call: ast.Call, op: AtomicOp, result: str | None) -> Atomic:
    """Return the operation that `call` is.

    Parameters
    ----------
    statements : Statements
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
        raise statements.text.error(
            call, f"atomic_{op}() takes an element and {count - 1} value{'s'[: count > 2]}.", f"Write {_USAGE[op]}."
        )
    target, *values = call.args
    if not isinstance(target, ast.Subscript):
        raise statements.text.error(
            target, f"atomic_{op}() works on an element of an array, and this is none.", f"Write {_USAGE[op]}."
        )
    element = statements.element(target)
    _check(statements, target, element)
    type_ = element.type.element
    reason = f"'{element.name}' holds {type_}"
    operands = tuple(statements.fitting(statements.expressions.visit(value), type_, value, reason) for value in values)
    return Atomic(op, element.array, element.indices, operands, result, type_, statements.text.location(call))


def _check(statements: Statements, target: ast.Subscript, element: Element) -> None:
    """Refuse an element that no other iteration has, that cannot be written, or that no device has atomics for."""
    array, name = element.type, element.name
    if isinstance(array, LocalArray) and array.space == "private":
        raise statements.text.error(
            target, f"'{name}' is private: no other iteration has a part in it.", f"Write {name}[i] += value."
        )
    if isinstance(array, ArrayType) and array.mode != "inout":
        kind, why = ("an In", "is written") if array.mode == "in" else ("an Out", "has nothing in it to begin with")
        inner = repr(array).partition("[")[2]
        raise statements.text.error(
            target, f"'{name}' is {kind} array and {why}.", f"Annotate it as InOut[{inner} instead."
        )
    if array.element not in _ELEMENTS:
        known = ", ".join(map(repr, _ELEMENTS))
        raise statements.text.error(
            target, f"'{name}' holds {array.element}, for which there are no atomic operations.",
            f"Use an array of {known}.",
        )  # fmt: skip
