"""Derive the polynomials of `pytest_xdevice.kernel.elementary`: ``python -m benchmarks.polynomials``.

Each is the minimax polynomial of its function by Remez' exchange, in the sense of the function's relative error. One
coefficient after the other is rounded to f32, the lowest first, and the rest fitted anew to make up for it.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mpmath import mp

Array = np.ndarray
_POINTS = 4001


@dataclass(frozen=True)
class Fit:
    """A polynomial p(t) that stands for ``target(t)``, where an error e of p is one of ``weight(t) * e`` in the result.

    Attributes
    ----------
    name : str
        The constant in `elementary`.
    target, weight : function of mpf
    low, high : float
        The interval of t.
    degree : int
    """

    name: str
    target: Callable[[mp.mpf], mp.mpf]
    weight: Callable[[mp.mpf], mp.mpf]
    low: float
    high: float
    degree: int

    def points(self) -> Array:
        """Return Chebyshev's points of the interval."""
        angles = np.pi * (np.arange(_POINTS) + 0.5) / _POINTS
        return (self.low + self.high) / 2 - (self.high - self.low) / 2 * np.cos(angles)


def values(function: Callable[[mp.mpf], mp.mpf], points: Array) -> Array:
    """Return a function's values, each computed with 40 digits."""
    with mp.workdps(40):
        return np.array([float(function(mp.mpf(float(point)))) for point in points])


def remez(points: Array, target: Array, weight: Array, exponents: list[int]) -> Array:
    """Return the coefficients of the polynomial in `exponents` with the least largest ``weight * |p - target|``."""
    count = len(exponents) + 1
    chosen = np.linspace(0, len(points) - 1, count).round().astype(int)
    powers = np.stack([points**exponent for exponent in exponents], axis=1)
    best, least = np.zeros(count - 1), np.inf
    for _ in range(60):
        signs = np.where(np.arange(count) % 2, -1.0, 1.0) / weight[chosen]
        coefficients = np.linalg.solve(np.column_stack([powers[chosen], signs]), target[chosen])[:-1]
        error = (powers @ coefficients - target) * weight
        if np.max(np.abs(error)) < least:
            best, least = coefficients, np.max(np.abs(error))
        extrema = alternating(error)
        if len(extrema) < count:
            break
        while len(extrema) > count:
            extrema = extrema[1:] if abs(error[extrema[0]]) < abs(error[extrema[-1]]) else extrema[:-1]
        if np.array_equal(extrema, chosen):
            break
        chosen = extrema
    return best


def alternating(error: Array) -> Array:
    """Return the place of the largest |error| in each run of one sign."""
    runs = np.split(np.arange(len(error)), np.flatnonzero(np.diff(np.sign(error))) + 1)
    return np.array([run[np.argmax(np.abs(error[run]))] for run in runs])


def derive(fit: Fit) -> list[float]:
    """Return the coefficients, the lowest first and each an f32."""
    points = fit.points()
    target, weight = values(fit.target, points), np.abs(values(fit.weight, points))
    coefficients: list[float] = []
    left, rest = target.copy(), np.zeros(fit.degree + 1)
    for lowest in range(fit.degree + 1):
        exponents = list(range(lowest, fit.degree + 1))
        powers = np.stack([points**exponent for exponent in exponents], axis=1)
        # Where the rounding of a lower coefficient is the largest error, the exchange finds nothing better.
        candidates = [remez(points, left, weight, exponents), rest]
        rest = min(candidates, key=lambda each: float(np.max(np.abs(powers @ each - left) * weight)))
        coefficients.append(float(np.float32(rest[0])))
        left, rest = left - coefficients[-1] * points**lowest, rest[1:]
    return coefficients


def error_of(fit: Fit, coefficients: Sequence[float]) -> float:
    """Return the largest relative error that a polynomial makes in the result, but for its own rounding."""
    points = fit.points()
    polynomial = np.polynomial.Polynomial(coefficients)(points)
    errors = (polynomial - values(fit.target, points)) * values(fit.weight, points)
    return float(np.max(np.abs(errors)))


_HALF_LN2 = 0.34662
_SQRT_HALF, _SQRT_2 = 0.70710677, 1.4142137
_QUARTER_PI_SQUARED = 0.61687


def _from_log(lead: float, base: int | None) -> Callable[[mp.mpf], mp.mpf]:
    """Return ``(log(1 + f) - lead * f) / f`` to a base."""
    scale = 1 if base is None else 1 / mp.log(base)

    def target(f: mp.mpf) -> mp.mpf:
        return mp.log1p(f) * scale / f - lead

    return target


FITS = (
    Fit("_EXP", lambda r: (mp.expm1(r) - r) / r**2, lambda r: r**2 / mp.exp(r), -_HALF_LN2, _HALF_LN2, 4),
    Fit("_EXP2", lambda r: (2**r - 1) / r, lambda r: r / 2**r, -0.5, 0.5, 5),
    Fit("_LOG", lambda f: (mp.log1p(f) - f) / f**2, lambda f: f**2 / mp.log1p(f), _SQRT_HALF - 1, _SQRT_2 - 1, 8),
    Fit("_LOG2", _from_log(1.0, 2), lambda f: f * mp.log(2) / mp.log1p(f), _SQRT_HALF - 1, _SQRT_2 - 1, 9),
    Fit("_LOG10", _from_log(0.5, 10), lambda f: f * mp.log(10) / mp.log1p(f), _SQRT_HALF - 1, _SQRT_2 - 1, 9),
    Fit("_SIN", lambda z: (mp.sin(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, lambda z: z, 0.0, _QUARTER_PI_SQUARED, 2),
    Fit("_COS", lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, lambda z: z**2 / mp.cos(mp.sqrt(z)), 0.0,
        _QUARTER_PI_SQUARED, 2),
    Fit("_TANH", lambda z: (mp.tanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z, lambda z: z, 0.0, 0.3906, 4),
)  # fmt: skip


def main() -> None:
    """Print each polynomial as it stands in `elementary`."""
    for fit in FITS:
        coefficients = derive(fit)
        spelled = ", ".join(f"{value!r}" for value in coefficients)
        print(f"{fit.name} = ({spelled})  # 2**{np.log2(error_of(fit, coefficients)):.1f}")


if __name__ == "__main__":
    main()
