"""Which type an operation has: NumPy's promotion, weak literals, and what may be stored where."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import reduce
from typing import Final
from typing import Union

from pytest_xdevice.kernel.ir import Cast
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import SCALARS
from pytest_xdevice.kernel.types import ScalarType

Number = Union[bool, int, float]
_RANK: Final = {"bool": 0, "int": 1, "uint": 1, "float": 2}


class Refusal(Exception):
    """Something the language does not allow, said before its place is known."""

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


@dataclass(frozen=True)
class Weak:
    """A literal or captured Python constant: its type is the one that its use gives it."""

    value: Number
    at: Location


@dataclass(frozen=True)
class WeakSelect:
    """A ternary of literals, whose type is the one that its use gives it too."""

    condition: Expr
    then: Weak | WeakSelect
    otherwise: Weak | WeakSelect
    at: Location


WeakOperand = Union[Weak, WeakSelect]
Operand = Union[Expr, Weak, WeakSelect]


def is_weak(operand: Operand) -> bool:
    """Say whether `operand` takes its type from its use."""
    return isinstance(operand, (Weak, WeakSelect))


# --- typed operands --------------------------------------------------------------------------------------


def promote(left: ScalarType, right: ScalarType) -> ScalarType:
    """Return the type that arithmetic on `left` and `right` has, as in NumPy; f16 counts as f32.

    Raises
    ------
    Refusal
        For u64 with a signed integer, which NumPy turns into an inexact f64.
    """
    left, right = arithmetic_type(left), arithmetic_type(right)
    if left == right or right.kind == "bool":
        return left
    if left.kind == "bool":
        return right
    if left.is_float and right.is_float:
        return f64
    if left.is_float or right.is_float:
        real, whole = (left, right) if left.is_float else (right, left)
        return real if whole.bits <= 16 else f64
    if left.kind == right.kind:
        return max(left, right, key=lambda t: t.bits)
    signed, unsigned = (left, right) if left.is_signed else (right, left)
    if unsigned.bits < signed.bits:
        return signed
    if unsigned.bits == 64:
        raise Refusal(
            f"{left} and {right} have no integer type in common.",
            f"Cast one of them: {signed}(x) for the {unsigned}, or {unsigned}(x) for the {signed}.",
        )
    return SCALARS[f"i{unsigned.bits * 2}"]


def arithmetic_type(type_: ScalarType) -> ScalarType:
    """Return the type in which a value of `type_` is computed with: f32 for f16, otherwise its own."""
    return f32 if type_.name == "f16" else type_


def widens(source: ScalarType, target: ScalarType) -> bool:
    """Say whether a `source` may become a `target` without a cast being written."""
    if source == target:
        return True
    if target.kind == "bool" or target.name == "f16":
        return False
    try:
        return promote(source, target) == target
    except Refusal:
        return False


def cast(value: Expr, type_: ScalarType) -> Expr:
    """Return `value` converted to `type_`; constants are converted here."""
    if value.type == type_:
        return value
    if isinstance(value, Const):
        return Const(cast_constant(value.value, type_), type_, value.at)
    return Cast(value, type_, value.at)


# --- weak operands ---------------------------------------------------------------------------------------


def default_type(operand: Operand) -> ScalarType:
    """Return the type of `operand`, or the one that a literal has where nothing else gives it one."""
    if isinstance(operand, Weak):
        return {bool: bool_, int: i64, float: f64}[type(operand.value)]
    if isinstance(operand, WeakSelect):
        then, otherwise = default_type(operand.then), default_type(operand.otherwise)
        return promote(then, otherwise)
    return operand.type


def common_type(*operands: Operand) -> ScalarType:
    """Return the type in which `operands` meet; literals follow the typed ones.

    Raises
    ------
    Refusal
        If they have none.
    """
    given = [operand.type for operand in operands if not isinstance(operand, (Weak, WeakSelect))]
    literals = [default_type(operand) for operand in operands if isinstance(operand, (Weak, WeakSelect))]
    if not given:
        return reduce(promote, literals)
    common = reduce(promote, given, given[0])
    for literal in literals:
        if _RANK[literal.kind] > _RANK[common.kind]:
            common = literal
    return common


def coerce(operand: Operand, type_: ScalarType) -> Expr:
    """Return `operand` as a `type_`, where the language does that by itself.

    Raises
    ------
    Refusal
        If it would lose something, so that a cast must be written.
    """
    if isinstance(operand, Weak):
        return Const(_fit(operand.value, type_), type_, operand.at)
    if isinstance(operand, WeakSelect):
        then, otherwise = coerce(operand.then, type_), coerce(operand.otherwise, type_)
        return Select(operand.condition, then, otherwise, type_, operand.at)
    if not widens(operand.type, type_):
        raise Refusal(f"{_an(operand.type)} does not become {_an(type_)} by itself.", f"Write {type_}(...) around it.")
    return cast(operand, type_)


def typed(operand: Operand) -> Expr:
    """Return `operand` with its own type, or for a literal with the type that it has by default."""
    return coerce(operand, arithmetic_type(default_type(operand)))


def force(operand: Operand, type_: ScalarType) -> Expr:
    """Return `operand` converted to `type_` as a written cast does it."""
    if isinstance(operand, Weak):
        return Const(cast_constant(operand.value, type_), type_, operand.at)
    if isinstance(operand, WeakSelect):
        then, otherwise = force(operand.then, type_), force(operand.otherwise, type_)
        return Select(operand.condition, then, otherwise, type_, operand.at)
    return cast(operand, type_)


def _an(type_: ScalarType) -> str:
    return f"{'an' if type_.name[0] in 'if' else 'a'} {type_}"


def _fit(value: Number, type_: ScalarType) -> Number:
    """Return the literal `value` as a `type_`, or refuse when it is not one."""
    if isinstance(value, bool) or (type_.is_integer and isinstance(value, int)):
        converted = cast_constant(value, type_)
        if converted != value:
            raise Refusal(
                f"{value} does not fit in {type_}.", f"Write {type_}({value}) to wrap it, or use a wider type."
            )
        return converted
    if type_.is_float:
        converted = cast_constant(value, type_)
        if math.isinf(converted) and converted != value:
            raise Refusal(f"{value} does not fit in {type_}.", "Use a wider type, or inf where that is meant.")
        return converted
    if type_.kind == "bool":
        raise Refusal(f"the number {value} is no {type_}.", f"Write True or False, or {type_}({value}).")
    raise Refusal(
        f"the literal {value} does not become {_an(type_)} by itself.",
        f"Write {type_}({value}), or make the {type_} a float.",
    )


# --- constants -------------------------------------------------------------------------------------------


def cast_constant(value: Number, type_: ScalarType) -> Number:
    """Return `value` cast with the language's rules: to integers floats saturate and integers wrap."""
    if type_.kind == "bool":
        return bool(value)
    if type_.is_float:
        return _round(value, type_)
    low, high = integer_range(type_)
    if isinstance(value, float):
        if math.isnan(value):
            return 0
        return low if value <= low else high if value >= high else int(value)
    return (int(value) - low) % (1 << type_.bits) + low


def integer_range(type_: ScalarType) -> tuple[int, int]:
    """Return the least and the greatest value of an integer type."""
    if type_.is_signed:
        return -(1 << (type_.bits - 1)), (1 << (type_.bits - 1)) - 1
    return 0, (1 << type_.bits) - 1


def _round(value: Number, type_: ScalarType) -> float:
    """Return the float of `type_` nearest to `value`, rounded once."""
    if isinstance(value, float):
        wide = value
    else:
        try:
            wide = float(value) if type_.bits == 64 else float(_sticky(int(value)))
        except OverflowError:
            return math.copysign(math.inf, value)
    if type_.bits == 64:
        return wide
    code = {32: "<f", 16: "<e"}[type_.bits]
    try:
        return float(struct.unpack(code, struct.pack(code, wide))[0])
    except OverflowError:
        return math.copysign(math.inf, wide)


def _sticky(value: int) -> int:
    """Return `value` cut to 52 bits, the last one set when any bit was lost, so that a later rounding is right."""
    surplus = abs(value).bit_length() - 52
    if surplus <= 0:
        return value
    magnitude = abs(value) >> surplus
    if abs(value) & ((1 << surplus) - 1):
        magnitude |= 1
    return (magnitude << surplus) * (1 if value > 0 else -1)
