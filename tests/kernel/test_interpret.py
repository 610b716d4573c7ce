"""The interpreter's own arithmetic: casts, the math table outside of kernels, and operations that NumPy lacks."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pytest_xdevice as xd
from pytest_xdevice.kernel.mathtable import FUNCTIONS
from pytest_xdevice.kernel.mathtable import MathFunction
from pytest_xdevice.kernel.scalar_operations import _divmod
from pytest_xdevice.kernel.scalar_operations import _fma
from pytest_xdevice.kernel.scalar_operations import cast_value
from pytest_xdevice.kernel.types import SCALARS

INTEGERS = [type_ for type_ in SCALARS.values() if type_.is_integer]
doubles = st.floats(width=64)
singles = st.floats(width=32)


@pytest.mark.parametrize("type_", INTEGERS, ids=str)
@given(value=st.integers(-(2**65), 2**65))
def test_integer_casts_wrap(type_: Any, value: int) -> None:
    assert cast_value(value, type_) == np.array(value % 2**64, np.uint64).astype(type_.dtype)


@pytest.mark.parametrize("type_", INTEGERS, ids=str)
@given(value=doubles)
def test_float_casts_to_integers_truncate_and_saturate(type_: Any, value: float) -> None:
    limits = np.iinfo(type_.dtype)
    expected = 0 if math.isnan(value) else int(max(limits.min, min(limits.max, value)))
    result = cast_value(value, type_)
    assert type(result) is type_.dtype.type
    assert result == max(limits.min, min(limits.max, expected))


@given(value=st.integers(-(2**63), 2**63 - 1))
def test_integers_become_f32_rounded_once(value: int) -> None:
    assert xd.f32(value) == np.float32(np.int64(value))
    assert xd.f32(np.int64(value)) == np.float32(np.int64(value))


@given(value=doubles)
def test_floats_narrow_as_in_numpy(value: float) -> None:
    with np.errstate(over="ignore"):
        for type_ in (xd.f16, xd.f32, xd.f64):
            np.testing.assert_array_equal(type_(value), np.float64(value).astype(type_.dtype))


def test_casts_to_bool_and_from_it() -> None:
    assert [bool(xd.bool_(value)) for value in (0, -0.0, math.nan, 2, np.float32(0.5))] == [
        False,
        False,
        True,
        True,
        True,
    ]
    assert xd.f32(np.True_) == 1
    assert type(xd.u8(True)) is np.uint8


def test_cast_of_an_array_says_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"f32\(\) takes one number; got ndarray: use \.astype\(\.\.\.\) for arrays"):
        xd.f32(np.zeros(3))


@given(x=doubles, y=doubles)
def test_floor_division_and_remainder_are_numpys(x: float, y: float) -> None:
    for dtype in (np.float32, np.float64):
        with np.errstate(all="ignore"):
            a, b = dtype(x), dtype(y)
            np.testing.assert_array_equal(_divmod(a, b), (a // b, a % b))


@given(x=singles, y=singles, z=singles)
def test_fma_is_rounded_once(x: float, y: float, z: float) -> None:
    a, b, c = np.float32(x), np.float32(y), np.float32(z)
    with np.errstate(all="ignore"):
        result = _fma(a, b, c)
        if not (np.isfinite(a) and np.isfinite(b) and np.isfinite(c)):
            np.testing.assert_array_equal(result, a * b + c)
            return
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        nearby = [np.nextafter(result, np.float32(-np.inf)), np.nextafter(result, np.float32(np.inf))]
    if np.isinf(result):
        assert abs(exact) >= Fraction(float(np.finfo(np.float32).max))
        return
    error = abs(Fraction(float(result)) - exact)
    assert all(np.isinf(other) or error <= abs(Fraction(float(other)) - exact) for other in nearby)


def test_fma_in_f64_is_rounded_once() -> None:
    x = np.float64(1 + 2**-52)
    y = np.float64(-(1 + 2**-51))
    assert x * x + y == 0
    assert _fma(x, x, y) == 2**-104


def test_functions_work_on_ordinary_numbers() -> None:
    assert xd.exp(1.0) == math.e
    assert xd.sqrt(np.float32(2)) == np.sqrt(np.float32(2))
    assert type(xd.sqrt(np.float32(2))) is np.float32
    assert type(xd.hypot(np.float32(3), 4)) is np.float32
    assert type(xd.exp(np.int32(1))) is np.float64
    assert xd.floor(7) == 7
    assert xd.min(3, 1.5, 2) == 1.5
    assert xd.abs(np.int8(-128)) == -128
    assert xd.isnan(math.nan) is True


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=str)
def test_wrong_count_is_refused(function: MathFunction) -> None:
    with pytest.raises(TypeError, match=rf"{function.name}\(\) takes {function.arity} argument\(s\); got 0"):
        function()


def test_array_is_refused_by_a_function() -> None:
    with pytest.raises(TypeError, match="takes one number; got ndarray"):
        xd.exp(np.zeros(2))


def references() -> dict[str, tuple[Any, tuple[float, ...]]]:
    """Return an independent implementation and arguments for every function that `math` has."""
    values = (0.3, 0.7)
    found = {name: getattr(math, name) for name in FUNCTIONS if hasattr(math, name) and name != "fma"}
    return {name: (function, values[: FUNCTIONS[name].arity]) for name, function in found.items()}


@pytest.mark.parametrize("name", references())
def test_functions_agree_with_the_math_module(name: str) -> None:
    function, values = references()[name]
    assert FUNCTIONS[name](*values) == pytest.approx(function(*values), rel=4e-16)
