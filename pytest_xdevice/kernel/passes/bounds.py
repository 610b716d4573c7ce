"""Fold a guard that is the whole body of a counting loop into the loop's bounds: a loop without a branch vectorises.

``for i in parallel(n): if 0 < i < n - 1: ...`` becomes a loop from 1 to n - 1, and so does a loop whose body begins
with ``if i == 0 or ...: continue``. What is left of the condition stays in the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import CompareOp
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Logic
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.traversal import inlined_calls
from pytest_xdevice.kernel.traversal import locals_of
from pytest_xdevice.kernel.traversal import writes_memory
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import i64

from .legalise import is_cheap
from .phases import assigned_in
from .phases import read_in

_SWAPPED: Final[dict[CompareOp, CompareOp]] = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_NEGATED: Final[dict[CompareOp, CompareOp]] = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}


def fold_guards(ir: KernelIR) -> KernelIR:
    """Return the kernel, as the front end made it, with guards folded into the bounds of their loops."""
    return replace(ir, body=_block(ir.body, lambda names: _only_read_inside(ir.body, names)))


def _block(statements: Iterable[Stmt], private: Callable[[For], bool]) -> tuple[Stmt, ...]:
    return tuple(_statement(statement, private) for statement in statements)


def _statement(statement: Stmt, private: Callable[[For], bool]) -> Stmt:
    if isinstance(statement, If):
        then, otherwise = _block(statement.then, private), _block(statement.otherwise, private)
        return replace(statement, then=then, otherwise=otherwise)
    if isinstance(statement, While):
        return replace(statement, body=_block(statement.body, private))
    if isinstance(statement, For):
        folded = _fold_range(statement) if private(statement) else statement
        return replace(folded, body=_block(folded.body, private))
    if isinstance(statement, Parallel):
        folded_loop = _fold_parallel(statement)
        return replace(folded_loop, body=_block(folded_loop.body, private))
    return statement


def _only_read_inside(body: tuple[Stmt, ...], loop: For) -> bool:
    """Tell whether nothing outside of `loop` reads its variable, which a shorter loop leaves with another value."""
    return loop.variable not in read_in(_without(body, loop))


def _without(statements: Iterable[Stmt], removed: Stmt) -> tuple[Stmt, ...]:
    kept: list[Stmt] = []
    for statement in statements:
        if statement is removed:
            continue
        if isinstance(statement, If):
            then, otherwise = _without(statement.then, removed), _without(statement.otherwise, removed)
            statement = replace(statement, then=then, otherwise=otherwise)
        elif isinstance(statement, (While, For, Parallel)):
            statement = replace(statement, body=_without(statement.body, removed))
        kept.append(statement)
    return tuple(kept)


def _fold_parallel(loop: Parallel) -> Parallel:
    guard, body = _guard(loop.body)
    starts: list[Expr] = list(loop.starts) or [Const(0, i64, loop.at) for _ in loop.variables]
    extents = list(loop.extents)
    assigned = assigned_in([loop])
    rest: list[Expr] = []
    for condition in guard:
        limit = limit_on(loop.variables, condition, assigned)
        if limit is None:
            rest.append(condition)
        else:
            axis = loop.variables.index(limit.left.name)
            starts[axis], extents[axis] = _narrowed(starts[axis], extents[axis], limit.op, limit.right)
    if len(rest) == len(guard):
        return loop
    return replace(loop, starts=tuple(starts), extents=tuple(extents), body=_guarded(rest, body))


def _fold_range(loop: For) -> For:
    if not (isinstance(loop.step, Const) and loop.step.value == 1 and _is_simple(loop.start) and _is_simple(loop.stop)):
        return loop
    if loop.variable in assigned_in(loop.body):
        return loop
    guard, body = _guard(loop.body)
    assigned = assigned_in([loop])
    start, stop, rest = loop.start, loop.stop, []
    for condition in guard:
        limit = limit_on((loop.variable,), condition, assigned)
        if limit is None:
            rest.append(condition)
        else:
            start, stop = _narrowed(start, stop, limit.op, limit.right)
    if len(rest) == len(guard):
        return loop
    return replace(loop, start=start, stop=stop, body=_guarded(rest, body))


class Limit:
    """``variable OP bound``, with a bound that does not change in the loop."""

    def __init__(self, left: Local, op: CompareOp, right: Expr) -> None:
        self.left = left
        self.op = op
        self.right = right


def _guard(body: tuple[Stmt, ...]) -> tuple[list[Expr], tuple[Stmt, ...]]:
    """Return the conditions that all must hold for an iteration to do anything, and what it then does."""
    first = body[0] if body else None
    if not isinstance(first, If) or first.otherwise or writes_memory(first.condition):
        return [], body
    if len(body) == 1:
        return _parts(first.condition, "and"), first.then
    if len(first.then) == 1 and isinstance(first.then[0], Continue):
        return [_negation(part) for part in _parts(first.condition, "or")], body[1:]
    return [], body


def _parts(condition: Expr, op: str) -> list[Expr]:
    if isinstance(condition, Logic) and condition.op == op:
        return [*_parts(condition.left, op), *_parts(condition.right, op)]
    return [condition]


def _negation(condition: Expr) -> Expr:
    if isinstance(condition, Compare) and not condition.left.type.is_float:
        return replace(condition, op=_NEGATED[condition.op])
    return Unary("not", condition, bool_, condition.at)


def _guarded(conditions: list[Expr], body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    if not conditions:
        return body
    joined = conditions[0]
    for condition in conditions[1:]:
        joined = Logic("and", joined, condition, bool_, condition.at)
    return (If(joined, body, (), joined.at),)


def limit_on(variables: tuple[str, ...], condition: Expr, assigned: set[str]) -> Limit | None:
    """Return `condition` as a limit on one of a loop's `variables` by what the loop does not assign, or None."""
    if not isinstance(condition, Compare) or condition.left.type != i64:
        return None
    for variable, op, bound in (
        (condition.left, condition.op, condition.right),
        (condition.right, _SWAPPED[condition.op], condition.left),
    ):
        if isinstance(variable, Local) and variable.name in variables and op not in ("eq", "ne"):
            return Limit(variable, op, bound) if _is_simple(bound) and not locals_of(bound) & assigned else None
    return None


def _is_simple(expr: Expr) -> bool:
    """Tell whether `expr` may be evaluated in several places."""
    return is_cheap(expr) and not any(inlined_calls(expr))


def _narrowed(start: Expr, stop: Expr, op: CompareOp, bound: Expr) -> tuple[Expr, Expr]:
    """Return the bounds of the loop's part where ``variable OP bound`` holds."""
    if op == "ge":
        return _larger(start, bound), stop
    if op == "lt":
        return start, _extremum("min", stop, bound)
    # One above the bound; the largest i64 has none, but is not below `stop` either.
    if isinstance(bound, Const) and bound.value < (1 << 63) - 1:
        above: Expr = replace(bound, value=bound.value + 1)
    else:
        following = Binary("add", bound, Const(1, i64, bound.at), i64, bound.at)
        above = Select(Compare("lt", bound, stop, bool_, bound.at), following, stop, i64, bound.at)
    return (_larger(start, above), stop) if op == "gt" else (start, _extremum("min", stop, above))


def _larger(left: Expr, right: Expr) -> Expr:
    if isinstance(left, Const) and isinstance(right, Const):
        return left if left.value >= right.value else right
    return _extremum("max", left, right)


def _extremum(function: str, left: Expr, right: Expr) -> Expr:
    return Call(function, (left, right), i64, left.at)
