"""Walk over typed IR: operands of an expression, expressions of a statement, statements inside statements."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import fields

from .ir import Assign
from .ir import Atomic
from .ir import Barrier
from .ir import Binary
from .ir import Call
from .ir import Cast
from .ir import Clear
from .ir import Compare
from .ir import Evaluate
from .ir import Expr
from .ir import For
from .ir import If
from .ir import InlinedCall
from .ir import Load
from .ir import Local
from .ir import Logic
from .ir import Parallel
from .ir import Result
from .ir import Select
from .ir import Stmt
from .ir import Store
from .ir import Unary
from .ir import While


def children(expr: Expr) -> tuple[Expr, ...]:
    """Return the operands of an expression; an inlined call has statements instead."""
    if isinstance(expr, Load):
        return expr.indices
    if isinstance(expr, (Unary, Cast)):
        return (expr.operand,)
    if isinstance(expr, (Binary, Compare, Logic)):
        return (expr.left, expr.right)
    if isinstance(expr, Select):
        return (expr.condition, expr.then, expr.otherwise)
    if isinstance(expr, Call):
        return expr.arguments
    return ()


def expressions(statement: Stmt) -> tuple[Expr, ...]:
    """Return the expressions of a statement itself, not those of the statements inside it."""
    if isinstance(statement, Assign):
        return (statement.value,)
    if isinstance(statement, Store):
        return (*statement.indices, statement.value)
    if isinstance(statement, Atomic):
        return (*statement.indices, *statement.operands)
    if isinstance(statement, (If, While)):
        return (statement.condition,)
    if isinstance(statement, For):
        return (statement.start, statement.stop, statement.step)
    if isinstance(statement, Parallel):
        return (*statement.starts, *statement.extents)
    if isinstance(statement, Result):
        return () if statement.value is None else (statement.value,)
    if isinstance(statement, Evaluate):
        return (statement.call,)
    return ()


def meaning(expr: Expr) -> tuple[object, ...]:
    """Return what tells an expression from others, which is not its place in the text."""
    own = (getattr(expr, field.name) for field in fields(expr) if field.name != "at")
    plain = (part for part in own if isinstance(part, (bool, int, float, str)))
    return (type(expr).__name__, expr.type.name, *plain, *map(meaning, children(expr)))


def locals_of(expr: Expr) -> set[str]:
    """Return the locals and scalar parameters that an expression reads."""
    names = {expr.name} if isinstance(expr, Local) else set()
    return names.union(*map(locals_of, children(expr)))


def loads(expr: Expr) -> Iterator[Load]:
    """Yield the elements that an expression reads, those in the indices of others included."""
    if isinstance(expr, Load):
        yield expr
    for child in children(expr):
        yield from loads(child)


def accesses(statements: Iterable[Stmt]) -> Iterator[tuple[str, tuple[Expr, ...]]]:
    """Yield the array and the indices of each element that statements themselves read or write."""
    for statement in statements:
        if isinstance(statement, (Atomic, Store)):
            yield statement.array, statement.indices
        for expr in expressions(statement):
            yield from ((load.array, load.indices) for load in loads(expr))


def inlined_calls(expr: Expr) -> Iterator[InlinedCall]:
    """Yield the inlined calls of an expression, not those within them."""
    if isinstance(expr, InlinedCall):
        yield expr
    for child in children(expr):
        yield from inlined_calls(child)


def walk(statements: Iterable[Stmt]) -> Iterator[Stmt]:
    """Yield every statement, those inside others and inside inlined calls included, in the order of the text."""
    for statement in statements:
        yield statement
        for expr in expressions(statement):
            for call in inlined_calls(expr):
                yield from walk((*call.bindings, *call.body))
        if isinstance(statement, If):
            yield from walk((*statement.then, *statement.otherwise))
        elif isinstance(statement, (While, For, Parallel)):
            yield from walk(statement.body)


def is_innermost(body: Iterable[Stmt]) -> bool:
    """Tell whether the body of a loop has no loop in it."""
    return not any(isinstance(statement, (For, While, Parallel)) for statement in walk(body))


def arrays_accessed(statements: Iterable[Stmt]) -> tuple[set[str], set[str]]:
    """Return the names of the arrays that are read and of those that are written."""
    loaded: set[str] = set()
    stored: set[str] = set()

    def read(expr: Expr) -> None:
        if isinstance(expr, Load):
            loaded.add(expr.array)
        for child in children(expr):
            read(child)

    for statement in walk(statements):
        if isinstance(statement, (Atomic, Clear, Store)):
            stored.add(statement.array)
        if isinstance(statement, Atomic):
            loaded.add(statement.array)
        for expr in expressions(statement):
            read(expr)
    return loaded, stored


def writes_memory(expr: Expr) -> bool:
    """Tell whether evaluating `expr` writes to an array."""
    statements = (statement for call in inlined_calls(expr) for statement in walk((*call.bindings, *call.body)))
    return any(isinstance(statement, (Atomic, Store)) for statement in statements)


def has_atomic(statements: Iterable[Stmt]) -> bool:
    """Tell whether there is an atomic operation among the statements or inside them."""
    return any(isinstance(statement, Atomic) for statement in walk(statements))


def has_barrier(statements: Iterable[Stmt]) -> bool:
    """Tell whether there is a barrier among the statements or inside them."""
    return any(isinstance(statement, Barrier) for statement in walk(statements))
