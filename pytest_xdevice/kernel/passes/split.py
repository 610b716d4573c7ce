"""Split a loop whose body chooses by its variable into one loop for each choice: a loop without a branch vectorises.

``for i in parallel(n): b[i] = a[i - d] if i >= d else 0.0`` becomes a loop up to d and one from there. Only innermost
loops are split, and only where a branch touches memory; LLVM turns other choices into instructions without a branch.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from typing import Union

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Return
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.traversal import arrays_accessed
from pytest_xdevice.kernel.traversal import is_innermost
from pytest_xdevice.kernel.traversal import locals_of
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.types import i64

from .arithmetic import binary
from .arithmetic import compare
from .arithmetic import constant
from .arithmetic import select
from .bounds import limit_on
from .legalise import is_cheap
from .phases import assigned_in

_MOST_PARTS: Final = 4  # of one loop, each of which is compiled
_Counting = Union[For, Parallel]


def split_loops(ir: KernelIR) -> KernelIR:
    """Return the legal kernel with its innermost loops split where they choose by their own variable."""
    splitter = _Splitter(ir)
    body = splitter.block(ir.body)
    return replace(ir, body=body, locals=splitter.locals)


class _Splitter:
    def __init__(self, ir: KernelIR) -> None:
        self.locals = dict(ir.locals)

    def block(self, statements: Iterable[Stmt]) -> tuple[Stmt, ...]:
        return tuple(part for statement in statements for part in self._statement(statement))

    def _statement(self, statement: Stmt) -> Iterable[Stmt]:
        if isinstance(statement, If):
            return [replace(statement, then=self.block(statement.then), otherwise=self.block(statement.otherwise))]
        if isinstance(statement, While):
            return [replace(statement, body=self.block(statement.body))]
        if isinstance(statement, (For, Parallel)):
            if is_innermost(statement.body):
                return self._parts(statement, _MOST_PARTS)
            return [replace(statement, body=self.block(statement.body))]
        return [statement]

    def _parts(self, loop: _Counting, most: int) -> Iterator[Stmt]:
        choice = _choice(loop) if most > 1 else None
        if choice is None:
            yield loop
            return
        start, stop = _bounds(loop)
        assigns, middle = self._middle(start, stop, choice)
        yield from assigns
        below, above = (choice.then, choice.otherwise) if choice.then_is_below else (choice.otherwise, choice.then)
        yield from self._parts(_with(loop, start, middle, choice.replaced_by(loop.body, below)), most - 1)
        yield from self._parts(_with(loop, middle, stop, choice.replaced_by(loop.body, above)), most - 1)

    def _middle(self, start: Expr, stop: Expr, choice: _Choice) -> tuple[list[Stmt], Local]:
        """Return the first value on the far side of the choice, from `start` to `stop`, and what computes it."""
        bound = choice.bound
        if choice.includes_bound:  # then one more; the largest i64 has none, but is not below `stop` either
            following = binary("add", bound, constant(1, bound))
            bound = select(compare("lt", bound, stop), following, stop)
        capped = self._fresh()
        middle = self._fresh()
        capped_value = Local(capped, i64, bound.at)
        return [
            Assign(capped, select(compare("lt", bound, stop), bound, stop), bound.at, declares=True),
            Assign(middle, select(compare("lt", capped_value, start), start, capped_value), bound.at, declares=True),
        ], Local(middle, i64, bound.at)

    def _fresh(self) -> str:
        name = f"split.{len(self.locals)}"
        self.locals[name] = i64
        return name


class _Choice:
    """An `If` of a loop's body that goes one way below a bound and the other way from there on."""

    def __init__(self, statement: If, op: str, bound: Expr) -> None:
        self.statement = statement
        self.then, self.otherwise = statement.then, statement.otherwise
        self.bound = bound
        self.then_is_below = op in ("lt", "le")
        self.includes_bound = op in ("le", "gt")

    def replaced_by(self, body: Iterable[Stmt], branch: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Return `body` with `branch` in the place of the choice."""
        return tuple(part for each in body for part in (branch if each is self.statement else (each,)))


def _choice(loop: _Counting) -> _Choice | None:
    """Return the first choice of a loop that may be split by it."""
    if any(isinstance(statement, (Break, Return)) for statement in walk(loop.body)):
        return None
    if isinstance(loop, For) and getattr(loop.step, "value", None) != 1:
        return None
    variable = loop.variable if isinstance(loop, For) else loop.variables[-1]
    assigned = assigned_in([loop])
    if variable in assigned_in(loop.body):
        return None
    if not all(is_cheap(bound) and not locals_of(bound) & assigned for bound in _bounds(loop)):
        return None
    for statement in loop.body:
        if isinstance(statement, If) and any(arrays_accessed((*statement.then, *statement.otherwise))):
            limit = limit_on((variable,), statement.condition, assigned)
            if limit is not None:
                return _Choice(statement, limit.op, limit.right)
    return None


def _bounds(loop: _Counting) -> tuple[Expr, Expr]:
    if isinstance(loop, For):
        return loop.start, loop.stop
    return loop.starts[-1] if loop.starts else constant(0, loop.extents[-1]), loop.extents[-1]


def _with(loop: _Counting, start: Expr, stop: Expr, body: tuple[Stmt, ...]) -> _Counting:
    if isinstance(loop, For):
        return replace(loop, start=start, stop=stop, body=body)
    starts = loop.starts or tuple(constant(0, extent) for extent in loop.extents)
    return replace(loop, starts=(*starts[:-1], start), extents=(*loop.extents[:-1], stop), body=body)
