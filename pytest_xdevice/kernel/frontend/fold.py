"""Arithmetic on literals alone, done with Python's rules when the kernel is read."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any
from typing import Final

from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.mathtable import MathFunction

from .promote import Number
from .promote import Refusal
from .promote import Weak
from .promote import WeakOperand
from .promote import WeakSelect

_LARGEST_BITS: Final = 1 << 14  # of an integer on the way to a result
_BY_PYTHON: Final[dict[str, Callable[..., Any]]] = {"abs": abs, "min": min, "max": max}

UNARY: Final[dict[str, Callable[[Any], Number]]] = {
    "neg": operator.neg,
    "pos": operator.pos,
    "invert": operator.invert,
    "not": operator.not_,
}
BINARY: Final[dict[str, Callable[[Any, Any], Number]]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "floordiv": operator.floordiv, "mod": operator.mod, "pow": operator.pow, "shl": operator.lshift,
    "shr": operator.rshift, "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


def unary(op: str, operand: WeakOperand, at: Location) -> WeakOperand:
    """Return the literal that `op` makes of a literal."""
    if isinstance(operand, WeakSelect):
        return WeakSelect(operand.condition, unary(op, operand.then, at), unary(op, operand.otherwise, at), at)
    return Weak(_checked(UNARY[op], operand.value), at)


def binary(op: str, left: WeakOperand, right: WeakOperand, at: Location) -> WeakOperand:
    """Return the literal that `op` makes of two; of a ternary, the ternary of the results."""
    if isinstance(left, WeakSelect):
        return WeakSelect(left.condition, binary(op, left.then, right, at), binary(op, left.otherwise, right, at), at)
    if isinstance(right, WeakSelect):
        return WeakSelect(right.condition, binary(op, left, right.then, at), binary(op, left, right.otherwise, at), at)
    if op in ("pow", "shl") and _is_huge(op, left.value, right.value):
        raise Refusal("the result of this constant expression is too large.", "Compute it outside of the kernel.")
    return Weak(_checked(BINARY[op], left.value, right.value), at)


def call(function: MathFunction, arguments: list[Weak], at: Location) -> Weak:
    """Return the literal that a function of the math table makes of literals."""
    operation = _BY_PYTHON.get(function.name, function)
    return Weak(_checked(operation, *(argument.value for argument in arguments)), at)


def cast(type_: type[Number], operand: Weak, at: Location) -> Weak:
    """Return the literal that Python's int(), float() or bool() makes of a literal."""
    return Weak(_checked(type_, operand.value), at)


def _is_huge(op: str, left: Number, right: Number) -> bool:
    """Say whether an integer result would have more bits than any use has a need for."""
    if isinstance(left, float) or isinstance(right, float):
        return False
    return right > _LARGEST_BITS or (op == "pow" and int(left).bit_length() * right > _LARGEST_BITS)


def _checked(operation: Callable[..., Any], *values: Number) -> Number:
    try:
        result = operation(*values)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise Refusal(f"this constant expression has no value: {error}.", "Mend the constants.") from None
    if not isinstance(result, (bool, int, float)):
        raise Refusal(
            f"this constant expression gives a {type(result).__name__}, not a real number.", "Mend the constants."
        )
    return result
