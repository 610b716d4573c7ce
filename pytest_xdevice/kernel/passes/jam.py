"""Do several turns of a loop at once where each adds to the same row: the row is then read and written once for them.

``for p in range(k): for j in range(n): c[i, j] += a[i, p] * b[p, j]`` becomes a loop over four values of `p` at a time.
Each element still gets its terms in their order, so that results stay the same, bit by bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.rewrite import Rewriter
from pytest_xdevice.kernel.traversal import children
from pytest_xdevice.kernel.traversal import expressions
from pytest_xdevice.kernel.traversal import loads
from pytest_xdevice.kernel.traversal import locals_of
from pytest_xdevice.kernel.types import i64

from .arithmetic import binary
from .arithmetic import compare
from .arithmetic import constant
from .arithmetic import select
from .legalise import is_cheap
from .phases import assigned_in

_TURNS: Final = 4
_MOST_STATEMENTS: Final = 4  # of the inner loop, each of which is printed once a turn


def jam_loops(ir: KernelIR) -> KernelIR:
    """Return the legal kernel with such loops taken several turns at a time."""
    jammer = _Jammer(ir)
    body = Rewriter(replace_by=jammer.statement).block(ir.body)
    return replace(ir, body=body, locals=jammer.locals)


class _Jammer:
    def __init__(self, ir: KernelIR) -> None:
        self.locals = dict(ir.locals)

    def statement(self, statement: Stmt) -> Iterable[Stmt]:
        inner = _inner(statement)
        if inner is None or not isinstance(statement, For):
            return (statement,)
        return self._jammed(statement, inner)

    def _jammed(self, outer: For, inner: For) -> Iterator[Stmt]:
        at = outer.at
        start, stop, turns, turn = (self._fresh(outer) for _ in range(4))
        yield Assign(start.name, outer.start, at, declares=True)
        yield Assign(stop.name, outer.stop, at, declares=True)
        span = binary("sub", stop, start)
        whole = binary("ashr", span, Const(_TURNS.bit_length() - 1, i64, at))
        zero = constant(0, start)
        yield Assign(turns.name, select(compare("gt", span, zero), whole, zero), at, declares=True)

        def from_start(count: Expr) -> Expr:
            return binary("add", start, binary("mul", count, Const(_TURNS, i64, at)))

        body: list[Stmt] = []
        for number in range(_TURNS):
            here = binary("add", from_start(turn), Const(number, i64, at))
            body += [Assign(outer.variable, here, at, declares=True), *inner.body]
        # Once more outside of the inner loop, which may have no turn at all.
        last = Assign(outer.variable, binary("add", from_start(turn), Const(_TURNS - 1, i64, at)), at, declares=True)
        jammed = (*outer.body[:-1], last, replace(inner, body=tuple(body)))
        yield For(turn.name, zero, turns, constant(1, start), jammed, at)
        yield replace(outer, start=from_start(turns), stop=stop)

    def _fresh(self, loop: For) -> Local:
        name = f"jam.{len(self.locals)}"
        self.locals[name] = i64
        return Local(name, i64, loop.at)


def _inner(outer: Stmt) -> For | None:
    """Return the loop that ends the body of another, if its turns may be mixed with those of the other's next turn."""
    if not (isinstance(outer, For) and outer.body and _counts_up(outer)):
        return None
    *before, inner = outer.body
    if not (isinstance(inner, For) and _counts_up(inner) and len(inner.body) <= _MOST_STATEMENTS):
        return None
    assigned = assigned_in([outer])
    if not all(_is_fixed(bound, assigned) for bound in (outer.start, outer.stop)):
        return None
    changing = set(assigned)
    for statement in before:  # what the bounds of the inner loop need, if it is the same in each turn
        if not (isinstance(statement, Assign) and _is_fixed(statement.value, changing)):
            return None
        changing.discard(statement.name)
    if assigned_in(before) & assigned_in([inner]) or not all(
        _is_fixed(bound, changing) for bound in (inner.start, inner.stop)
    ):
        return None
    # With stores alone nothing is carried from one turn to the next but by the elements stored.
    stores = [statement for statement in inner.body if isinstance(statement, Store)]
    if not stores or len(stores) < len(inner.body):
        return None
    return inner if all(_stays_in_column(store, stores, inner.variable, assigned) for store in stores) else None


def _is_fixed(expr: Expr, changing: set[str]) -> bool:
    return is_cheap(expr) and not locals_of(expr) & changing


def _counts_up(loop: For) -> bool:
    return isinstance(loop.step, Const) and loop.step.value == 1


def _stays_in_column(store: Store, stores: list[Store], variable: str, assigned: set[str]) -> bool:
    """Tell whether all accesses to the array of `store` are to one element, which only the inner variable moves."""
    *leading, last = store.indices
    if not (isinstance(last, Local) and last.name == variable) or any(locals_of(each) & assigned for each in leading):
        return False
    if any(any(loads(index)) for index in store.indices):
        return False
    places = [other.indices for other in stores if other.array == store.array]
    places += [load.indices for other in stores for load in _loads(other) if load.array == store.array]
    return all(_same(indices, store.indices) for indices in places)


def _loads(statement: Stmt) -> Iterator[Load]:
    for expr in expressions(statement):
        yield from loads(expr)


def _same(left: tuple[Expr, ...], right: tuple[Expr, ...]) -> bool:
    """Compare indices, wherever they stand in the source."""
    return repr([_placeless(index) for index in left]) == repr([_placeless(index) for index in right])


def _placeless(expr: Expr) -> object:
    own = {name: value for name, value in vars(expr).items() if isinstance(value, (str, int, float))}
    return type(expr).__name__, own, [_placeless(child) for child in children(expr)]
