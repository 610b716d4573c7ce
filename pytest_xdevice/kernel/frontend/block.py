"""What the statements of a function share: its expressions, its variables, and the paths through it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import LocalArray
from pytest_xdevice.kernel.types import ScalarType

from .elements import Element
from .expressions import Expressions
from .promote import coerce
from .promote import default_type
from .promote import Operand
from .promote import Refusal
from .promote import Weak
from .promote import WeakSelect
from .promote import widens
from .unsupported import advice_for
from .unsupported import describe


@dataclass(frozen=True)
class ParallelLoop:
    """The parallel loop around a place: its statement, its work-group and the arrays that this shares."""

    statement: ast.For
    block: tuple[int, ...] | None
    shared: list[str] = field(default_factory=list)


class Block:
    """Makes IR of statements, and keeps track of the paths through them; subclasses have what to make of which."""

    def __init__(self, expressions: Expressions) -> None:
        self.text = expressions.text
        self.expressions = expressions
        self.variables = expressions.variables
        self.params = expressions.params
        self.loop: ParallelLoop | None = None

    def block(self, nodes: Iterable[ast.stmt]) -> tuple[Stmt, ...]:
        """Return the statements that `nodes` are; those that no path reaches are checked and left out."""
        statements: list[Stmt] = []
        for node in nodes:
            reached = self.variables.assigned is not None
            made = self.visit(node)
            if reached:
                statements += made
        return tuple(statements)

    def visit(self, node: ast.stmt) -> list[Stmt]:
        """Return the statements that `node` is."""
        method: Callable[[Any], list[Stmt]] | None = getattr(self, f"visit_{type(node).__name__}", None)
        if method is None:
            raise self.text.error(node, f"{describe(node)} cannot be used in a kernel.", advice_for(node))
        try:
            return method(node)
        except Refusal as refusal:
            raise self.text.error(node, refusal.message, refusal.advice) from None

    def element(self, target: ast.Subscript) -> Element:
        """Return the element that is written to."""
        try:
            return self.expressions.element(target)
        except Refusal as refusal:
            raise self.text.error(target, refusal.message, refusal.advice) from None

    def fitting(self, operand: Operand, type_: ScalarType, node: ast.AST, reason: str, advice: str = "") -> Expr:
        """Return `operand` as a `type_`, or say that `reason` stands against it."""
        found = default_type(operand)
        if not isinstance(operand, (Weak, WeakSelect)) and not widens(found, type_):
            advice = advice or f"Write {type_}(...) around the value."
            raise self.text.error(node, f"{reason}, and this is {found}.", advice)
        try:
            return coerce(operand, type_)
        except Refusal as refusal:
            raise self.text.error(node, f"{reason}: {refusal.message}", advice or refusal.advice) from None

    def check_name(self, target: ast.Name) -> None:
        """Refuse to assign to a name that is no local's."""
        if target.id in self.expressions.scope.dims:
            raise self.text.error(
                target,
                f"'{target.id}' is a dim, and is assigned.",
                "Use another name: a dim is what the shapes of the arrays say.",
            )
        param = self.params.get(target.id)
        if isinstance(param, (ArrayType, LocalArray)):
            raise self.text.error(
                target,
                f"the array parameter '{target.id}' is assigned.",
                f"Write to its elements: {target.id}[i] = ...",
            )
        if param is not None:
            raise self.text.error(
                target,
                f"the parameter '{target.id}' is assigned.",
                f"Copy it to a local first, such as x = {target.id}.",
            )

    def check_work_group(self, node: ast.expr, what: str) -> None:
        """Refuse `what` where there is no work-group."""
        if self.loop is None or self.loop.block is None:
            raise self.text.error(
                node, f"{what} belongs to a work-group.", "Use it in a loop over parallel(..., block=...)."
            )
