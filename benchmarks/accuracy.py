"""Measure the errors of the math table: ``python -m benchmarks.accuracy``.

Each function is applied on the device to random bit patterns, so that every exponent comes up, to random values of the
range where it is interesting, and to the values where it turns. In f32 the exact result is NumPy's in f64, in f64 it
is mpmath's with 40 digits. ``--every 1 -k exp`` takes every f32 that there is, which takes minutes a function.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from typing import Final

import numpy as np
from mpmath import mp

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.compile import Compiler
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.errors import XDeviceError
from pytest_xdevice.kernel import Kernel
from pytest_xdevice.kernel.mathtable import FUNCTIONS
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.remote import Session

Array = np.ndarray[Any, np.dtype[Any]]
Apply = Callable[..., Array]

n = dim("n")
_CHUNK: Final = 1 << 24
# The range in which each function of one argument is neither trivial nor undefined.
_RANGES: Final[dict[str, tuple[float, float]]] = {
    "sqrt": (0, 100), "exp": (-104, 89), "exp2": (-150, 128), "expm1": (-20, 89), "log": (0, 10), "log2": (0, 10),
    "log10": (0, 10), "log1p": (-1, 10), "sin": (-100, 100), "cos": (-100, 100), "tan": (-100, 100), "asin": (-1, 1),
    "acos": (-1, 1), "atan": (-10, 10), "sinh": (-89, 89), "cosh": (-89, 89), "tanh": (-10, 10), "cbrt": (-100, 100),
    "erf": (-4, 4),
}  # fmt: skip
_RANGES_OF_TWO: Final[dict[str, tuple[tuple[float, float], tuple[float, float]]]] = {
    "atan2": ((-10, 10), (-10, 10)), "hypot": ((-100, 100), (-100, 100)), "pow": ((0, 20), (-20, 20)),
}  # fmt: skip
INEXACT: Final = (*_RANGES, *_RANGES_OF_TWO)
_OTHER_NAMES: Final = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "atan2": "arctan2", "pow": "power"}
_MP_NAMES: Final = {"pow": "power"}


@dataclass(frozen=True)
class Worst:
    """The largest error of a function, in units of the last place, and where it is."""

    ulp: float
    arguments: tuple[float, ...]

    def __str__(self) -> str:
        where = ", ".join(f"{argument:.9g}" for argument in self.arguments)
        return f"{self.ulp:6.2f} at {where}"


def kernel_of(name: str, scalar: ScalarType) -> Kernel:
    """Return a kernel that applies a function of the table to each element, or each pair of elements."""
    function: Any = FUNCTIONS[name]
    if function.arity == 1:

        @kernel
        def apply(a: In[scalar, n], r: Out[scalar, n]) -> None:
            for i in parallel(n):
                r[i] = function(a[i])

        return apply

    @kernel
    def apply_to_two(a: In[scalar, n], b: In[scalar, n], r: Out[scalar, n]) -> None:
        for i in parallel(n):
            r[i] = function(a[i], b[i])

    return apply_to_two


def samples(name: str, scalar: ScalarType, count: int, seed: int = 0) -> list[Array]:
    """Return about `count` values for each argument of a function."""
    rng = np.random.default_rng(seed)
    ranges = [_RANGES[name]] if name in _RANGES else list(_RANGES_OF_TWO[name])
    dtype = scalar.dtype
    unsigned = np.dtype(f"u{dtype.itemsize}")
    columns = []
    for low, high in ranges:
        patterns = rng.integers(0, np.iinfo(unsigned).max, count // 2, unsigned, endpoint=True).view(dtype)
        inside = rng.uniform(low, high, count // 2).astype(dtype)
        columns.append(np.concatenate([patterns, inside, turning_points(dtype)]))
    return columns


def turning_points(dtype: Any) -> Array:
    """Return special values, powers of 2, and multiples of pi/4, with their neighbours and of both signs."""
    limits = np.finfo(dtype)
    exponents = np.arange(limits.minexp - limits.nmant, limits.maxexp, 1 if limits.bits == 32 else 9)
    turns = np.arange(1, 200) * (np.pi / 4)
    points = np.concatenate([np.ldexp(1.0, exponents), turns]).astype(dtype)
    infinity = dtype.type(np.inf)
    near = [points, np.nextafter(points, infinity), np.nextafter(points, -infinity)]
    special = np.array([0.0, limits.max, limits.tiny, limits.smallest_subnormal, np.inf, np.nan], dtype)
    positive = np.concatenate([*near, special])
    return np.concatenate([positive, -positive])


# --- errors ----------------------------------------------------------------------------------------------


def worst_error(name: str, scalar: ScalarType, columns: list[Array], result: Array) -> Worst:
    """Return the largest error of `result`, of `name` applied to `columns`."""
    if scalar == f32:
        errors = _errors_in_f32(result, _exact_by_numpy(name, columns))
    else:
        errors = np.array([_error_in_f64(name, *row) for row in zip(result.tolist(), *columns, strict=True)])
    at = int(np.argmax(errors))
    return Worst(float(errors[at]), tuple(float(column[at]) for column in columns))


def _exact_by_numpy(name: str, columns: list[Array]) -> Array:
    with np.errstate(all="ignore"):
        wide = [column.astype(np.float64) for column in columns]
        if name == "erf":
            return np.array([math.erf(value) for value in wide[0].tolist()])
        exact: Array = getattr(np, _OTHER_NAMES.get(name, name))(*wide)
    return exact


def _errors_in_f32(result: Array, exact: Array) -> Array:
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        units = np.ldexp(1.0, np.maximum(np.frexp(exact)[1] - 1, -126) - 23)
        errors = np.abs(result.astype(np.float64) - exact) / units
        same = (np.isnan(result) & np.isnan(rounded)) | (result == rounded)
        finite = np.isfinite(result) & np.isfinite(rounded)
    return np.where(finite, errors, np.where(same, 0.0, np.inf))


def _error_in_f64(name: str, result: float, *arguments: float) -> float:
    expected = _exact_by_mpmath(name, *map(float, arguments))
    if mp.isnan(expected) or math.isnan(result):
        return 0.0 if math.isnan(result) and mp.isnan(expected) else math.inf
    rounded = float(expected)
    if math.isinf(rounded) or math.isinf(result):
        return 0.0 if rounded == result else math.inf
    exponent = max(math.frexp(rounded)[1] - 1, -1022) if rounded else -1022
    return float(abs(mp.mpf(result) - expected) / mp.ldexp(1, exponent - 52))


def _exact_by_mpmath(name: str, *arguments: float) -> Any:
    """Return the exact result; that of special arguments, zeros included, is NumPy's."""
    with np.errstate(all="ignore"):
        by_numpy = math.erf(*arguments) if name == "erf" else getattr(np, _OTHER_NAMES.get(name, name))(*arguments)
    special = not all(map(math.isfinite, arguments)) or 0 in arguments
    if special or not math.isfinite(by_numpy) or by_numpy == 0:  # the last two: beyond the range of f64
        return mp.mpf(float(by_numpy))
    exact = _BY_MPMATH.get(name) or getattr(mp, _MP_NAMES.get(name, name))
    with mp.workdps(40):
        return exact(*map(mp.mpf, arguments))


_BY_MPMATH: Final[dict[str, Callable[..., Any]]] = {
    "exp2": lambda x: mp.power(2, x),
    "log2": lambda x: mp.log(x) / mp.log(2),
    "log10": lambda x: mp.log(x) / mp.log(10),
    "cbrt": lambda x: mp.sign(x) * mp.cbrt(abs(x)),
}


# --- the table -------------------------------------------------------------------------------------------


def measure(name: str, scalar: ScalarType, apply: Apply, count: int) -> Worst:
    """Return the largest error of a function among about `count` values and the turning points."""
    columns = samples(name, scalar, count)
    return worst_error(name, scalar, columns, apply(kernel_of(name, scalar), *columns))


def measure_every(name: str, apply: Apply, step: int) -> Worst:
    """Return the largest error of a function of one f32 among every `step`-th of all values."""
    source, worst = kernel_of(name, f32), Worst(0.0, ())
    for start in range(0, 1 << 32, _CHUNK * step):
        patterns = np.arange(start, min(start + _CHUNK * step, 1 << 32), step, np.uint64)
        column = patterns.astype(np.uint32).view(np.float32)
        found = worst_error(name, f32, [column], apply(source, column))
        worst = max(worst, found, key=lambda each: each.ulp)
    return worst


@contextlib.contextmanager
def devices() -> Iterator[dict[str, Apply]]:
    """Have the ways of this machine to run a kernel: its CPU, and OpenCL where there is a driver."""
    with tempfile.TemporaryDirectory() as cache, contextlib.closing(Compiler(cache)) as compiler:
        session = Session.open(DeviceConfig("local", "local"), Settings(), compiler=compiler)
        with contextlib.closing(session):
            ways: dict[str, Apply] = {"cpu": session.device("cpu").run}
            try:
                ways["opencl"] = session.device("opencl").run
            except XDeviceError as error:
                print(f"without OpenCL: {error}")
            yield ways


def main() -> None:
    """Print the table that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.accuracy", description=__doc__)
    parser.add_argument("-k", default="", metavar="NAME", help="only functions with this in their name")
    parser.add_argument("--count", type=int, default=1 << 20, help="how many values of f32, and a thousandth of f64")
    parser.add_argument("--every", type=int, metavar="STEP", help="every STEP-th of all 2**32 values of f32 instead")
    options = parser.parse_args()
    names = [name for name in INEXACT if options.k in name]
    print("largest error in ULP, and where")
    with devices() as ways:
        for name in names:
            for way, apply in ways.items():
                if options.every:
                    if name in _RANGES:
                        print(f"{name:<6} f32 {way:<6} {measure_every(name, apply, options.every)}", flush=True)
                    continue
                for scalar, count in ((f32, options.count), (f64, max(options.count >> 9, 64))):
                    print(f"{name:<6} {scalar} {way:<6} {measure(name, scalar, apply, count)}", flush=True)


if __name__ == "__main__":
    main()
