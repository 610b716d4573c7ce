"""Arithmetic on literals alone, done with Python's rules when the kernel is read."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any
from typing import Final

from .ir import Location
from .mathtable import MathFunction
from .promote import Number
from .promote import Refusal
from .promote import Weak
from .promote import WeakOperand
from .promote import WeakSelect

_LARGEST_EXPONENT: Final = 4096

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
    if op in ("pow", "shl") and abs(right.value) > _LARGEST_EXPONENT:
        raise Refusal("the result of this constant expression is too large.", "Compute it outside of the kernel.")
    return Weak(_checked(BINARY[op], left.value, right.value), at)


def call(function: MathFunction, arguments: list[Weak], at: Location) -> Weak:
    """Return the literal that a function of the math table makes of literals."""
    return Weak(_checked(lambda *values: function(*values), *(argument.value for argument in arguments)), at)


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
