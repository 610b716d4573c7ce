"""Loops that choose by their variable become a loop for each choice, and change no result."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.passes.bounds import fold_guards
from pytest_xdevice.kernel.passes.legalise import legalise
from pytest_xdevice.kernel.passes.split import split_loops
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.types import i64

from .irbuild import array
from .irbuild import AT
from .irbuild import cmp
from .irbuild import const
from .irbuild import dimension
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
ONCE = store("hits", INDEX, op("add", load("hits", i64, INDEX), const(1)))
TWICE = store("hits", INDEX, op("add", load("hits", i64, INDEX), const(2)))
COMPARE = {"lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}
LEAST, LARGEST = -(1 << 63), (1 << 63) - 1


def choosing(*body: Stmt) -> KernelIR:
    return kernel("mark", [array("hits", i64, "n", mode="inout"), scalar("k", i64)], *body, i=i64)


def split(ir: KernelIR) -> list[Stmt]:
    return [part for part in walk(split_loops(legalise(fold_guards(ir))).body) if isinstance(part, (For, Parallel))]


@pytest.mark.parametrize("name", COMPARE)
@pytest.mark.parametrize("sequential", [False, True], ids=["parallel", "range"])
def test_each_side_of_a_bound_has_its_loop(name: str, sequential: bool) -> None:
    body = when(cmp(name, INDEX, K), ONCE, otherwise=(TWICE,))
    ir = choosing(loop("i", const(0), N, body) if sequential else parallel("i", N, body))
    assert [part.body for part in split(ir)] == [(ONCE,), (TWICE,)][:: 1 if name in ("lt", "le") else -1]
    native = Native(ir)
    for k in (LEAST, LEAST + 1, -1, 0, 1, 4, 8, 9, 10, LARGEST - 1, LARGEST):
        hits = np.zeros(9, np.int64)
        native(hits, k)
        np.testing.assert_array_equal(hits, np.where(COMPARE[name](np.arange(9), k), 1, 2))


def test_both_ends_are_split_off() -> None:
    inner = when(cmp("ge", INDEX, op("sub", N, const(2))), TWICE, otherwise=(ONCE,))
    ir = choosing(parallel("i", N, when(cmp("lt", INDEX, const(3)), TWICE, otherwise=(inner,))))
    assert not [part for loop_ in split(ir) for part in walk(loop_.body) if isinstance(part, If)]
    for n in range(9):
        hits = np.zeros(n, np.int64)
        Native(ir)(hits, 0)
        np.testing.assert_array_equal(hits, [2 if i < 3 or i >= n - 2 else 1 for i in range(n)])


def test_a_loop_that_may_end_early_stays_whole() -> None:
    leave = when(cmp("eq", load("hits", i64, INDEX), const(7)), Break(AT))
    ir = choosing(loop("i", const(0), N, leave, when(cmp("lt", INDEX, K), ONCE, otherwise=(TWICE,))))
    assert len(split(ir)) == 1


def test_a_bound_that_the_loop_changes_stays_inside() -> None:
    choice = when(cmp("lt", INDEX, load("hits", i64, const(0))), ONCE, otherwise=(TWICE,))
    assert len(split(choosing(loop("i", const(0), N, choice)))) == 1


def test_a_variable_read_afterwards_keeps_its_last_value() -> None:
    after = store("hits", const(0), INDEX)
    ir = choosing(loop("i", const(0), N, when(cmp("lt", INDEX, K), ONCE, otherwise=(TWICE,))), after)
    for k in (0, 2, 20):
        hits = np.zeros(5, np.int64)
        Native(ir)(hits, k)
        assert hits[0] == 4
