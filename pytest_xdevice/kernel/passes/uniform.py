"""Find the loops that LLVM 22 vectorises wrongly, so that they are left scalar.

A division that only some iterations reach, and that is the same in each of them, is computed by its loop vectoriser
for the first lane alone. Where that lane does not reach it, an index that depends on it is undefined in all lanes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.traversal import arrays_accessed
from pytest_xdevice.kernel.traversal import children
from pytest_xdevice.kernel.traversal import expressions
from pytest_xdevice.kernel.traversal import loads
from pytest_xdevice.kernel.traversal import locals_of
from pytest_xdevice.kernel.traversal import walk

_DIVISIONS: Final = frozenset({"sdiv", "srem", "udiv", "urem"})


def divides_uniformly(variable: str, body: tuple[Stmt, ...]) -> bool:
    """Tell whether a branch in the legal body of a loop divides integers that do not depend on the loop's variable."""
    divisions = [found for statement in _conditional(body) for expr in expressions(statement) for found in _in(expr)]
    if not divisions:
        return False
    _, written = arrays_accessed(body)
    varying = _varying(variable, body, written)
    return any(not _varies(division, varying, written) for division in divisions)


def _conditional(body: Iterable[Stmt]) -> Iterable[Stmt]:
    """Return the statements inside of branches."""
    for statement in walk(body):
        if isinstance(statement, If):
            yield from walk((*statement.then, *statement.otherwise))


def _in(expr: Expr) -> Iterable[Binary]:
    """Return the divisions in an expression, except for those by constants, which LLVM need not guard."""
    if isinstance(expr, Binary) and expr.op in _DIVISIONS and not isinstance(expr.right, Const):
        yield expr
    for child in children(expr):
        yield from _in(child)


def _varying(variable: str, body: tuple[Stmt, ...], written: set[str]) -> set[str]:
    """Return the locals whose value depends on `variable`."""
    assignments = [statement for statement in walk(body) if isinstance(statement, Assign)]
    varying = {variable}
    while True:
        found = {each.name for each in assignments if _varies(each.value, varying, written)} - varying
        if not found:
            return varying
        varying |= found


def _varies(expr: Expr, varying: set[str], written: set[str]) -> bool:
    return bool(locals_of(expr) & varying) or any(load.array in written for load in loads(expr))
