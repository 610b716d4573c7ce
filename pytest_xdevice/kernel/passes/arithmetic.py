"""The language's arithmetic spelled out with operations that hardware has: division, shifts, extrema, powers.

Each function takes legal operands and returns a legal expression of the same type. Operands that are needed more
than once go through `once`, which gives back something that can be evaluated again for free (a local or a constant).
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Final

from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import BinaryOp
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Cast
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import CompareOp
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import LegalOp
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import SCALARS
from pytest_xdevice.kernel.types import ScalarType

Once = Callable[[Expr], Expr]

_COMPARE: Final[dict[CompareOp, Callable[[float, float], bool]]] = {
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip


def binary(op: BinaryOp | LegalOp, left: Expr, right: Expr) -> Expr:
    """Return an operation of its operands' type, without operands that change nothing."""
    if left.type == bool_:
        for one, other in ((left, right), (right, left)):
            if isinstance(one, Const) and op in ("and", "or"):
                return other if bool(one.value) == (op == "and") else one
            if isinstance(one, Const) and op == "xor":
                return invert(other) if one.value else other
    return Binary(op, left, right, left.type, left.at)


def compare(op: CompareOp, left: Expr, right: Expr) -> Expr:
    """Return a comparison, decided at once between constants."""
    if isinstance(left, Const) and isinstance(right, Const) and _is_exact(left) and _is_exact(right):
        return Const(_COMPARE[op](left.value, right.value), bool_, left.at)
    return Compare(op, left, right, bool_, left.at)


def _is_exact(number: Const) -> bool:
    """Tell whether a constant compares with others as it stands, however its type rounds it."""
    return not number.type.is_float or float(number.value).is_integer()


def select(condition: Expr, then: Expr, otherwise: Expr) -> Expr:
    """Return an eager choice, decided at once when the condition is a constant."""
    if isinstance(condition, Const):
        return then if condition.value else otherwise
    return Select(condition, then, otherwise, then.type, condition.at)


def constant(value: float, like: Expr) -> Const:
    """Return a constant of the type of `like`, at its place."""
    return Const(float(value) if like.type.is_float else value, like.type, like.at)


def negate(operand: Expr) -> Expr:
    """Return ``-operand``: integers wrap, floats flip their sign."""
    if operand.type.is_float:
        return Unary("neg", operand, operand.type, operand.at)
    return binary("sub", constant(0, operand), operand)


def invert(operand: Expr) -> Expr:
    """Return ``~operand``, which is ``not`` for bool_."""
    if operand.type == bool_ and isinstance(operand, Const):
        return Const(not operand.value, bool_, operand.at)
    ones = Const(True, bool_, operand.at) if operand.type == bool_ else constant(_all_ones(operand.type), operand)
    return Binary("xor", operand, ones, operand.type, operand.at)


def smallest(scalar: ScalarType) -> int:
    """Return the least value of an integer type."""
    return -(1 << (scalar.bits - 1)) if scalar.is_signed else 0


def _all_ones(scalar: ScalarType) -> int:
    return -1 if scalar.is_signed else (1 << scalar.bits) - 1


# --- integer division ------------------------------------------------------------------------------------


def integer_division(op: BinaryOp, left: Expr, right: Expr, once: Once) -> Expr:
    """Return integer ``floordiv`` or ``mod``: rounded down, 0 for a divisor of 0, the least value // -1 wraps."""
    if isinstance(right, Const):
        return _divide_by_constant(op, left, right, once)
    if left.type.kind == "uint":
        return _divide_unsigned(op, left, right, once)
    left, right = once(left), once(right)
    is_zero = compare("eq", right, constant(0, right))
    least = compare("eq", left, constant(smallest(left.type), left))
    overflows = binary("and", least, compare("eq", right, constant(-1, right)))
    # A divisor of 1 gives what is wanted where the instruction would trap: the least value and remainder 0.
    divisor = once(select(binary("or", is_zero, overflows), constant(1, right), right))
    remainder = once(binary("srem", left, divisor))
    differs = compare("lt", binary("xor", remainder, divisor), constant(0, remainder))
    inexact = binary("and", compare("ne", remainder, constant(0, remainder)), differs)
    if op == "mod":
        return select(inexact, binary("add", remainder, divisor), remainder)
    quotient = once(binary("sdiv", left, divisor))
    floored = select(inexact, binary("sub", quotient, constant(1, quotient)), quotient)
    return select(is_zero, constant(0, floored), floored)


def _divide_unsigned(op: BinaryOp, left: Expr, right: Expr, once: Once) -> Expr:
    right = once(right)
    is_zero = compare("eq", right, constant(0, right))
    divisor = select(is_zero, constant(1, right), right)
    if op == "mod":
        return binary("urem", left, divisor)
    return select(is_zero, constant(0, left), binary("udiv", left, divisor))


def _divide_by_constant(op: BinaryOp, left: Expr, right: Const, once: Once) -> Expr:
    divisor = int(right.value)
    if divisor == 0 or (op == "mod" and divisor in (1, -1)):
        return constant(0, left)
    if divisor == 1:
        return left
    if left.type.kind == "uint":
        return binary("udiv" if op == "floordiv" else "urem", left, right)
    if divisor == -1:
        return negate(left)
    if divisor > 0 and divisor & (divisor - 1) == 0:
        if op == "mod":
            return binary("and", left, constant(divisor - 1, left))
        return binary("ashr", left, constant(divisor.bit_length() - 1, left))
    left = once(left)
    remainder = once(binary("srem", left, right))
    inexact = compare("lt" if divisor > 0 else "gt", remainder, constant(0, remainder))
    if op == "mod":
        return select(inexact, binary("add", remainder, right), remainder)
    quotient = once(binary("sdiv", left, right))
    return select(inexact, binary("sub", quotient, constant(1, quotient)), quotient)


# --- floating-point division -----------------------------------------------------------------------------


def float_division(op: BinaryOp, left: Expr, right: Expr, once: Once) -> Expr:
    """Return floating-point ``floordiv`` or ``mod`` as NumPy's ``npy_divmod`` computes them."""
    left, right = once(left), once(right)
    zero = constant(0, left)
    remainder = once(binary("fmod", left, right))
    negative = binary("xor", compare("lt", right, zero), compare("lt", remainder, zero))
    adjust = once(binary("and", compare("ne", remainder, zero), negative))
    by_zero = compare("eq", right, zero)
    if op == "mod":
        signed_zero = Call("copysign", (zero, right), left.type, left.at)
        adjusted = select(adjust, binary("add", remainder, right), remainder)
        exact = binary("and", compare("eq", remainder, zero), invert(by_zero))
        return select(exact, signed_zero, adjusted)
    whole = once(binary("div", binary("sub", left, remainder), right))
    whole = once(select(adjust, binary("sub", whole, constant(1, whole)), whole))
    floor = once(Call("floor", (whole,), left.type, left.at))
    above = compare("gt", binary("sub", whole, floor), constant(0.5, whole))
    rounded = select(above, binary("add", floor, constant(1, floor)), floor)
    quotient = once(binary("div", left, right))
    signed = select(compare("ne", whole, zero), rounded, Call("copysign", (zero, quotient), left.type, left.at))
    return select(by_zero, quotient, signed)


# --- shifts, extrema, powers -----------------------------------------------------------------------------


def shift(op: BinaryOp, left: Expr, right: Expr, once: Once) -> Expr:
    """Return ``shl`` or ``shr`` with any count: one past the width, or negative, shifts every bit out."""
    width = left.type.bits
    legal: LegalOp | BinaryOp = "shl" if op == "shl" else ("ashr" if left.type.is_signed else "lshr")
    if isinstance(right, Const):
        if 0 <= right.value < width:
            return binary(legal, left, right)
        return binary("ashr", left, constant(width - 1, left)) if legal == "ashr" else constant(0, left)
    right = once(right)
    count = Cast(right, SCALARS[f"u{width}"], right.at) if right.type.is_signed else right
    fits = compare("lt", count, constant(width, count))
    if legal == "ashr":
        return binary(legal, left, select(fits, right, constant(width - 1, right)))
    masked = binary("and", right, constant(width - 1, right))
    return select(fits, binary(legal, left, masked), constant(0, left))


def integer_extremum(function: str, left: Expr, right: Expr, once: Once) -> Expr:
    """Return the ``min`` or ``max`` of two integers or bool_."""
    left, right = once(left), once(right)
    return select(compare("lt" if function == "min" else "gt", left, right), left, right)


def integer_abs(operand: Expr, once: Once) -> Expr:
    """Return ``abs``; the least value stays what it is."""
    if not operand.type.is_signed:
        return operand
    operand = once(operand)
    return select(compare("lt", operand, constant(0, operand)), negate(operand), operand)


def power(base: Expr, exponent: int, once: Once) -> Expr:
    """Return ``base ** exponent`` for a non-negative `exponent` by repeated squaring."""
    result: Expr | None = None
    while exponent:
        base = once(base)
        if exponent & 1:
            result = base if result is None else once(binary("mul", result, base))
        exponent >>= 1
        if exponent:
            base = binary("mul", base, base)
    return constant(1, base) if result is None else result
