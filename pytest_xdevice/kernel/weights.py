"""About how much work the body of a loop is, in simple iterations: what decides whether threads are worth waking."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Final

from .ir import Call
from .ir import Expr
from .ir import For
from .ir import If
from .ir import Parallel
from .ir import Stmt
from .ir import While
from .traversal import children
from .traversal import expressions

UNKNOWN_ITERATIONS: Final = 256  # what a loop is taken for whose length nobody knows before it starts
_CALL_WEIGHT: Final = 8  # simple iterations that a function of the math table stands for


def own_weight(body: Iterable[Stmt]) -> int:
    """Return about how many simple iterations one run of a body stands for, without the loops in it."""
    outside = (statement for statement in _without_loops(body) if not isinstance(statement, (For, Parallel, While)))
    return 1 + _CALL_WEIGHT * sum(_calls(expr) for statement in outside for expr in expressions(statement))


def loops_of(body: Iterable[Stmt]) -> Iterator[For | Parallel | While]:
    """Yield the loops of a body, not those inside of them."""
    return (statement for statement in _without_loops(body) if isinstance(statement, (For, Parallel, While)))


def _without_loops(body: Iterable[Stmt]) -> Iterator[Stmt]:
    for statement in body:
        yield statement
        if isinstance(statement, If):
            yield from _without_loops((*statement.then, *statement.otherwise))


def _calls(expr: Expr) -> int:
    return isinstance(expr, Call) + sum(map(_calls, children(expr)))
