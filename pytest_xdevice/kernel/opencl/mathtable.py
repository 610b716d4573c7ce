"""How OpenCL C spells the math table, and the few functions that a program brings with it."""

from __future__ import annotations

from typing import Final

from pytest_xdevice.kernel.elementary import ELEMENTARY
from pytest_xdevice.kernel.elementary import elementary
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import ScalarType

C_TYPES: Final = {
    "bool_": "bool", "i8": "char", "i16": "short", "i32": "int", "i64": "long",
    "u8": "uchar", "u16": "ushort", "u32": "uint", "u64": "ulong", "f32": "float", "f64": "double",
    "f16": "float",  # half is for memory alone; its values are computed with as floats
}  # fmt: skip
_SPELLINGS: Final = {"abs": "fabs", "round": "rint"}
# PoCL's versions hold conversions that are undefined beyond an integer's range. Where its compiler sees a constant
# argument there, NaN or in rint any value from 2**31, it drops the store of the result or all of the kernel: PoCL 3.1.
_UNDEFINED_OF_NAN: Final = frozenset({"floor", "ceil", "trunc", "exp", "exp2", "expm1", "sinh"})
_WHOLE_FROM: Final = {"float": "0x1p23f", "double": "0x1p52"}  # floats from here on have no fraction
_SAME: Final = frozenset(
    {
        "sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan",
        "atan2", "sinh", "cosh", "tanh", "hypot", "cbrt", "erf", "fma", "copysign", "isnan", "isinf", "isfinite",
        "floor", "ceil", "trunc", "pow",
    }
)  # fmt: skip


class MathFunctions:
    """Names each function of the math table, and collects the definitions that a program needs.

    Parameters
    ----------
    own : bool
        Whether to compute elementary functions by the language's own code, which relaxed arithmetic would break.
    """

    def __init__(self, *, own: bool = True) -> None:
        self._own = own
        self._definitions: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The definitions of everything that was named and is no built-in."""
        return "\n".join(self._definitions.values())

    def define(self, name: str, definition: str) -> None:
        """Add the definition of a function that is none of the table."""
        self._definitions[name] = definition

    def callee(self, function: str, scalar: ScalarType) -> str:
        """Return the function that computes `function` on floats of type `scalar`."""
        if function in ("min", "max"):
            name = f"xd_{function}_{scalar.name}"
            self._definitions[name] = _extremum(function, name, C_TYPES[scalar.name])
            return name
        if self._own and scalar == f32 and function in ELEMENTARY:
            name = f"xd_{function}_f32"
            self._definitions[name] = elementary(function).opencl(name)
            return name
        if function == "round" or (self._own and function in _UNDEFINED_OF_NAN):
            name = f"xd_{function}_{scalar.name}"
            self._definitions[name] = _guarded(function, name, C_TYPES[scalar.name])
            return name
        if function in _SAME:
            return function
        return _SPELLINGS[function]

    def saturating_cast(self, source: ScalarType, target: ScalarType) -> str:
        """Return the function that converts a float to an integer: saturating, NaN to 0."""
        name = f"xd_{target.name}_of_{source.name}"
        to, of = C_TYPES[target.name], C_TYPES[source.name]
        # What a saturating conversion makes of NaN is only a recommendation of the standard.
        self._definitions[name] = f"{to} {name}({of} x) {{ return isnan(x) ? ({to})0 : convert_{to}_sat(x); }}"
        return name

    def rounded_to_half(self, source: ScalarType) -> str:
        """Return the function that rounds a float to the values that a half has."""
        name, of = f"xd_f16_of_{source.name}", C_TYPES[source.name]
        self._definitions[name] = (
            f"float {name}({of} x) {{ ushort bits; vstore_half_rte(x, 0, (half *)&bits); "
            "return vload_half(0, (const half *)&bits); }"
        )
        return name


def _guarded(function: str, name: str, c_type: str) -> str:
    """Return a definition of a function whose built-in is not to meet every constant but on a GPU."""
    built_in = _SPELLINGS.get(function, function)
    fit = f"fabs(x) < {_WHOLE_FROM[c_type]}" if function == "round" else "x == x"
    definition = f"{c_type} {name}({c_type} x) {{ return {fit} ? {built_in}(x) : x; }}"
    return f"#ifdef XD_GPU\n#define {name} {built_in}\n#else\n{definition}\n#endif"


def _extremum(function: str, name: str, c_type: str) -> str:
    """Return a definition of min or max: NaN wins, and -0 is below +0.

    The usual cases come first, and no case calls a function: a running maximum then costs a predicted branch. NVIDIA's
    GPUs have an instruction for f32 from compute capability 8.0 on.
    """
    first, second, tie = ("<", ">", "|") if function == "min" else (">", "<", "&")
    bits = "int" if c_type == "float" else "long"
    equal = f"as_{c_type}(as_{bits}(a) {tie} as_{bits}(b))"  # the same bits, but for zeros of either sign
    head = f"{c_type} {name}({c_type} a, {c_type} b)"
    usual = f"{head} {{ return a {first} b ? a : a {second} b ? b : a == b ? {equal} : a + b; }}"
    if c_type != "float":
        return usual
    instruction = f'asm("{function}.NaN.f32 %0, %1, %2;" : "=f"(r) : "f"(a), "f"(b));'
    return f"#ifdef XD_EXTREMA\n{head} {{ float r; {instruction} return r; }}\n#else\n{usual}\n#endif"
