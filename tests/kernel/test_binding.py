"""Arguments of a launch: which fit a kernel, which dims they bind, and what is said of those that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pytest_xdevice import ArgumentError
from pytest_xdevice.kernel.binding import bind
from pytest_xdevice.kernel.signature import Param
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import i8
from pytest_xdevice.kernel.types import i32
from pytest_xdevice.kernel.types import PointerType
from pytest_xdevice.kernel.types import u64

n, m = Dim("n"), Dim("m")
ADD = Signature("add", (Param("a", ArrayType(f32, (n,), "in")), Param("b", ArrayType(f32, (n,), "out"))))
PRODUCT = Signature(
    "product",
    (
        Param("a", ArrayType(f64, (m, n), "in")),
        Param("x", ArrayType(f64, (n,), "inout")),
        Param("y", ArrayType(f64, (m,), "out")),
        Param("flags", ArrayType(bool_, (m, 2), "out")),
    ),
)
SCALARS = Signature("scale", (Param("alpha", f32), Param("count", i32), Param("on", bool_)))
MAKE = Signature("make", (Param("b", ArrayType(f32, (n,), "out")),))


def single(size: int) -> np.ndarray[Any, Any]:
    return np.zeros(size, np.float32)


def refusal(signature: Signature, *arguments: Any, allow_missing_out: bool = False, **keywords: Any) -> str:
    with pytest.raises(ArgumentError) as caught:
        bind(signature, arguments, keywords, allow_missing_out=allow_missing_out)
    return str(caught.value)


# --- what fits -------------------------------------------------------------------------------------------


def test_arrays_bind_the_dims_and_are_handed_through() -> None:
    a, b = single(5), single(5)
    bound = bind(ADD, (a, b))
    assert bound.values[0] is a
    assert bound.values[1] is b
    assert bound.shapes == ((5,), (5,))
    assert bound.dims == {"n": 5}


def test_out_arrays_that_follow_from_the_others_may_be_left_out() -> None:
    a, x = np.zeros((3, 4)), np.zeros(4)
    bound = bind(PRODUCT, (a, x), allow_missing_out=True)
    assert bound.values[2:] == (None, None)
    assert bound.shapes == ((3, 4), (4,), (3,), (3, 2))
    assert list(bound.dims.items()) == [("m", 3), ("n", 4)]


def test_an_out_array_given_by_name_is_used_and_the_others_are_left_out() -> None:
    a, x, flags = np.zeros((3, 4)), np.zeros(4), np.zeros((3, 2), bool)
    bound = bind(PRODUCT, (a, x), {"flags": flags}, allow_missing_out=True)
    assert bound.values[2] is None
    assert bound.values[3] is flags


def test_arguments_by_name_take_their_places() -> None:
    a, b = single(2), single(2)
    bound = bind(ADD, (), {"b": b, "a": a})
    assert bound.values[0] is a
    assert bound.values[1] is b


def test_scalars_become_numpy_scalars_of_the_exact_type() -> None:
    bound = bind(SCALARS, (2, np.int64(7), np.True_))
    assert [type(value) for value in bound.values] == [np.float32, np.int32, np.bool_]
    assert [value.item() for value in bound.values] == [2.0, 7, True]
    assert bound.shapes == (None, None, None)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), np.float64("inf")])
def test_an_infinity_is_a_fitting_scalar(value: Any) -> None:
    assert np.isinf(bind(SCALARS, (value, 0, False)).values[0])


def test_the_range_of_an_integer_parameter_is_all_of_its_type() -> None:
    signature = Signature("k", (Param("a", i8), Param("b", u64)))
    assert [value.item() for value in bind(signature, (-128, 2**64 - 1)).values] == [-128, 2**64 - 1]


def test_empty_arrays_fit() -> None:
    assert bind(ADD, (single(0), single(0))).dims == {"n": 0}


def test_anything_with_a_dtype_and_a_shape_is_an_array() -> None:
    class Remote:
        dtype = np.dtype(np.float32)
        shape = (4,)

    assert bind(ADD, (Remote(), single(4))).dims == {"n": 4}


# --- what does not ---------------------------------------------------------------------------------------


def test_count_of_arguments() -> None:
    assert refusal(ADD, single(1)) == "add takes 2 arguments, and got 1: it is add(a: In[f32, n], b: Out[f32, n])"
    assert refusal(ADD, single(1), single(1), single(1), allow_missing_out=True) == (
        "add takes 2 arguments, or 1 without b, and got 3: it is add(a: In[f32, n], b: Out[f32, n])"
    )


def test_array_that_no_other_gives_the_extent_of_cannot_be_left_out() -> None:
    assert refusal(MAKE, allow_missing_out=True) == "make takes 1 argument, and got 0: it is make(b: Out[f32, n])"


def test_unknown_name_and_name_given_twice() -> None:
    assert refusal(ADD, single(1), c=single(1)) == (
        "add has no parameter 'c': it is add(a: In[f32, n], b: Out[f32, n])"
    )
    assert "add takes 2 arguments, and got 3" in refusal(ADD, single(1), single(1), a=single(1))


def test_dtype() -> None:
    assert refusal(ADD, np.zeros(1), single(1)) == ("add: a: expected float32, got float64: pass a.astype(np.float32)")


def test_byte_order() -> None:
    assert refusal(ADD, np.zeros(1, ">f4"), single(1)) == (
        "add: a: expected float32, got >f4 (not this machine's byte order): pass a.astype(np.float32)"
    )


def test_list_instead_of_an_array() -> None:
    assert refusal(ADD, [1.0], single(1)) == (
        "add: a: expected an array of float32, got list: pass np.asarray(a, np.float32)"
    )


def test_number_of_dimensions() -> None:
    assert refusal(ADD, np.zeros((2, 3), np.float32), single(1)) == (
        "add: a: expected 1 dimension (In[f32, n]), got shape (2, 3): pass a.reshape(...)"
    )


def test_order() -> None:
    assert refusal(PRODUCT, np.zeros((3, 4)).T, np.zeros(3), np.zeros(4), np.zeros((4, 2), bool)) == (
        "product: a: expected a C-contiguous array, got strides (8, 32) for shape (4, 3): pass np.ascontiguousarray(a)"
    )


def test_dims_that_disagree() -> None:
    assert refusal(ADD, single(4), single(5)) == (
        "add: b: expected n = 4 along axis 0, as in the arrays before it, got 5: pass arrays whose shapes agree"
    )


def test_fixed_extent() -> None:
    assert refusal(PRODUCT, np.zeros((3, 4)), np.zeros(4), np.zeros(3), np.zeros((3, 5), bool)) == (
        "product: flags: expected 2 along axis 1 (Out[bool_, m, 2]), got 5: pass an array of that shape"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 1 << 40, True), f"count: {1 << 40} does not fit in i32, which holds -2147483648 to 2147483647: "
         "pass a smaller number, or widen the parameter"),
        ((1, 2.5, True), "count: expected an integer (i32), got float: pass int(2.5)"),
        ((1, np.float32(2), True), "count: expected an integer (i32), got float32: pass int(2.0)"),
        ((1, 1, 1), "on: expected True or False (bool_), got int: pass bool(1)"),
        ((1e300, 1, True), "alpha: 1e+300 does not fit in f32: pass a smaller number"),
        ((10**400, 1, True), f"alpha: {10**400} does not fit in f32: pass a smaller number"),
        (("1", 1, True), "alpha: expected a single number (f32), got str: pass a Python or NumPy number"),
        ((np.zeros(1), 1, True), "alpha: expected a single number (f32), got ndarray: pass a Python or NumPy number"),
    ],
    ids=["too_large", "float", "numpy_float", "int_for_bool", "overflow", "huge_integer", "text", "array"],
)  # fmt: skip
def test_scalars_that_do_not_fit(arguments: tuple[Any, ...], message: str) -> None:
    assert refusal(SCALARS, *arguments) == f"scale: {message}"


# --- kernels of other languages ---------------------------------------------------------------------------

SAXPY = Signature(
    "saxpy",
    (Param("n", i32), Param("x", PointerType(f32, "in")), Param("y", PointerType(f32, "inout")),
     Param("state", PointerType(None, "inout"))),
)  # fmt: skip


def test_a_pointer_takes_an_array_of_any_shape() -> None:
    x, y, state = np.ones((2, 3), np.float32), np.ones(6, np.float32), np.zeros(4, np.int16)
    binding = bind(SAXPY, (6, x, y, state))
    assert binding.shapes == (None, (2, 3), (6,), (4,))
    assert binding.dims == {}


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones(3), "saxpy: x: expected float32, got float64: pass x.astype(np.float32)"),
        (
            np.ones((4, 4), np.float32).T,
            "saxpy: x: expected a C-contiguous array, got strides (4, 16) for shape (4, 4): "
            "pass np.ascontiguousarray(x)",
        ),
        ([1.0], "saxpy: x: expected an array of float32, got list: pass np.asarray(x, np.float32)"),
    ],
)
def test_what_a_pointer_does_not_take(x: Any, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        bind(SAXPY, (3, x, np.ones(3, np.float32), np.zeros(4)))
    assert str(caught.value) == message


def test_a_pointer_to_bytes_takes_an_array_and_nothing_else() -> None:
    with pytest.raises(ArgumentError) as caught:
        bind(SAXPY, (3, np.ones(3, np.float32), np.ones(3, np.float32), 7))
    assert str(caught.value) == "saxpy: state: expected an array, got int: pass np.asarray(state)"


def test_a_signature_with_pointers_survives_as_json() -> None:
    assert Signature.from_json(SAXPY.to_json()) == SAXPY
    assert str(SAXPY) == "saxpy(n: i32, x: const f32 *, y: f32 *, state: void *)"
