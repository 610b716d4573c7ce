"""Random typed expressions, in which every operation that must agree exactly on all targets can stand."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import f64
from pytest_xdevice.kernel.types import i8
from pytest_xdevice.kernel.types import i16
from pytest_xdevice.kernel.types import i32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.kernel.types import u8
from pytest_xdevice.kernel.types import u16
from pytest_xdevice.kernel.types import u32
from pytest_xdevice.kernel.types import u64

from .irbuild import array
from .irbuild import both
from .irbuild import call
from .irbuild import cast
from .irbuild import choose
from .irbuild import cmp
from .irbuild import const
from .irbuild import dimension
from .irbuild import either
from .irbuild import kernel
from .irbuild import load
from .irbuild import op
from .irbuild import parallel
from .irbuild import store
from .irbuild import unary
from .irbuild import var

INTEGERS = (i8, i16, i32, i64, u8, u16, u32, u64)
FLOATS = (f32, f64)
TYPES = (bool_, *INTEGERS, *FLOATS)
_INTEGER_OPERATIONS = ("add", "sub", "mul", "floordiv", "mod", "shl", "shr", "and", "or", "xor", "min", "max")
_FLOAT_OPERATIONS = ("add", "sub", "mul", "div", "floordiv", "mod", "min", "max")
_FLOAT_FUNCTIONS = ("sqrt", "abs", "floor", "ceil", "trunc", "round")
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def edge_values(scalar: ScalarType) -> list[Any]:
    """Return values at which operations of a type behave in ways of their own."""
    if scalar == bool_:
        return [False, True]
    if scalar.is_float:
        info = np.finfo(scalar.dtype)
        tiny, huge, least = float(info.tiny), float(info.max), float(info.smallest_subnormal)
        whole = [0.0, 1.0, 2.0, 3.0, 7.0, 127.5, 128.0, 255.5, 32768.0, 2.0**31, 2.0**32, 2.0**63, 2.0**64]
        positive = [*whole, 0.5, 1.5, 2.5, 0.1, 1e10, tiny, least, huge, float("inf")]
        rounded = [float(scalar.dtype.type(value)) for value in positive]
        return [*rounded, *(-value for value in rounded), float("nan")]
    info = np.iinfo(scalar.dtype)
    near = {0, 1, 2, 3, 5, 7, 8, 10, 31, 32, 33, 63, 64, 100, info.max, info.max - 1, info.max // 2}
    near |= {-1, -2, -3, -7, -8, -100, info.min, info.min + 1, info.min // 2} if scalar.is_signed else set()
    return sorted(value for value in map(int, near) if info.min <= value <= info.max)


def values(scalar: ScalarType) -> st.SearchStrategy[Any]:
    """Draw a value of a type, often an edge."""
    edges = st.sampled_from(edge_values(scalar))
    if scalar == bool_:
        return edges
    if scalar.is_float:
        return edges | st.floats(width=scalar.bits)
    info = np.iinfo(scalar.dtype)
    return edges | st.integers(int(info.min), int(info.max))


@st.composite
def expressions(draw: st.DrawFn, scalar: ScalarType, depth: int) -> Expr:
    """Draw an expression of a type over the elements at ``i`` of the arrays ``a_T`` and ``b_T`` of each type T."""
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        if draw(st.integers(0, 2)) == 0:
            return const(draw(values(scalar)), scalar)
        return load(f"{draw(st.sampled_from('ab'))}_{scalar.name}", scalar, var("i"))
    if scalar == bool_:
        return draw(_conditions(depth))
    if draw(st.integers(0, 5)) == 0:
        arms = expressions(scalar, depth - 1)
        return choose(draw(_conditions(depth)), draw(arms), draw(arms))
    if draw(st.integers(0, 4)) == 0:
        source = draw(st.sampled_from([each for each in TYPES if each != scalar]))
        return cast(draw(expressions(source, depth - 1)), scalar)
    return draw(_float_operation(scalar, depth) if scalar.is_float else _integer_operation(scalar, depth))


@st.composite
def _integer_operation(draw: st.DrawFn, scalar: ScalarType, depth: int) -> Expr:
    operand = expressions(scalar, depth - 1)
    name = draw(st.sampled_from((*_INTEGER_OPERATIONS, "neg", "invert", "abs")))
    if name in ("neg", "invert"):
        return unary(name, draw(operand))
    if name == "abs":
        return call("abs", draw(operand))
    if name in ("min", "max"):
        return call(name, draw(operand), draw(operand))
    right = values(scalar).map(lambda value: const(value, scalar))
    if name in ("shl", "shr"):
        right |= st.integers(-2 if scalar.is_signed else 0, scalar.bits + 1).map(lambda value: const(value, scalar))
    return op(name, draw(operand), draw(operand | right))


@st.composite
def _float_operation(draw: st.DrawFn, scalar: ScalarType, depth: int) -> Expr:
    operand = expressions(scalar, depth - 1)
    name = draw(st.sampled_from((*_FLOAT_OPERATIONS, *_FLOAT_FUNCTIONS, "neg", "pow")))
    if name == "neg":
        return unary("neg", draw(operand))
    if name == "pow":
        return op("pow", draw(operand), const(float(draw(st.integers(0, 5))), scalar))
    if name in _FLOAT_FUNCTIONS:
        return call(name, draw(operand))
    if name in ("min", "max"):
        return call(name, draw(operand), draw(operand))
    return op(name, draw(operand), draw(operand))


@st.composite
def _conditions(draw: st.DrawFn, depth: int) -> Expr:
    kind = draw(st.sampled_from(("compare", "compare", "and", "or", "not", "test", "logical", "cast")))
    inner = expressions(bool_, depth - 1)
    if kind in ("and", "or"):
        return (both if kind == "and" else either)(draw(inner), draw(inner))
    if kind == "not":
        return unary("not", draw(inner))
    if kind == "logical":
        return op(draw(st.sampled_from(("and", "or", "xor"))), draw(inner), draw(inner))
    if kind == "test":
        scalar = draw(st.sampled_from(FLOATS))
        return call(
            draw(st.sampled_from(("isnan", "isinf", "isfinite"))), draw(expressions(scalar, depth - 1)), type=bool_
        )
    if kind == "cast":
        return cast(draw(expressions(draw(st.sampled_from((*INTEGERS, *FLOATS))), depth - 1)), bool_)
    scalar = draw(st.sampled_from(TYPES))
    operand = expressions(scalar, depth - 1)
    return cmp(draw(st.sampled_from(_COMPARISONS)), draw(operand), draw(operand))


def operands(scalar: ScalarType) -> tuple[Expr, Expr]:
    """Return elements of two arrays of a type."""
    return load(f"a_{scalar.name}", scalar, var("i")), load(f"b_{scalar.name}", scalar, var("i"))


def operations(scalar: ScalarType) -> list[Expr]:
    """Return every operation that agrees exactly, on two elements of a type."""
    a, b = operands(scalar)
    comparisons = [cmp(name, a, b) for name in ("eq", "ne", "lt", "le", "gt", "ge")]
    casts = [cast(a, target) for target in TYPES if target != scalar]
    if scalar == bool_:
        return [*comparisons, *casts, *(op(name, a, b) for name in ("and", "or", "xor")), unary("not", a)]
    extrema = [call(name, a, b) for name in ("min", "max")]
    shared = [*comparisons, *casts, *extrema, unary("neg", a), call("abs", a)]
    if scalar.is_float:
        binary = [op(name, a, b) for name in ("add", "sub", "mul", "div", "floordiv", "mod")]
        unaries = [call(name, a) for name in ("sqrt", "floor", "ceil", "trunc", "round")]
        tests = [call(name, a, type=bool_) for name in ("isnan", "isinf", "isfinite")]
        return [*shared, *binary, *unaries, *tests, call("fmod", a, b), call("fma", a, b, a)]
    names = ("add", "sub", "mul", "floordiv", "mod", "shl", "shr", "and", "or", "xor")
    return [*shared, *(op(name, a, b) for name in names), unary("invert", a)]


def expression_kernel(drawn: list[Expr]) -> KernelIR:
    """Return a kernel that stores expression k of `drawn` at ``i`` into the array ``r<k>``."""
    params = [array(f"{side}_{scalar.name}", scalar, "n") for scalar in TYPES for side in "ab"]
    params += [array(f"r{number}", expr.type, "n", mode="out") for number, expr in enumerate(drawn)]
    stores = [store(f"r{number}", var("i"), expr) for number, expr in enumerate(drawn)]
    return kernel("drawn", params, parallel("i", dimension("n"), *stores), i=i64)


def inputs(pairs: int, seed: int) -> list[np.ndarray[Any, Any]]:
    """Return the arrays ``a_T`` and ``b_T``: pairs of edge values, another selection for each seed."""
    chosen = np.random.default_rng(seed)
    arrays = []
    for scalar in TYPES:
        edges = np.array(edge_values(scalar), dtype=scalar.dtype)
        arrays += [edges[chosen.integers(0, len(edges), pairs)] for _ in "ab"]
    return arrays
