"""Elementary functions of f32 that need no library: the same bits on every device, and loops over them vectorise.

They are accurate to 1 ULP or little more (bounds: docs/reference/language.md) for every argument, subnormal and
special ones included, and are made of additions, multiplications, divisions and integer operations, each rounded once.
The polynomials are minimax, derived by ``python -m benchmarks.polynomials``; the comment beside each says how large
its relative error is in the function's result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from typing import Final

from .straightline import StraightLine
from .straightline import Value

# (exp(r) - 1 - r) / r**2 for |r| <= log(2) / 2: 2**-28.2
_EXP: Final = (
    0.4999999403953552, 0.16666516661643982, 0.04166810214519501, 0.008369192481040955, 0.001383890281431377,
)  # fmt: skip
# (2**r - 1) / r for |r| <= 1/2: 2**-26.3
_EXP2: Final = (
    0.6931471824645996, 0.24022594094276428, 0.055503662675619125, 0.009625445120036602, 0.0013387927319854498,
    0.0001333249092567712,
)  # fmt: skip
# (log(1 + f) - f) / f**2 for sqrt(1/2) <= 1 + f <= sqrt(2): 2**-27.8
_LOG: Final = (
    -0.49999988079071045, 0.33333325386047363, -0.25001609325408936, 0.2000201940536499, -0.16608475148677826,
    0.14180323481559753, -0.13246163725852966, 0.12917271256446838, -0.07632476836442947,
)  # fmt: skip
# log2(1 + f) / f - 1 for the same f: 2**-26.4
_LOG2: Final = (
    0.4426950514316559, -0.7213472127914429, 0.48089438676834106, -0.36070716381073, 0.2887870967388153,
    -0.23954768478870392, 0.20056600868701935, -0.1876153200864792, 0.20951175689697266, -0.14627708494663239,
)  # fmt: skip
# log10(1 + f) / f - 1/2 for the same f: 2**-26.6
_LOG10: Final = (
    -0.06570551544427872, -0.21714715659618378, 0.14476382732391357, -0.10858288407325745, 0.08692184835672379,
    -0.07212356477975845, 0.06061489135026932, -0.05659782141447067, 0.061513133347034454, -0.0417831614613533,
)  # fmt: skip
# (sin(r) / r - 1) / z and (cos(r) - 1 + z / 2) / z**2 of z = r**2 for |r| <= pi / 4: 2**-28.0 and 2**-33.0
_SIN: Final = (-0.16666655242443085, 0.008332191966474056, -0.00019518789486028254)
_COS: Final = (0.04166664555668831, -0.0013887309469282627, 2.4432327336398885e-05)
# (tanh(x) / x - 1) / z of z = x**2 for |x| <= 0.625: 2**-27.8
_TANH: Final = (
    -0.3333328366279602, 0.1333148330450058, -0.053742773830890656, 0.020648062229156494, -0.005714063532650471,
)  # fmt: skip

# Adding 1.5 * 2**23 leaves a float whose last bit is worth 1: the nearest integer, in the low bits and as a number.
_MAGIC: Final = 12582912.0
_MAGIC_BITS: Final = 0x4B400000
_LOG2_E: Final = 1.4426950408889634
# log(2) and log10(2) in two parts; the first has so few bits that its product with an exponent is exact.
_LN_2: Final = (0.693359375, -2.1219444005469057e-4)
_LOG10_2: Final = (0.30078125, 2.4874566398119521e-4)
_SQRT_HALF_BITS: Final = 0x3F3504F3
_ONE_BITS: Final = 0x3F800000
_INFINITY_BITS: Final = 0x7F800000
_NAN_BITS: Final = 0x7FC00000
_SIGN: Final = 0x80000000
_MAGNITUDE: Final = 0x7FFFFFFF
# 26 zeros, then the binary digits of 2/pi, in words of 32 bits: floor(2**198 * 2/pi).
_TWO_OVER_PI: Final = (
    0x00000028, 0xBE60DB93, 0x91054A7F, 0x09D5F47D, 0x4D377036, 0xD8A5664F, 0x10E4107F,
)  # fmt: skip
_HALF_PI: Final = 1.5707963267948966


def _polynomial(t: Value, coefficients: tuple[float, ...], square: Value | None = None) -> Value:
    """Return the polynomial with the lowest coefficient first.

    Even and odd powers go side by side: two short chains take half the time of one long one where nothing else is
    there to be done meanwhile. The lowest coefficient, the largest term, comes last, so that it is rounded once.
    """
    lowest, *rest = coefficients
    if len(rest) < 4:
        return _horner(t, coefficients)
    square = square or t * t
    return (_horner(square, rest[1::2]) * t + _horner(square, rest[::2])) * t + lowest


def _horner(t: Value, coefficients: Sequence[float]) -> Value:
    *rest, highest = coefficients
    total = t * highest + rest.pop()
    for coefficient in reversed(rest):
        total = total * t + coefficient
    return total


def _clamped(x: Value, low: float, high: float) -> Value:
    """Return `x` within the bounds; NaN stays NaN."""
    x = (x > high).choose(high, x)
    return (x < low).choose(low, x)


# --- exponentials ----------------------------------------------------------------------------------------


def _exp_reduced(x: Value) -> tuple[Value, Value]:
    """Return exp(r) and the integer k with ``x = k * log(2) + r`` and ``|r| <= log(2) / 2``."""
    shifted = x * _LOG2_E + _MAGIC
    k = shifted - _MAGIC
    r = x - k * _LN_2[0] - k * _LN_2[1]
    square = r * r
    return square * _polynomial(r, _EXP, square) + r + 1.0, shifted.bits() - _MAGIC_BITS


def _scaled(y: Value, k: Value) -> Value:
    """Return ``y * 2**k`` for -150 <= k <= 128, rounded once: in two steps, since 2**k alone may be no number."""
    biased = k + 300
    first = biased >> 1
    second = biased - first
    return y * ((first - 23) << 23).from_bits() * ((second - 23) << 23).from_bits()


def exp(x: Value) -> Value:
    """Return e to the power of `x`; beyond the clamps it is infinite or rounds to 0."""
    return _scaled(*_exp_reduced(_clamped(x, -104.0, 89.0)))


def exp2(x: Value) -> Value:
    """Return 2 to the power of `x`."""
    x = _clamped(x, -150.0, 128.0)
    shifted = x + _MAGIC
    r = x - (shifted - _MAGIC)
    return _scaled(r * _polynomial(r, _EXP2) + 1.0, shifted.bits() - _MAGIC_BITS)


def tanh(x: Value) -> Value:
    """Return the hyperbolic tangent: a polynomial near 0, and ``1 - 2 / (exp(2x) + 1)`` beyond."""
    sign = x.bits() & _SIGN
    magnitude = (x.bits() & _MAGNITUDE).from_bits()
    square = x * x
    near = magnitude * square * _polynomial(square, _TANH) + magnitude
    bounded = (magnitude > 9.125).choose(9.125, magnitude)  # from 9.011 on the nearest f32 is 1
    y, k = _exp_reduced(bounded + bounded)
    power = y * ((k + 127) << 23).from_bits()
    far = 1.0 - 2.0 / (power + 1.0)
    return ((magnitude < 0.625).choose(near, far).bits() | sign).from_bits()


# --- logarithms ------------------------------------------------------------------------------------------


def _log_reduced(x: Value) -> tuple[Value, Value]:
    """Return f and the number k with ``x = 2**k * (1 + f)`` and ``sqrt(1/2) <= 1 + f < sqrt(2)``."""
    tiny = x < 2.0**-126
    shifted = tiny.choose(x * 2.0**25, x).bits() + (_ONE_BITS - _SQRT_HALF_BITS)
    k = ((shifted >> 23) - tiny.choose(127 + 25, 127, "u32")).signed()
    f = ((shifted & 0x7FFFFF) + _SQRT_HALF_BITS).from_bits() - 1.0
    return f, k


def _where_defined(x: Value, logarithm: Value) -> Value:
    """Return `logarithm`, or what a logarithm is of 0, infinity, NaN and negative numbers."""
    special = (x > 0.0).choose(x.bits(), _NAN_BITS)
    special = x.equals(0.0).choose(_SIGN | _INFINITY_BITS, special)
    finite = (x.bits() - 1) < (_INFINITY_BITS - 1)
    return finite.choose(logarithm, special.from_bits())


def log(x: Value) -> Value:
    """Return the natural logarithm."""
    f, k = _log_reduced(x)
    square = f * f
    small = square * _polynomial(f, _LOG, square) + k * _LN_2[1]
    return _where_defined(x, f + small + k * _LN_2[0])


def log2(x: Value) -> Value:
    """Return the logarithm to base 2."""
    f, k = _log_reduced(x)
    return _where_defined(x, f * _polynomial(f, _LOG2) + f + k)


def log10(x: Value) -> Value:
    """Return the logarithm to base 10."""
    f, k = _log_reduced(x)
    small = f * _polynomial(f, _LOG10) + k * _LOG10_2[1]
    return _where_defined(x, f * 0.5 + small + k * _LOG10_2[0])


# --- trigonometric functions -----------------------------------------------------------------------------


def _quarter_turns(magnitude: Value) -> tuple[Value, Value, Value]:
    """Return the quadrant and the rest, in two parts, of an angle of at least pi/4 (of others, anything).

    After Payne and Hanek: of the product of the significand with 2/pi only the bits matter that are worth less than 4
    and more than the result's last, so that a window of 96 bits of 2/pi is enough, which the exponent chooses. The
    rest is at most pi/4 on either side of 0; it comes as an f32 and what that leaves out.
    """
    bits = magnitude.bits()
    exponent = (bits >> 23) - 126
    last = exponent >> 7  # 1 for the largest exponent, 128: it is done as 127, with twice the significand
    significand = ((bits & 0x7FFFFF) | 0x800000) << last
    words = _window(exponent - last)
    wide = significand.widen()
    turns = ((significand * words[0]).widen() << 32) + wide * words[1].widen() + ((wide * words[2].widen()) >> 32)
    # The product counts quarter turns in units of 2**-62. Rounded to multiples of 2**-24 it gives the quadrant and the
    # signed first part of the rest, whose low bits are 0; what was rounded away is the signed second part.
    rounded = turns + (1 << 37)
    quadrant = ((rounded + (1 << 61)) >> 62).narrow()
    first = ((rounded >> 30).narrow() & 0xFFFFFF00).signed()
    second = (turns >> 6).narrow().signed() * (_HALF_PI * 2.0**-56)
    # pi/2 = 1 + (pi/2 - 1): the product with 1 is exact, which leaves a small part to be rounded.
    quarter_turns = first * 2.0**-32
    more = first * ((_HALF_PI - 1) * 2.0**-32) + second
    angle = quarter_turns + more
    return quadrant, angle, more - (angle - quarter_turns)


def _window(start: Value) -> list[Value]:
    """Return three words of 2/pi from bit `start` (0 to 127) of the table on."""
    is_far, is_odd = (start & 64).equals(64), (start & 32).equals(32)
    pairs = [is_far.choose(_TWO_OVER_PI[at + 2], _TWO_OVER_PI[at], "u32") for at in range(5)]
    words = [is_odd.choose(right, left) for left, right in pairwise(pairs)]
    within = start & 31
    return [left.shifted_in(right, within) for left, right in pairwise(words)]


def _sine_or_cosine(x: Value, quarter: int) -> Value:
    """Return the sine of `x`, or with a `quarter` of 1 turned by as many the cosine."""
    magnitude = (x.bits() & _MAGNITUDE).from_bits()
    quadrant, r, left = _quarter_turns(magnitude)
    is_small = magnitude < 0.7853981  # just below pi/4
    quadrant = is_small.choose(quarter, quadrant + quarter)
    r, left = is_small.choose(magnitude, r), is_small.choose(0.0, left)
    z = r * r
    sine = r * z * _polynomial(z, _SIN) + left + r
    half = z * 0.5
    whole = 1.0 - half
    cosine = z * z * _polynomial(z, _COS) - r * left + (1.0 - whole - half) + whole
    turned = (quadrant & 1).equals(0).choose(sine, cosine).bits() ^ ((quadrant & 2) << 30)
    signed = turned if quarter else turned ^ (x.bits() & _SIGN)
    return (magnitude.bits() < _INFINITY_BITS).choose(signed, _NAN_BITS).from_bits()


def sin(x: Value) -> Value:
    """Return the sine of `x` radians."""
    return _sine_or_cosine(x, 0)


def cos(x: Value) -> Value:
    """Return the cosine of `x` radians."""
    return _sine_or_cosine(x, 1)


ELEMENTARY: Final[dict[str, Callable[[Value], Value]]] = {
    "exp": exp, "exp2": exp2, "log": log, "log2": log2, "log10": log10, "sin": sin, "cos": cos, "tanh": tanh,
}  # fmt: skip


@functools.cache
def elementary(name: str) -> StraightLine:
    """Return a function of `ELEMENTARY` as it was recorded."""
    return StraightLine.record(name, ELEMENTARY[name])


@functools.cache
def on_scalars(name: str) -> Callable[[Any], Any]:
    """Return a function of `ELEMENTARY` for ``np.float32``, with the bits that every device computes."""
    return elementary(name).python()
