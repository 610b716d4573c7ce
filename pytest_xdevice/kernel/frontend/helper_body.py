"""The body of a helper function, as a part of the kernel that calls it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from typing import Final

from pytest_xdevice.kernel.errors import KernelError
from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import InlinedCall
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.ir import Result
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import ScalarType

from .expressions import Expressions
from .promote import common_type
from .promote import Operand
from .promote import Refusal
from .promote import Weak
from .statements import Statements

_PYTHON_TYPES: Final = {int: "i64", float: "f64", bool: "bool_"}


class _Return:
    """A `return` that a path reaches: the statement made for it, what it returns, and where."""

    def __init__(self, made: Result, operand: Operand | None, node: ast.Return) -> None:
        self.made = made
        self.operand = operand
        self.node = node


class HelperStatements(Statements):
    """Makes IR of the statements of a helper function."""

    def __init__(self, expressions: Expressions, name: str, returns: Any) -> None:
        super().__init__(expressions)
        self._name = name
        self._returns_nothing = returns is None
        self._declared = self._return_type(returns)
        self._returns: list[_Return] = []

    def inlined(self, bindings: list[Assign], at: Location) -> Operand:
        """Return the helper's body as a call with these bindings."""
        body = self.block(self.text.node.body)
        values = [each for each in self._returns if each.operand is not None]
        if not values:
            if isinstance(self._declared, ScalarType):
                raise self._ends_without_value()
            return InlinedCall(self._name, tuple(bindings), body, bool_, at, has_value=False)
        self._check_every_path()
        first = values[0].operand
        if not bindings and self._declared is None and len(body) == 1 and isinstance(first, Weak):
            return Weak(first.value, at)
        type_ = self._declared or self._common_type(values)
        results = {id(each.made): Result(self._fitted(each, type_), each.made.at) for each in values}
        return InlinedCall(self._name, tuple(bindings), _with_results(body, results), type_, at)

    def visit_Return(self, node: ast.Return) -> list[Stmt]:
        empty = node.value is None or (isinstance(node.value, ast.Constant) and node.value.value is None)
        if isinstance(node.value, ast.Tuple):
            raise self.text.error(
                node.value,
                "a helper returns one value.",
                "Write the others to an array parameter, or call two helpers.",
            )
        operand = None if node.value is None or empty else self.expressions.visit(node.value)
        if operand is not None and self._returns_nothing:
            raise self.text.error(
                node, f"'{self._name}' is declared to return nothing.", "Write the type of the value after '->'."
            )
        made = Result(None, self.text.location(node))
        if self.variables.assigned is not None:
            self._returns.append(_Return(made, operand, node))
        self.variables.assigned = None
        return [made]

    def _parallel(self, node: ast.For, call: ast.Call) -> Stmt:
        raise self.text.error(
            node, "a parallel loop in a helper function.", "Write it in the kernel, and call the helper inside."
        )

    def check_work_group(self, node: ast.expr, what: str) -> None:
        raise self.text.error(
            node, f"{what} in a helper function.", "Write it in the parallel loop, and call helpers before and after."
        )

    def _return_type(self, returns: Any) -> ScalarType | None:
        """Return the declared type; None for a helper that declares none, or that it returns nothing."""
        if returns is inspect.Signature.empty or returns is None:
            return None
        node = self.text.node.returns or self.text.node
        if not isinstance(returns, ScalarType):
            known = isinstance(returns, type) and returns in _PYTHON_TYPES
            advice = f"Write {_PYTHON_TYPES[returns]}." if known else "Write one such as f32, or None."
            raise self.text.error(node, "this is no type that a helper returns.", advice)
        if returns.name == "f16":
            raise self.text.error(node, "a helper returns an f16.", "Return an f32: f16 is for arrays.")
        return returns

    def _check_every_path(self) -> None:
        """Refuse a body that returns a value on some paths only."""
        without = next((each for each in self._returns if each.operand is None), None)
        if without is not None:
            raise self.text.error(
                without.node,
                f"'{self._name}' returns a value elsewhere, and none here.",
                "Return a value on every path.",
            )
        if self.variables.assigned is not None:
            raise self._ends_without_value()

    def _ends_without_value(self) -> KernelError:
        return self.text.error(
            self.text.node, f"'{self._name}' may end without returning a value.", "Add a 'return' at its end."
        )

    def _common_type(self, returns: Sequence[_Return]) -> ScalarType:
        operands: list[Operand] = []
        for each in returns:
            assert each.operand is not None
            operands.append(each.operand)
            try:
                common_type(*operands)
            except Refusal as refusal:
                raise self.text.error(each.node, refusal.message, refusal.advice) from None
        return common_type(*operands)

    def _fitted(self, each: _Return, type_: ScalarType) -> Expr:
        assert each.operand is not None
        return self.fitting(each.operand, type_, each.node.value or each.node, f"'{self._name}' returns {type_}")


def _with_results(statements: Iterable[Stmt], results: dict[int, Result]) -> tuple[Stmt, ...]:
    """Return `statements` with the results that have their values."""
    made: list[Stmt] = []
    for statement in statements:
        if isinstance(statement, Result):
            statement = results.get(id(statement), statement)
        elif isinstance(statement, If):
            then, otherwise = (_with_results(arm, results) for arm in (statement.then, statement.otherwise))
            statement = replace(statement, then=then, otherwise=otherwise)
        elif isinstance(statement, (While, For)):
            statement = replace(statement, body=_with_results(statement.body, results))
        made.append(statement)
    return tuple(made)
