"""What the operators of the language make of operands: their types, and refusals of what there is not."""

from __future__ import annotations

from functools import reduce
from typing import Final

from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import DimValue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.ir import Logic
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.traversal import inlined_calls
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import Extent
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType

from . import fold
from .promote import coerce
from .promote import common_type
from .promote import force
from .promote import Operand
from .promote import Refusal
from .promote import typed
from .promote import Weak
from .promote import WeakSelect

_LARGEST_POWER: Final = 64  # up to here a literal exponent becomes multiplications
_BITWISE: Final = frozenset({"and", "or", "xor"})
_SPELLING: Final = {"shl": "<<", "shr": ">>", "and": "&", "or": "|", "xor": "^"}


def unary(op: str, operand: Operand, at: Location) -> Operand:
    """Return what the operator `op` makes of `operand`.

    Raises
    ------
    Refusal
        If the language does not have it for its type.
    """
    if isinstance(operand, (Weak, WeakSelect)):
        return fold.unary(op, operand, at)
    if op == "not":
        return Unary("not", truth(operand), bool_, at)
    operand = typed(operand)
    if op == "invert":
        if operand.type.is_float:
            raise Refusal(f"'~' of an {operand.type}.", "It works on integers and bool_.")
        return Unary("invert", operand, operand.type, at)
    if operand.type.kind == "bool":
        raise Refusal("arithmetic on a bool_.", "Cast it, such as i32(x), or write 'not x' or '~x'.")
    return operand if op == "pos" else Unary("neg", operand, operand.type, at)


def binary(op: str, left: Operand, right: Operand, at: Location) -> Operand:
    """Return what the operator `op` makes of two operands.

    Raises
    ------
    Refusal
        If the language does not have it for their types.
    """
    if isinstance(left, (Weak, WeakSelect)) and isinstance(right, (Weak, WeakSelect)):
        return fold.binary(op, left, right, at)
    type_ = common_type(left, right)
    if type_.kind == "bool" and op not in _BITWISE:
        raise Refusal("arithmetic on two bool_.", "Cast one of them, such as i32(x).")
    if type_.is_float and op in _SPELLING:
        raise Refusal(f"'{_SPELLING[op]}' on {type_}.", "It works on integers: cast with i64(x).")
    if op == "div" and not type_.is_float:
        raise Refusal("'/' of two integers.", "Write '//' for floor division, or cast one of them, such as f64(x).")
    if op == "pow":
        return power(left, right, type_, at)
    return Binary(op, coerce(left, type_), coerce(right, type_), type_, at)  # type: ignore[arg-type]


def power(left: Operand, right: Operand, type_: ScalarType, at: Location) -> Operand:
    """Return ``left ** right`` in `type_`: multiplications for a small literal exponent, otherwise `pow`."""
    exponent = whole_constant(right)
    if exponent is not None and 0 <= exponent <= _LARGEST_POWER:
        return Binary("pow", coerce(left, type_), force(right, type_), type_, at)
    if type_.is_float:
        return Call("pow", (coerce(left, type_), coerce(right, type_)), type_, at)
    what = "only known at run time" if exponent is None else str(exponent)
    raise Refusal(f"an integer to a power that is {what}.", "Cast the base: f64(x) ** y.")


def comparison(op: str, left: Operand, right: Operand, at: Location) -> Operand:
    """Return whether two operands compare as `op` says."""
    if isinstance(left, (Weak, WeakSelect)) and isinstance(right, (Weak, WeakSelect)):
        return fold.binary(op, left, right, at)
    type_ = common_type(left, right)
    return Compare(op, coerce(left, type_), coerce(right, type_), bool_, at)  # type: ignore[arg-type]


def logic(op: str, operands: list[Operand], at: Location) -> Operand:
    """Return whether operands are true together, or one of them, from left to right."""
    return reduce(lambda left, right: _logic(op, left, right, at), operands)


def either(op: str, left: Operand, right: Operand, at: Location) -> Operand:
    """Return what `and` or `or` gives of two operands: one of them, as in Python."""
    if is_truth(left) and is_truth(right):
        return _logic(op, left, right, at)
    return choice(left, right, left, at) if op == "and" else choice(left, left, right, at)


def is_truth(operand: Operand) -> bool:
    """Say whether `operand` is True or False, and no number."""
    if isinstance(operand, Weak):
        return isinstance(operand.value, bool)
    return not isinstance(operand, WeakSelect) and operand.type.kind == "bool"


def _logic(op: str, left: Operand, right: Operand, at: Location) -> Operand:
    if isinstance(left, Weak) and isinstance(right, Weak):
        decided = bool(left.value) and bool(right.value) if op == "and" else bool(left.value) or bool(right.value)
        return Weak(decided, at)
    return Logic(op, truth(left), truth(right), bool_, at)  # type: ignore[arg-type]


def choice(condition: Operand, then: Operand, otherwise: Operand, at: Location) -> Operand:
    """Return one of two operands, as a condition says."""
    if isinstance(condition, Weak):
        return then if condition.value else otherwise
    if isinstance(then, (Weak, WeakSelect)) and isinstance(otherwise, (Weak, WeakSelect)):
        return WeakSelect(truth(condition), then, otherwise, at)
    type_ = common_type(then, otherwise)
    return Select(truth(condition), coerce(then, type_), coerce(otherwise, type_), type_, at)


def truth(operand: Operand) -> Expr:
    """Return whether `operand` is true, as a bool_."""
    if isinstance(operand, Weak):
        return Const(bool(operand.value), bool_, operand.at)
    if isinstance(operand, WeakSelect):
        return Select(operand.condition, truth(operand.then), truth(operand.otherwise), bool_, operand.at)
    value = typed(operand)
    if value.type.kind == "bool":
        return value
    return Compare("ne", value, coerce(Weak(0, value.at), value.type), bool_, value.at)


def extent_of(extent: Extent, at: Location) -> Operand:
    """Return an extent of an array as an operand."""
    return Weak(extent, at) if isinstance(extent, int) else DimValue(extent.name, i64, at)


def whole_constant(operand: Operand) -> int | None:
    """Return the value of an integer that is known when the kernel is read, or None."""
    if isinstance(operand, (Weak, Const)) and type(operand.value) is int:
        return operand.value
    return None


def has_call(operand: Operand) -> bool:
    """Tell whether `operand` calls a helper function, so that it must not be evaluated twice."""
    if isinstance(operand, WeakSelect):
        return any(map(has_call, (operand.condition, operand.then, operand.otherwise)))
    return not isinstance(operand, Weak) and any(inlined_calls(operand))
