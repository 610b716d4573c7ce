"""Arguments drawn for a kernel: they fit it, go to where kernels go wrong, and shrink to what a person would write."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import find
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_xdevice import ArgumentError
from pytest_xdevice import bool_
from pytest_xdevice import c_kernel
from pytest_xdevice import dim
from pytest_xdevice import f16
from pytest_xdevice import f32
from pytest_xdevice import f64
from pytest_xdevice import i8
from pytest_xdevice import i64
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice import u16
from pytest_xdevice.kernel.binding import bind
from pytest_xdevice.strategies import arguments

m, n, k = dim("m"), dim("n"), dim("k")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] + 1.0


@kernel
def matmul(a: In[f64, m, k], b: In[f64, k, n], c: Out[f64, m, n]):
    pass


@kernel
def everything(a: InOut[f16, n, 3], yes: bool_, count: u16, b: In[i8, n, n], c: Out[i64, m], x: f64, d: In[bool_, 2]):
    pass


@kernel
def square(a: In[f32, n, n, n], b: In[f32, 2000]):
    pass


NO_DATABASE = settings(database=None, max_examples=1000)


@pytest.mark.parametrize("drawn", [add_one, matmul, everything, square], ids=lambda drawn: drawn.name)
@given(data=st.data())
def test_arguments_fit_the_kernel_and_its_limit(drawn: Any, data: st.DataObject) -> None:
    args = data.draw(arguments(drawn, max_size=700))
    bind(drawn.signature, args, allow_missing_out=True)
    assert all(value.size <= 700 for value in args if isinstance(value, np.ndarray) and value.shape != (2000,))


@given(args=arguments(everything, min_size=2, max_size=50))
def test_an_out_array_is_drawn_only_where_nothing_else_says_its_size(args: tuple[Any, ...]) -> None:
    assert len(args) == 7
    assert 2 <= len(args[4]) <= 50
    assert args[0].shape[0] >= 2
    assert isinstance(args[2], np.uint16)


def seen(drawn: Any, **options: Any) -> list[tuple[Any, ...]]:
    """Return what a strategy draws."""
    found = []

    @settings(max_examples=600)
    @given(args=arguments(drawn, **options))
    def collect(args: tuple[Any, ...]) -> None:
        found.append(args)

    collect()
    return found


def test_sizes_are_around_vector_widths_and_blocks() -> None:
    sizes = {len(args[0]) for args in seen(add_one)}
    wanted = {0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 256, 257, 1023, 1024, 1025}
    assert len(wanted & sizes) >= 12  # each is drawn with a probability of its own


def test_matrices_are_wide_and_high() -> None:
    shapes = {args[0].shape for args in seen(matmul)}
    assert any(rows > 8 * columns > 0 for rows, columns in shapes)
    assert any(columns > 8 * rows > 0 for rows, columns in shapes)


def test_values_are_special_ordinary_and_any() -> None:
    values = np.concatenate([args[0] for args in seen(add_one)])
    assert np.isnan(values).any()
    assert {math.inf, -math.inf, float(np.finfo(np.float32).max)} <= set(values.tolist())
    assert (np.signbit(values) & (values == 0)).any()
    assert ((values != 0) & (np.abs(values) < np.finfo(np.float32).tiny)).any()
    assert ((np.abs(values) > 1) & (np.abs(values) <= 128)).any()
    integers = np.concatenate([args[3].ravel() for args in seen(everything)])
    assert {-128, -1, 0, 1, 127} <= set(integers.tolist())


def test_nan_and_infinity_can_be_left_out() -> None:
    for args in seen(add_one, allow_nan=False, allow_infinity=False):
        assert np.isfinite(args[0]).all()


def test_large_arrays_have_no_period() -> None:
    strategy = arguments(add_one, n=st.just(1000), a=st.sampled_from([0.0, 1.0]))
    (values,) = find(strategy, lambda args: 0 < args[0].sum() < 1000, settings=NO_DATABASE)
    assert all(not np.array_equal(values[:-period], values[period:]) for period in range(1, 400))


@pytest.mark.parametrize(
    ("wrong", "shape", "value"),
    [
        (lambda a: len(a) > 0, (1,), 0.0),
        (lambda a: len(a) > 16, (17,), 0.0),
        (lambda a: bool(np.isnan(a).any()), (1,), math.nan),
        (lambda a: len(a) > 3 and bool((a > 100).any()), (4,), None),
    ],
)
def test_examples_shrink_to_what_fails(wrong: Any, shape: tuple[int, ...], value: float | None) -> None:
    (values,) = find(arguments(add_one), lambda args: wrong(args[0]), settings=NO_DATABASE)
    assert values.shape == shape
    if value is not None:
        np.testing.assert_array_equal(values, np.full(shape, value, np.float32))
    assert len(set(values.tolist())) <= 2


def test_elements_scalars_and_sizes_can_be_given() -> None:
    strategy = arguments(everything, b=st.integers(3, 5), count=st.just(9), n=st.sampled_from([4, 6]))
    for size in (4, 6):
        args = find(strategy, lambda args, size=size: len(args[0]) == size, settings=NO_DATABASE)
        assert args[2] == 9
        assert set(itertools.chain(*args[3].tolist())) <= {3, 4, 5}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"z": st.just(1)}, "add_one takes no 'z': there are a, n"),
        ({"b": st.just(1)}, "add_one takes no 'b': there are a, n"),
        ({"n": 5}, r"n takes a strategy, such as st.integers\(0, 7\); got int"),
        ({"min_size": 5, "max_size": 4}, "0 <= min_size <= max_size does not hold: got 5 and 4"),
        ({"min_size": -1}, "got -1 and 1025"),
    ],
)
def test_what_does_not_fit_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        arguments(add_one, **options)


def test_a_function_that_is_no_kernel_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"is no kernel: decorate the function with @kernel"):
        arguments(test_a_function_that_is_no_kernel_is_refused)  # type: ignore[arg-type]


def test_a_kernel_that_does_not_say_its_sizes_is_refused() -> None:
    prototype = "void saxpy(int n, float a, const float *x, float *y)"
    saxpy = c_kernel(prototype + " {}", prototype)
    with pytest.raises(ArgumentError, match=r"saxpy does not say how large x is .*hypothesis.extra.numpy.arrays"):
        arguments(saxpy)


def test_only_this_module_imports_hypothesis() -> None:
    code = (
        "import sys, pytest_xdevice.plugin, pytest_xdevice.remote; print('hypothesis' in sys.modules);"
        "sys.modules['hypothesis'] = None\n"
        "try: import pytest_xdevice.strategies\n"
        "except ImportError as error: print(error)"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0] == "False"
    assert lines[1].endswith("python -m pip install 'pytest-xdevice[hypothesis]'")
