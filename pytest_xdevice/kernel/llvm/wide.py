"""Conversions between 64-bit integers and floats for 32-bit targets, by the instructions that those have.

LLVM would call ``__aeabi_l2f`` and its kin, which libgcc_s has where it is installed; these are shorter, too. A 64-bit
integer is two 32-bit ones, whose conversion to f64 is exact, and so are products with powers of 2.
"""

from __future__ import annotations

from typing import Final

from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import ScalarType

_ATTRIBUTES: Final = "alwaysinline nounwind willreturn memory(none)"
_2_TO_32: Final = "0x41F0000000000000"
_2_TO_MINUS_32: Final = "0x3DF0000000000000"
_2_TO_63: Final = "0x43E0000000000000"


def to_float(symbol: str, source: ScalarType, target: ScalarType) -> str:
    """Return the definition of the function `symbol` that rounds an i64 or u64 to the nearest f32 or f64."""
    extend, shift = ("sitofp", "ashr") if source.is_signed else ("uitofp", "lshr")
    result = "float" if target == f32 else "double"
    number = "%exact" if target == f32 else "%x"
    end = "  %single = fptrunc double %sum to float\n  ret float %single" if target == f32 else "  ret double %sum"
    return f"""\
define internal {result} {symbol}(i64 %x) {_ATTRIBUTES} {{
{_exact_in_f64(source) if target == f32 else ""}
  %shifted = {shift} i64 {number}, 32
  %high = trunc i64 %shifted to i32
  %low = trunc i64 {number} to i32
  %high.part = {extend} i32 %high to double
  %low.part = uitofp i32 %low to double
  %scaled = fmul double %high.part, {_2_TO_32}
  %sum = fadd double %scaled, %low.part
{end}
}}"""


def _exact_in_f64(source: ScalarType) -> str:
    """Return the lines that round a number of more than 53 bits to odd, so that it is rounded to f32 only once."""
    # For a signed number, -2**53 <= x < 2**53 says that x + 2**53 as an unsigned one is below 2**54.
    offset, limit = (1 << 53, 1 << 54) if source.is_signed else (0, 1 << 53)
    return f"""\
  %lost = and i64 %x, 2047
  %carried = add i64 %lost, 2047
  %marked = or i64 %x, %carried
  %odd = and i64 %marked, -2048
  %moved = add i64 %x, {offset}
  %fits = icmp ult i64 %moved, {limit}
  %exact = select i1 %fits, i64 %x, i64 %odd"""


def from_float(symbol: str, source: ScalarType, target: ScalarType) -> str:
    """Return the definition of the function `symbol` that converts a float to an i64 or u64: saturating, NaN to 0."""
    operand = "float" if source == f32 else "double"
    wide = "%wide" if source == f32 else "%x"
    widen = "  %wide = fpext float %x to double" if source == f32 else ""
    magnitude = f"  %magnitude = call double @llvm.fabs.f64(double {wide})" if target.is_signed else ""
    number = "%magnitude" if target.is_signed else wide
    return f"""\
define internal i64 {symbol}({operand} %x) {_ATTRIBUTES} {{
{widen}
{magnitude}
  %scaled = fmul double {number}, {_2_TO_MINUS_32}
  %high = call i32 @llvm.fptoui.sat.i32.f64(double %scaled)
  %high.part = uitofp i32 %high to double
  %taken = fmul double %high.part, {_2_TO_32}
  %rest = fsub double {number}, %taken
  %low = call i32 @llvm.fptoui.sat.i32.f64(double %rest)
  %high.wide = zext i32 %high to i64
  %low.wide = zext i32 %low to i64
  %upper = shl i64 %high.wide, 32
  %whole = or i64 %upper, %low.wide
{_signed_end(wide) if target.is_signed else "  ret i64 %whole"}
}}"""


def _signed_end(wide: str) -> str:
    """Return the lines that give the magnitude its sign; where negative numbers saturate is -2**63 itself."""
    return f"""\
  %is.negative = fcmp olt double {wide}, 0.0
  %negated = sub i64 0, %whole
  %signed = select i1 %is.negative, i64 %negated, i64 %whole
  %limit = select i1 %is.negative, i64 -9223372036854775808, i64 9223372036854775807
  %is.beyond = fcmp oge double %magnitude, {_2_TO_63}
  %chosen = select i1 %is.beyond, i64 %limit, i64 %signed
  ret i64 %chosen"""


# What the definitions call.
DECLARATIONS: Final = {
    "@llvm.fabs.f64": "declare double @llvm.fabs.f64(double)",
    "@llvm.fptoui.sat.i32.f64": "declare i32 @llvm.fptoui.sat.i32.f64(double)",
}
