"""Conversions between half precision and the wider floats, defined as each target does them best.

A printed kernel calls `FUNCTIONS` and does not define them. The compiler process does so once the target is known:
with the target's instructions where it has them, otherwise with integer arithmetic that is branch-free, so that it
vectorises, and needs no library: compiler-rt's ``__extendhfsf2`` and its kin are missing on most devices.
"""

from __future__ import annotations

from typing import Final
from typing import Literal

Support = Literal["none", "f32", "f64"]

# Each is exact, or rounded once to the nearest with ties to even.
FUNCTIONS: Final = ("xd_f32_of_f16", "xd_f16_of_f32", "xd_f16_of_f64")

_HEAD: Final = "define linkonce_odr hidden {result} @{name}({operand} %x) alwaysinline nounwind willreturn memory(none)"

# The features that convert between f16 and f32; the targets whose instruction takes an f64 to f16 as well.
_FEATURES: Final = {"x86_64": "f16c", "i686": "f16c", "arm": "fp16", "riscv64": "zfhmin"}
_WITH_F64: Final = frozenset({"aarch64", "riscv64"})


def feature(architecture: str) -> str | None:
    """Return LLVM's name of the feature that converts halves on an architecture, None where every CPU does."""
    return _FEATURES.get("arm" if architecture.startswith("arm") else architecture)


def support(architecture: str, *, has_feature: bool) -> Support:
    """Return the widest type that a target with or without its `feature` converts halves from and to."""
    if feature(architecture) is not None and not has_feature:
        return "none"
    return "f64" if architecture in _WITH_F64 else "f32"


def definitions(supported: Support) -> str:
    """Return LLVM IR that defines `FUNCTIONS` for a target."""
    widen = _WIDEN if supported == "none" else "  %r = fpext half %x to float\n  ret float %r"
    narrow = _NARROW if supported == "none" else "  %r = fptrunc float %x to half\n  ret half %r"
    narrow_double = _NARROW_DOUBLE if supported != "f64" else "  %r = fptrunc double %x to half\n  ret half %r"
    return "\n\n".join(
        _function(name, operand, result, body)
        for name, operand, result, body in (
            ("xd_f32_of_f16", "half", "float", widen),
            ("xd_f16_of_f32", "float", "half", narrow),
            ("xd_f16_of_f64", "double", "half", narrow_double),
        )
    )


def _function(name: str, operand: str, result: str, body: str) -> str:
    return f"{_HEAD.format(name=name, operand=operand, result=result)} {{\n{body}\n}}"


# The exponent is rebiased by 112. A subnormal is put behind the exponent of 2**-14, which is then taken away: a
# subtraction of normal numbers, exact. Infinities and NaN have an exponent of ones in both formats.
_WIDEN: Final = """\
  %bits = bitcast half %x to i16
  %wide = zext i16 %bits to i32
  %sign.low = and i32 %wide, 32768
  %sign = shl i32 %sign.low, 16
  %magnitude = and i32 %wide, 32767
  %shifted = shl i32 %magnitude, 13
  %normal = add i32 %shifted, 939524096
  %special = or i32 %shifted, 2139095040
  %behind = add i32 %shifted, 947912704
  %behind.float = bitcast i32 %behind to float
  %exact = fsub float %behind.float, 0x3F10000000000000
  %subnormal = bitcast float %exact to i32
  %is.special = icmp ugt i32 %magnitude, 31743
  %is.subnormal = icmp ult i32 %magnitude, 1024
  %finite = select i1 %is.subnormal, i32 %subnormal, i32 %normal
  %chosen = select i1 %is.special, i32 %special, i32 %finite
  %signed = or i32 %chosen, %sign
  %r = bitcast i32 %signed to float
  ret float %r"""

# Normal: half of the last kept bit's unit, less one where that bit is even, is added before the rest is cut off; a
# carry goes on into the exponent, up to infinity. Subnormal: adding 0.5 leaves a fraction whose unit is 2**-24, that
# of subnormal halves, rounded by the hardware.
_NARROW: Final = """\
  %bits = bitcast float %x to i32
  %magnitude = and i32 %bits, 2147483647
  %sign.high = xor i32 %bits, %magnitude
  %sign = lshr i32 %sign.high, 16
  %kept = lshr i32 %magnitude, 13
  %odd = and i32 %kept, 1
  %rebiased = add i32 %magnitude, -939520001
  %rounded = add i32 %rebiased, %odd
  %normal = lshr i32 %rounded, 13
  %is.small = icmp ult i32 %magnitude, 947912704
  %small = select i1 %is.small, i32 %magnitude, i32 0
  %small.float = bitcast i32 %small to float
  %behind = fadd float %small.float, 5.0e-1
  %behind.bits = bitcast float %behind to i32
  %subnormal = add i32 %behind.bits, -1056964608
  %is.nan = icmp ugt i32 %magnitude, 2139095040
  %special = select i1 %is.nan, i32 32256, i32 31744
  %is.special = icmp ugt i32 %magnitude, 1199570943
  %finite = select i1 %is.small, i32 %subnormal, i32 %normal
  %chosen = select i1 %is.special, i32 %special, i32 %finite
  %signed = or i32 %chosen, %sign
  %narrow = trunc i32 %signed to i16
  %r = bitcast i16 %narrow to half
  ret half %r"""

# To f32 by rounding to odd: what is cut off leaves its trace in the last bit, so that the second rounding, which cuts
# off 13 bits more, is that of the number itself.
_NARROW_DOUBLE: Final = """\
  %bits = bitcast double %x to i64
  %low = and i64 %bits, 536870911
  %carried = add i64 %low, 536870911
  %marked = or i64 %bits, %carried
  %odd = and i64 %marked, -536870912
  %exact = bitcast i64 %odd to double
  %single = fptrunc double %exact to float
  %r = call half @xd_f16_of_f32(float %single)
  ret half %r"""
