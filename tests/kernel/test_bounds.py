"""Guards that are the whole body of a loop become the loop's bounds, and change no result."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.passes.bounds import fold_guards
from pytest_xdevice.kernel.types import i64

from .irbuild import array
from .irbuild import AT
from .irbuild import both
from .irbuild import cmp
from .irbuild import const
from .irbuild import dimension
from .irbuild import either
from .irbuild import kernel
from .irbuild import load
from .irbuild import loop
from .irbuild import op
from .irbuild import parallel
from .irbuild import scalar
from .irbuild import store
from .irbuild import var
from .irbuild import when
from .native import Native

INDEX, N, K = var("i"), dimension("n"), var("k")
MARK = store("hits", INDEX, op("add", load("hits", i64, INDEX), const(1)))
COMPARE = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip
LEAST, LARGEST = -(1 << 63), (1 << 63) - 1


def marking(*body: object) -> KernelIR:
    params = [array("hits", i64, "n", mode="inout"), scalar("k", i64)]
    return kernel("mark", params, *body, i=i64)  # type: ignore[arg-type]


def hits(ir: KernelIR, k: int, n: int = 9) -> np.ndarray:
    counted = np.zeros(n, np.int64)
    Native(ir)(counted, k)
    return counted


def guarded(condition: Expr) -> KernelIR:
    return marking(parallel("i", N, when(condition, MARK)))


def test_a_guard_against_both_ends_leaves_no_branch() -> None:
    folded = fold_guards(guarded(both(cmp("lt", const(0), INDEX), cmp("lt", INDEX, op("sub", N, const(1)))))).body[0]
    assert isinstance(folded, Parallel)
    assert folded.body == (MARK,)
    assert folded.starts == (const(1),)


def test_an_early_continue_folds_too() -> None:
    skip = when(either(cmp("eq", INDEX, const(3)), cmp("lt", INDEX, const(2))), Continue(AT))
    ir = marking(parallel("i", N, skip, MARK))
    folded = fold_guards(ir).body[0]
    assert isinstance(folded, Parallel)
    assert folded.starts == (const(2),)
    np.testing.assert_array_equal(hits(ir, 0), [0, 0, 1, 0, 1, 1, 1, 1, 1])


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("name", COMPARE)
def test_a_limit_by_a_scalar_holds_for_every_value(name: str, swapped: bool) -> None:
    native = Native(guarded(cmp(name, K, INDEX) if swapped else cmp(name, INDEX, K)))
    for k in (LEAST, LEAST + 1, -1, 0, 1, 4, 8, 9, 10, LARGEST - 1, LARGEST):
        counted = np.zeros(9, np.int64)
        native(counted, k)
        sides = (k, np.arange(9)) if swapped else (np.arange(9), k)
        np.testing.assert_array_equal(counted, COMPARE[name](*sides).astype(np.int64))


@pytest.mark.parametrize("name", COMPARE)
def test_a_range_loop_folds_likewise(name: str) -> None:
    native = Native(marking(loop("i", const(2), N, when(cmp(name, INDEX, K), MARK))))
    for k in (LEAST, -1, 0, 1, 2, 4, 8, 9, LARGEST):
        counted = np.zeros(9, np.int64)
        native(counted, k)
        expected = COMPARE[name](np.arange(9), k).astype(np.int64)
        expected[:2] = 0
        np.testing.assert_array_equal(counted, expected)


def test_a_range_loop_whose_variable_is_read_later_keeps_its_guard() -> None:
    ir = marking(loop("i", const(0), N, when(cmp("lt", INDEX, const(3)), MARK)), store("hits", const(0), INDEX))
    assert fold_guards(ir) == ir
    assert hits(ir, 0)[0] == 8


def test_a_bound_that_the_loop_changes_keeps_its_guard() -> None:
    condition = cmp("lt", INDEX, load("hits", i64, const(0)))
    assert fold_guards(guarded(condition)) == guarded(condition)


def test_conditions_on_memory_stay_behind_the_bounds() -> None:
    ir = guarded(both(cmp("gt", INDEX, const(0)), cmp("eq", load("hits", i64, op("sub", INDEX, const(1))), const(0))))
    folded = fold_guards(ir).body[0]
    assert isinstance(folded, Parallel)
    assert folded.starts == (const(1),)
    assert isinstance(folded.body[0], If)


def test_each_variable_of_a_nest_gets_its_own_bounds() -> None:
    row, column, m = var("y"), var("x"), dimension("m")
    inside = [both(cmp("lt", const(0), v), cmp("lt", v, op("sub", e, const(1)))) for v, e in ((row, m), (column, N))]
    body = when(both(*inside), store("a", (row, column), const(1)))
    ir = kernel("inner", [array("a", i64, "m", "n", mode="inout")], parallel("y x", (m, N), body), y=i64, x=i64)
    for shape in itertools.product((0, 1, 2, 5), repeat=2):
        got, expected = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        expected[1:-1, 1:-1] = 1
        Native(ir)(got)
        np.testing.assert_array_equal(got, expected)


def test_an_inner_range_loop_folds_inside_a_parallel_one() -> None:
    inner = loop("j", const(0), N, when(cmp("gt", var("j"), INDEX), store("a", (INDEX, var("j")), const(1))))
    ir = kernel("upper", [array("a", i64, "n", "n", mode="inout")], parallel("i", N, inner), i=i64, j=i64)
    folded = fold_guards(ir).body[0]
    assert isinstance(folded, Parallel)
    assert isinstance(folded.body[0], For)
    assert folded.body[0].body == (store("a", (INDEX, var("j")), const(1)),)
    got = np.zeros((4, 4), np.int64)
    Native(ir)(got)
    np.testing.assert_array_equal(got, np.triu(np.ones((4, 4)), 1))
