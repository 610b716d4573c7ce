"""What one operation of the language gives of NumPy scalars, where theirs is missing or another."""

from __future__ import annotations

import math
from collections.abc import Callable
from collections.abc import Sequence
from fractions import Fraction
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

import numpy as np

from .elementary import ELEMENTARY
from .elementary import on_scalars
from .frontend.promote import arithmetic_type
from .frontend.promote import cast_constant
from .frontend.promote import integer_range
from .frontend.promote import promote
from .types import f32
from .types import f64
from .types import i64
from .types import scalar_of_dtype
from .types import ScalarType

if TYPE_CHECKING:
    from .mathtable import MathFunction

__tracebackhide__: Final = True  # pytest ends with the line of the test


def cast_value(value: Any, type_: ScalarType) -> Any:
    """Return a Python or NumPy number cast with the language's rules, as a NumPy scalar of `type_`.

    Raises
    ------
    TypeError
        If `value` is not a single number.
    """
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, (bool, int, float)):
        raise TypeError(f"{type_}() takes one number; got {type(value).__name__}: use .astype(...) for arrays")
    return type_.dtype.type(cast_constant(plain, type_))


def call_function(function: MathFunction, arguments: Sequence[Any]) -> Any:
    """Return what a kernel computes when it calls `function`; of Python numbers alone, a Python number.

    Raises
    ------
    TypeError
        If an argument is not a single number, or their count is wrong.
    """
    count = len(arguments)
    if count < function.arity or (count > function.arity and not function.variadic):
        raise TypeError(f"{function.name}() takes {function.arity} argument(s); got {count}")
    given = [scalar_of_dtype(value.dtype) for value in arguments if isinstance(value, np.generic)]
    common = _number_type(arguments)
    for type_ in given:
        if type_ is None:
            raise TypeError(f"{function.name}() takes numbers of types that kernels have")
    if function.rule != "number" and not common.is_float:
        common = f64
    first, *others = [cast_value(value, common) for value in arguments]
    operation = implementation(function.name, common)
    with np.errstate(all="ignore"):
        if function.variadic:
            for other in others:
                first = operation(first, other)
            result = first
        else:
            result = operation(first, *others)
    return result if given else result.item()


def _number_type(values: Sequence[Any]) -> ScalarType:
    """Return the common type of Python and NumPy numbers, as in a kernel."""
    common: ScalarType | None = None
    for value in values:
        if isinstance(value, np.generic):
            type_ = arithmetic_type(scalar_of_dtype(value.dtype) or f64)
            common = type_ if common is None else promote(common, type_)
    real = any(isinstance(value, float) and not isinstance(value, np.generic) for value in values)
    if common is None:
        return f64 if real else i64
    return f64 if real and not common.is_float else common


def power(base: Any, exponent: int) -> Any:
    """Return the power by squaring, from the lowest bit of the exponent up: every target multiplies in this order."""
    result = None
    while exponent:
        if exponent & 1:
            result = base if result is None else result * base
        exponent >>= 1
        if exponent:
            base = base * base
    return type(base)(1) if result is None else result


def _divmod(a: Any, b: Any) -> tuple[Any, Any]:
    """Return floor division and remainder of floats as NumPy's ``npy_divmod`` computes them."""
    mod = np.fmod(a, b)
    if b == 0:
        return a / b, mod
    div = (a - mod) / b
    if mod != 0:
        if (b < 0) != (mod < 0):
            mod += b
            div -= type(a)(1)
    else:
        mod = np.copysign(type(a)(0), b)
    if div != 0:
        floor = np.floor(div)
        if div - floor > 0.5:
            floor += type(a)(1)
    else:
        floor = np.copysign(type(a)(0), a / b)
    return floor, mod


def floor_divide(a: Any, b: Any) -> Any:
    """Return ``a // b`` of floats."""
    return _divmod(a, b)[0]


def remainder(a: Any, b: Any) -> Any:
    """Return ``a % b`` of floats."""
    return _divmod(a, b)[1]


def saturating(target: ScalarType) -> Callable[[Any], Any]:
    """Return the cast of a float to an integer type: NaN becomes 0, and what is beyond the type its end."""
    low, high = integer_range(target)
    make = target.dtype.type

    def convert(value: Any) -> Any:
        if value != value:
            return make(0)
        number = float(value)
        return make(low) if number <= low else make(high) if number >= high else make(int(number))

    return convert


def compare_and_swap(old: Any, expected: Any, desired: Any) -> Any:
    """Return what `atomic_cas` leaves in an element: it compares bits."""
    return desired if old.tobytes() == expected.tobytes() else old


def _minimum(a: Any, b: Any) -> Any:
    if a != a or b != b:
        return a if a != a else b
    if a == b:
        return a if np.signbit(a) else b
    return a if a < b else b


def _maximum(a: Any, b: Any) -> Any:
    if a != a or b != b:
        return a if a != a else b
    if a == b:
        return b if np.signbit(a) else a
    return a if a > b else b


def _erf(x: Any) -> Any:
    return type(x)(math.erf(float(x)))


def _fma(x: Any, y: Any, z: Any) -> Any:
    """Return ``x*y + z`` rounded once, from exact rational arithmetic."""
    plain = x * y + z
    if not (np.isfinite(x) and np.isfinite(y) and np.isfinite(z)):
        return plain
    exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
    if exact == 0:  # the sign of the zero is the ordinary operations'
        return plain
    try:
        wide = float(exact)
    except OverflowError:
        return type(x)(math.inf if exact > 0 else -math.inf)
    if type(x) is np.float64:
        return np.float64(wide)
    return type(x)(_to_odd(wide, exact))


def _to_odd(wide: float, exact: Fraction) -> float:
    """Return `exact` as a double rounded to odd, which rounds to a narrower type as `exact` itself does."""
    if Fraction(wide) == exact:
        return wide
    if abs(Fraction(wide)) > abs(exact):
        wide = math.nextafter(wide, 0.0)
    bits = np.float64(wide).view(np.uint64) | np.uint64(1)
    return float(bits.view(np.float64))


_NUMPY: Final[dict[str, Callable[..., Any]]] = {
    "sqrt": np.sqrt, "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2,
    "log10": np.log10, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "hypot": np.hypot, "cbrt": np.cbrt, "erf": _erf, "fma": _fma, "fmod": np.fmod, "copysign": np.copysign,
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "floor": np.floor, "ceil": np.ceil,
    "trunc": np.trunc, "pow": np.power, "abs": abs, "round": np.rint, "min": _minimum, "max": _maximum,
}  # fmt: skip


def implementation(name: str, type_: ScalarType) -> Callable[..., Any]:
    """Return the function of the math table `name` for operands of `type_`."""
    if type_.is_integer and name in ("floor", "ceil", "trunc", "round"):
        return lambda value: value
    if type_.is_integer and name in ("min", "max"):
        return min if name == "min" else max
    if type_ == f32 and name in ELEMENTARY:
        return on_scalars(name)
    return _NUMPY[name]
