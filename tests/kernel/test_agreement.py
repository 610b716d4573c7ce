"""The interpreter, LLVM and OpenCL give the same results, bit by bit, for integers and for + - * / sqrt on floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_xdevice.kernel.interpret import run
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.opencl.program import kernel_program
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import ScalarType

from . import cl_program
from .drawn import edge_values
from .drawn import expression_kernel
from .drawn import expressions
from .drawn import inputs
from .drawn import INTEGERS
from .drawn import operands
from .drawn import operations
from .drawn import TYPES
from .irbuild import call
from .irbuild import const
from .irbuild import op
from .native import Native

Run = Callable[[KernelIR, "list[Any]"], None]


def interpreted(ir: KernelIR, arguments: list[Any]) -> None:
    arrays, scalars, dims = {}, {}, {}
    for param, argument in zip(ir.signature.params, arguments, strict=True):
        if isinstance(param.type, ArrayType):
            arrays[param.name] = argument
            names = [extent.name if isinstance(extent, Dim) else "" for extent in param.type.extents]
            dims.update(zip(names, argument.shape, strict=True))
        else:
            scalars[param.name] = param.type.dtype.type(argument)
    run(ir, arrays, scalars, {name: dims[name] for name in ir.signature.dims})


def native(ir: KernelIR, arguments: list[Any]) -> None:
    Native(ir)(*arguments)


def opencl(ir: KernelIR, arguments: list[Any]) -> None:
    cl_program.build(ir.signature, kernel_program(ir)).run(ir.signature.name, *arguments)


@pytest.fixture(params=[native, opencl], ids=lambda how: how.__name__)
def how(request: pytest.FixtureRequest) -> Run:
    if request.param is opencl:
        request.getfixturevalue("opencl_device")
    chosen: Run = request.param
    return chosen


def results(how: Run, drawn: list[Expr], given_arrays: list[Any]) -> list[np.ndarray[Any, Any]]:
    """Return the value of each expression at each index."""
    outs = [np.zeros(len(given_arrays[0]), expr.type.dtype) for expr in drawn]
    how(expression_kernel(drawn), [*given_arrays, *outs])
    return outs


def assert_same(got: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> None:
    """Compare bit by bit, but take any NaN for any other."""
    if got.dtype.kind == "f":
        np.testing.assert_array_equal(np.isnan(got), np.isnan(expected))
        np.testing.assert_array_equal(np.signbit(got[~np.isnan(got)]), np.signbit(expected[~np.isnan(got)]))
    np.testing.assert_array_equal(got, expected)


def assert_agreement(drawn: list[Expr], given_arrays: list[Any], hows: tuple[Run, ...]) -> None:
    expected = results(interpreted, drawn, given_arrays)
    for how in hows:
        for got, wanted in zip(results(how, drawn, given_arrays), expected, strict=True):
            assert_same(got, wanted)


def _expression_lists(depth: int) -> st.SearchStrategy[list[Expr]]:
    one = st.sampled_from(TYPES).flatmap(lambda scalar: expressions(scalar, depth))
    return st.lists(one, min_size=1, max_size=12)


@settings(max_examples=60)
@given(drawn=_expression_lists(4), seed=st.integers(0, 1000))
def test_drawn_expressions_agree_in_llvm(drawn: list[Expr], seed: int) -> None:
    assert_agreement(drawn, inputs(17, seed), (native,))


@pytest.mark.usefixtures("opencl_device")
@settings(max_examples=25)
@given(drawn=_expression_lists(3), seed=st.integers(0, 1000))
def test_drawn_expressions_agree_in_opencl(drawn: list[Expr], seed: int) -> None:
    assert_agreement(drawn, inputs(17, seed), (opencl,))


# --- every operation on every pair of edge values ---------------------------------------------------------


def _every_pair(scalar: ScalarType) -> list[np.ndarray[Any, Any]]:
    """Return inputs in which the arrays of `scalar` hold every pair of its edge values."""
    edges = np.array(edge_values(scalar), dtype=scalar.dtype)
    left, right = (side.ravel().copy() for side in np.meshgrid(edges, edges))
    arrays = []
    for each in TYPES:
        arrays += [left, right] if each == scalar else [np.zeros(left.size, each.dtype) for _ in "ab"]
    return arrays


@pytest.mark.parametrize("scalar", TYPES, ids=repr)
def test_every_operation_agrees_on_every_pair_of_edge_values(how: Run, scalar: ScalarType) -> None:
    assert_agreement(operations(scalar), _every_pair(scalar), (how,))


@pytest.mark.parametrize("scalar", INTEGERS, ids=repr)
def test_division_and_shift_by_each_constant_agree(how: Run, scalar: ScalarType) -> None:
    a, _ = operands(scalar)
    drawn: list[Expr] = []
    for value in edge_values(scalar):
        drawn += [op(name, a, const(value, scalar)) for name in ("floordiv", "mod", "shl", "shr")]
        drawn += [op(name, const(value, scalar), a) for name in ("floordiv", "mod")]
    arrays = _every_pair(scalar)
    for start in range(0, len(drawn), 40):
        assert_agreement(drawn[start : start + 40], arrays, (how,))


@pytest.mark.parametrize("scalar", [f32, f64], ids=repr)
def test_random_floats_divide_and_take_roots_alike(how: Run, scalar: ScalarType) -> None:
    rng = np.random.default_rng(7)
    unsigned = np.dtype(f"u{scalar.nbytes}")
    bits = [rng.integers(0, np.iinfo(unsigned).max, 4000, unsigned, endpoint=True) for _ in "ab"]
    arrays = []
    for each in TYPES:
        arrays += [b.view(each.dtype) for b in bits] if each == scalar else [np.zeros(4000, each.dtype)] * 2
    a, b = operands(scalar)
    names = ("add", "sub", "mul", "div", "floordiv", "mod")
    assert_agreement([*(op(name, a, b) for name in names), call("sqrt", a)], arrays, (how,))


# --- what random expressions found ------------------------------------------------------------------------


def test_xor_with_a_constant_bool_inverts_only_for_true(how: Run) -> None:
    a, _ = operands(bool_)
    drawn = [op("xor", a, const(value, bool_)) for value in (False, True)]
    assert_agreement(drawn, _every_pair(bool_), (how,))
