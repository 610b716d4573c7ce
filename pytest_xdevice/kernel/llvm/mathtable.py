"""How LLVM spells the math table: intrinsics that every target has instructions for, our own functions, and libm's."""

from __future__ import annotations

from typing import Final

from pytest_xdevice.kernel.elementary import ELEMENTARY
from pytest_xdevice.kernel.elementary import elementary
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import ScalarType

from . import wide

# Table name -> intrinsic. Where a target has no instruction, LLVM falls back on libm's function of the same meaning.
_INTRINSICS: Final = {
    "sqrt": "sqrt", "abs": "fabs", "floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "rint", "fma": "fma",
    "copysign": "copysign",
}  # fmt: skip
_EXTREMA: Final = {"min": "minimum", "max": "maximum"}
_LIBM: Final = frozenset(
    {
        "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
        "sinh", "cosh", "tanh", "hypot", "cbrt", "erf", "pow",
    }
)  # fmt: skip
# Tests of a float's class, as fcmp predicates of x or |x| against a constant: (absolute, predicate, constant).
TESTS: Final = {
    "isnan": (False, "uno", 0.0),
    "isinf": (True, "oeq", float("inf")),
    "isfinite": (True, "one", float("inf")),
}

_PURE: Final = "nounwind willreturn memory(none)"


class MathFunctions:
    """Names the callee of each function of the math table, and collects the declarations that a module needs."""

    def __init__(self, pointer_bits: int) -> None:
        # On 32-bit Arm LLVM 22 cannot select `minimum.f64`, and for f32 takes NEON, which flushes subnormals.
        self._has_extrema = pointer_bits == 64
        self._pointer_bits = pointer_bits
        self._declarations: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The declarations and helper definitions of everything that was named."""
        return "\n".join(self._declarations.values())

    def declare(self, symbol: str, text: str) -> None:
        """Have the module declare `symbol` by the line `text`."""
        self._declarations[symbol] = text

    def callee(self, function: str, scalar: ScalarType, arity: int) -> str:
        """Return the symbol that computes `function` on floats of type `scalar`."""
        llvm_type = {32: "float", 64: "double"}[scalar.bits]
        operands = ", ".join([llvm_type] * arity)
        if function in _EXTREMA and not self._has_extrema:
            symbol = f"@xd_{function}.{scalar.name}"
            self._declarations[symbol] = _extremum(function, symbol, llvm_type)
            return symbol
        intrinsic = _INTRINSICS.get(function) or _EXTREMA.get(function)
        if intrinsic:
            symbol = f"@llvm.{intrinsic}.{scalar.name}"
            self._declarations[symbol] = f"declare {llvm_type} {symbol}({operands})"
            return symbol
        if scalar == f32 and function in ELEMENTARY:
            symbol = f"@xd_{function}.f32"
            recorded = elementary(function)
            self._declarations.update(recorded.intrinsics)
            self._declarations[symbol] = recorded.llvm(symbol)
            return symbol
        if function not in _LIBM:
            raise KeyError(f"LLVM has no spelling for the function {function!r}")
        symbol = f"@{function}{'f' if scalar.bits == 32 else ''}"
        self._declarations[symbol] = f"declare {llvm_type} {symbol}({operands}) {_PURE}"
        return symbol

    def wide_conversion(self, source: ScalarType, target: ScalarType) -> str | None:
        """Return the function that converts between a 64-bit integer and a float, None where LLVM does it inline."""
        if self._pointer_bits == 64 or 64 not in (each.bits for each in (source, target) if each.is_integer):
            return None
        symbol = f"@xd_{target.name}.{source.name}"
        define = wide.to_float if target.is_float else wide.from_float
        self._declarations.update(wide.DECLARATIONS)
        self._declarations[symbol] = define(symbol, source, target)
        return symbol

    def saturating_cast(self, source: ScalarType, target: ScalarType) -> str:
        """Return the intrinsic that converts a float to an integer: saturating, NaN to 0."""
        operation = "fptosi" if target.is_signed else "fptoui"
        symbol = f"@llvm.{operation}.sat.i{target.bits}.{source.name}"
        llvm_type = {32: "float", 64: "double"}[source.bits]
        self._declarations[symbol] = f"declare i{target.bits} {symbol}({llvm_type})"
        return symbol

    def memset(self) -> str:
        """Return the intrinsic that fills memory with a byte, for sizes of a pointer's width."""
        symbol = f"@llvm.memset.p0.i{self._pointer_bits}"
        self._declarations[symbol] = f"declare void {symbol}(ptr, i8, i{self._pointer_bits}, i1)"
        return symbol


def _extremum(function: str, symbol: str, llvm_type: str) -> str:
    """Return a definition of min or max from comparisons: NaN wins, and -0 is below +0."""
    wins = "olt" if function == "min" else "ogt"
    first_of_equals = "%negative" if function == "min" else "%positive"
    bits = f"i{32 if llvm_type == 'float' else 64}"
    return f"""\
define internal {llvm_type} {symbol}({llvm_type} %a, {llvm_type} %b) alwaysinline {_PURE} {{
  %bits = bitcast {llvm_type} %a to {bits}
  %negative = icmp slt {bits} %bits, 0
  %positive = xor i1 %negative, true
  %equal = fcmp oeq {llvm_type} %a, %b
  %tie = and i1 %equal, {first_of_equals}
  %beyond = fcmp {wins} {llvm_type} %a, %b
  %isnan = fcmp uno {llvm_type} %a, %a
  %first = or i1 %tie, %beyond
  %chosen = or i1 %first, %isnan
  %result = select i1 %chosen, {llvm_type} %a, {llvm_type} %b
  ret {llvm_type} %result
}}"""
