"""Rewrite typed IR: other expressions and other statements in the same order, those of inlined calls included."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace
from typing import Optional

from .ir import Assign
from .ir import Atomic
from .ir import Binary
from .ir import Call
from .ir import Cast
from .ir import Compare
from .ir import Evaluate
from .ir import Expr
from .ir import For
from .ir import If
from .ir import InlinedCall
from .ir import Load
from .ir import Logic
from .ir import Parallel
from .ir import Result
from .ir import Select
from .ir import Stmt
from .ir import Store
from .ir import Unary
from .ir import While


class Rewriter:
    """Rewrites statements.

    Parameters
    ----------
    change : callable, optional
        What to put in the place of an expression, or None to look at its operands.
    replace_by : callable, optional
        The statements to put in the place of one, whose expressions and inner statements are rewritten already.
    """

    def __init__(
        self,
        change: Callable[[Expr], Optional[Expr]] = lambda expr: None,
        replace_by: Callable[[Stmt], Iterable[Stmt]] = lambda statement: (statement,),
    ) -> None:
        self._change = change
        self._replace_by = replace_by

    def block(self, statements: Iterable[Stmt]) -> tuple[Stmt, ...]:
        """Return the statements rewritten."""
        return tuple(made for statement in statements for made in self._replace_by(self._inside(statement)))

    def expr(self, expr: Expr) -> Expr:
        """Return an expression rewritten."""
        changed = self._change(expr)
        if changed is not None:
            return changed
        if isinstance(expr, Load):
            return replace(expr, indices=self.all(expr.indices))
        if isinstance(expr, (Unary, Cast)):
            return replace(expr, operand=self.expr(expr.operand))
        if isinstance(expr, (Binary, Compare, Logic)):
            return replace(expr, left=self.expr(expr.left), right=self.expr(expr.right))
        if isinstance(expr, Select):
            condition, then, otherwise = self.all((expr.condition, expr.then, expr.otherwise))
            return replace(expr, condition=condition, then=then, otherwise=otherwise)
        if isinstance(expr, Call):
            return replace(expr, arguments=self.all(expr.arguments))
        return self._call(expr) if isinstance(expr, InlinedCall) else expr

    def all(self, parts: Iterable[Expr]) -> tuple[Expr, ...]:
        """Return expressions rewritten."""
        return tuple(map(self.expr, parts))

    def _call(self, call: InlinedCall) -> InlinedCall:
        bindings = tuple(replace(binding, value=self.expr(binding.value)) for binding in call.bindings)
        return replace(call, bindings=bindings, body=self.block(call.body))

    def _inside(self, statement: Stmt) -> Stmt:
        if isinstance(statement, Assign):
            return replace(statement, value=self.expr(statement.value))
        if isinstance(statement, Store):
            return replace(statement, indices=self.all(statement.indices), value=self.expr(statement.value))
        if isinstance(statement, Atomic):
            return replace(statement, indices=self.all(statement.indices), operands=self.all(statement.operands))
        if isinstance(statement, If):
            then, otherwise = self.block(statement.then), self.block(statement.otherwise)
            return If(self.expr(statement.condition), then, otherwise, statement.at)
        if isinstance(statement, While):
            return While(self.expr(statement.condition), self.block(statement.body), statement.at)
        if isinstance(statement, For):
            start, stop, step = self.all((statement.start, statement.stop, statement.step))
            return For(statement.variable, start, stop, step, self.block(statement.body), statement.at)
        if isinstance(statement, Parallel):
            starts, extents = self.all(statement.starts), self.all(statement.extents)
            return replace(statement, starts=starts, extents=extents, body=self.block(statement.body))
        if isinstance(statement, Result) and statement.value is not None:
            return replace(statement, value=self.expr(statement.value))
        return replace(statement, call=self._call(statement.call)) if isinstance(statement, Evaluate) else statement
