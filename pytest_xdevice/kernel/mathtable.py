"""The math table: the functions that a kernel may call, what they take, and how Python code may spell them."""

from __future__ import annotations

import builtins
import math
from functools import lru_cache
from typing import Any
from typing import Final
from typing import Literal

Rule = Literal["float", "test", "number"]


class MathFunction:
    """A function of the math table, callable in kernels and on ordinary numbers.

    Attributes
    ----------
    name : str
        Its name in the table and in `ir.Call`.
    arity : int
        How many operands an `ir.Call` of it has.
    rule : {"float", "test", "number"}
        ``float``: operands become one floating-point type, integers f64, and the result has it. ``test``: the same,
        but the result is bool_. ``number``: operands become one type, integers too, and the result has it.
    variadic : bool
        Whether source code may give more operands than `arity`, folded from the left.
    """

    def __init__(self, name: str, arity: int, rule: Rule, doc: str, *, variadic: bool = False) -> None:
        self.name = self.__name__ = name
        self.arity = arity
        self.rule: Rule = rule
        self.variadic = variadic
        self.__doc__ = doc

    def __call__(self, *arguments: Any) -> Any:
        """Return what a kernel computes for NumPy or Python scalars.

        Raises
        ------
        TypeError
            If an argument is no scalar, or their count is wrong.
        """
        from .scalar_operations import call_function

        return call_function(self, arguments)

    def __repr__(self) -> str:
        return f"<kernel function {self.name}>"


sqrt: Final = MathFunction("sqrt", 1, "float", "The square root, correctly rounded.")
exp: Final = MathFunction("exp", 1, "float", "e to the power of x.")
exp2: Final = MathFunction("exp2", 1, "float", "2 to the power of x.")
expm1: Final = MathFunction("expm1", 1, "float", "exp(x) - 1, accurate near 0.")
log: Final = MathFunction("log", 1, "float", "The natural logarithm.")
log2: Final = MathFunction("log2", 1, "float", "The logarithm to base 2.")
log10: Final = MathFunction("log10", 1, "float", "The logarithm to base 10.")
log1p: Final = MathFunction("log1p", 1, "float", "log(1 + x), accurate near 0.")
sin: Final = MathFunction("sin", 1, "float", "The sine of x radians.")
cos: Final = MathFunction("cos", 1, "float", "The cosine of x radians.")
tan: Final = MathFunction("tan", 1, "float", "The tangent of x radians.")
asin: Final = MathFunction("asin", 1, "float", "The angle in radians whose sine is x.")
acos: Final = MathFunction("acos", 1, "float", "The angle in radians whose cosine is x.")
atan: Final = MathFunction("atan", 1, "float", "The angle in radians whose tangent is x.")
atan2: Final = MathFunction("atan2", 2, "float", "The angle in radians of the point (x, y), given as atan2(y, x).")
sinh: Final = MathFunction("sinh", 1, "float", "The hyperbolic sine.")
cosh: Final = MathFunction("cosh", 1, "float", "The hyperbolic cosine.")
tanh: Final = MathFunction("tanh", 1, "float", "The hyperbolic tangent.")
hypot: Final = MathFunction("hypot", 2, "float", "sqrt(x*x + y*y) without overflow on the way.")
cbrt: Final = MathFunction("cbrt", 1, "float", "The cube root.")
erf: Final = MathFunction("erf", 1, "float", "The error function.")
fma: Final = MathFunction("fma", 3, "float", "x*y + z, rounded once.")
fmod: Final = MathFunction("fmod", 2, "float", "The remainder of x / y with the sign of x, as in C.")
copysign: Final = MathFunction("copysign", 2, "float", "The magnitude of x with the sign of y.")
isnan: Final = MathFunction("isnan", 1, "test", "Whether x is not a number.")
isinf: Final = MathFunction("isinf", 1, "test", "Whether x is an infinity.")
isfinite: Final = MathFunction("isfinite", 1, "test", "Whether x is neither an infinity nor a NaN.")
floor: Final = MathFunction("floor", 1, "number", "The largest whole number not above x, in the type of x.")
ceil: Final = MathFunction("ceil", 1, "number", "The smallest whole number not below x, in the type of x.")
trunc: Final = MathFunction("trunc", 1, "number", "x without its fraction, in the type of x.")

_POW: Final = MathFunction("pow", 2, "float", "x to the power of y.")
_ABS: Final = MathFunction("abs", 1, "number", "The magnitude of x; the least integer is its own.")
_ROUND: Final = MathFunction("round", 1, "number", "The nearest whole number, ties to even, in the type of x.")
_MIN: Final = MathFunction("min", 2, "number", "The smaller; NaN wins, and -0 is below +0.", variadic=True)
_MAX: Final = MathFunction("max", 2, "number", "The larger; NaN wins, and -0 is below +0.", variadic=True)

FUNCTIONS: Final[dict[str, MathFunction]] = {
    function.name: function
    for function in (
        sqrt, exp, exp2, expm1, log, log2, log10, log1p, sin, cos, tan, asin, acos, atan, atan2, sinh, cosh, tanh,
        hypot, cbrt, erf, fma, fmod, copysign, isnan, isinf, isfinite, floor, ceil, trunc, _POW, _ABS, _ROUND,
        _MIN, _MAX,
    )
}  # fmt: skip

# Other names that `math` and `numpy` have for the table's functions.
ALIASES: Final[dict[str, str]] = {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "absolute": "abs", "fabs": "abs",
    "minimum": "min", "maximum": "max", "rint": "round", "fix": "trunc",
    "power": "pow",
}  # fmt: skip
# numpy.min and numpy.max reduce an array: they are not the table's functions.
_NOT_OURS: Final = frozenset({"min", "max"})


@lru_cache(maxsize=1)
def _spellings() -> dict[Any, str]:
    """Return the table name of every Python object that stands for a function of the table."""
    import numpy as np

    found: dict[Any, str] = {function: name for name, function in FUNCTIONS.items()}
    for builtin in (abs, min, max, round, builtins.pow):
        found[builtin] = builtin.__name__
    for spelling, name in {**{name: name for name in FUNCTIONS}, **ALIASES}.items():
        for module in (math, np):
            function = getattr(module, spelling, None)
            if function is not None and spelling not in _NOT_OURS:
                found.setdefault(function, name)
    return found


def table_name(function: object) -> str | None:
    """Return the table name of a Python function such as ``math.exp`` or ``np.arcsin``, or None."""
    try:
        return _spellings().get(function)
    except TypeError:  # unhashable, hence no function
        return None
