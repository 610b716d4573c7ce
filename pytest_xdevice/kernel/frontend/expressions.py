"""Expressions of a kernel: Python's syntax tree in, typed IR out."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any
from typing import Final

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import InlinedCall
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.ir import Result
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import ScalarType

from .calls import build_call
from .elements import Elements
from .operators import binary
from .operators import choice
from .operators import comparison
from .operators import either
from .operators import has_call
from .operators import is_truth
from .operators import logic
from .operators import truth
from .operators import unary
from .promote import coerce
from .promote import Operand
from .promote import Refusal
from .promote import typed
from .promote import Weak
from .unsupported import advice_for
from .unsupported import describe

_UNARY: Final[dict[type[ast.unaryop], str]] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert", ast.Not: "not"}
_BOOLEAN: Final[dict[type[ast.boolop], str]] = {ast.And: "and", ast.Or: "or"}
_BINARY: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv", ast.Mod: "mod",
    ast.Pow: "pow", ast.LShift: "shl", ast.RShift: "shr", ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor",
}  # fmt: skip
_COMPARE: Final[dict[type[ast.cmpop], str]] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip


class Expressions(Elements):
    """Makes IR of expressions."""

    def visit(self, node: ast.expr) -> Operand:
        method: Callable[[Any], Operand] | None = getattr(self, f"visit_{type(node).__name__}", None)
        if method is None:
            raise self.text.error(node, f"{describe(node)} cannot be used in a kernel.", advice_for(node))
        self.level += 1
        try:
            return method(node)
        except Refusal as refusal:
            raise self.refused(node, refusal) from None
        finally:
            self.level -= 1

    def value(self, node: ast.expr, type_: ScalarType) -> Expr:
        """Return `node` as a `type_`, where that needs no written cast."""
        operand = self.visit(node)
        try:
            return coerce(operand, type_)
        except Refusal as refusal:
            raise self.refused(node, refusal) from None

    def truth(self, node: ast.expr) -> Expr:
        """Return `node` as a bool_ with Python's meaning of truth: a number is true when it is not 0."""
        return truth(self.condition(node))

    def condition(self, node: ast.expr) -> Operand:
        """Return `node` where nothing but its truth counts, so that `and` and `or` need no common type."""
        if not isinstance(node, ast.BoolOp):
            return self.visit(node)
        return logic(
            _BOOLEAN[type(node.op)], [self.condition(value) for value in node.values], self.text.location(node)
        )

    def visit_Constant(self, node: ast.Constant) -> Operand:
        if isinstance(node.value, (bool, int, float)):
            return Weak(node.value, self.text.location(node))
        kind = {str: "a string", bytes: "a bytes literal", complex: "a complex number"}.get(type(node.value))
        raise Refusal(f"{kind or repr(node.value)} cannot be used in a kernel.", "Kernels compute with numbers only.")

    # --- operators --------------------------------------------------------------------------------------

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Operand:
        op = _UNARY[type(node.op)]
        operand = self.condition(node.operand) if op == "not" else self.visit(node.operand)
        return unary(op, operand, self.text.location(node))

    def visit_BinOp(self, node: ast.BinOp) -> Operand:
        return self.binary(node.op, self.visit(node.left), self.visit(node.right), self.text.location(node))

    def binary(self, operator: ast.operator, left: Operand, right: Operand, at: Location) -> Operand:
        """Return the operation of the two operands that Python's `operator` is.

        Raises
        ------
        Refusal
            If the language does not have it for their types.
        """
        op = _BINARY.get(type(operator))
        if op is None:
            raise Refusal("'@' cannot be used in a kernel.", "Write the loops of the product.")
        return binary(op, left, right, at)

    def visit_BoolOp(self, node: ast.BoolOp) -> Operand:
        op, at = _BOOLEAN[type(node.op)], self.text.location(node)
        *firsts, result = [self.visit(value) for value in node.values]
        for operand in reversed(firsts):
            result = self._either(op, operand, result, at)
        return result

    def _either(self, op: str, left: Operand, right: Operand, at: Location) -> Operand:
        """Return ``left and right`` or ``left or right``, `left` evaluated once."""
        if (is_truth(left) and is_truth(right)) or not (has_call(left) or isinstance(left, Select)):
            return either(op, left, right, at)
        bindings: list[Assign] = []
        value = typed(either(op, self._bound(left, bindings), right, at))
        return InlinedCall(op, tuple(bindings), (Result(value, at),), value.type, at)

    def visit_IfExp(self, node: ast.IfExp) -> Operand:
        condition, at = self.condition(node.test), self.text.location(node)
        return choice(condition, self.visit(node.body), self.visit(node.orelse), at)

    def visit_Compare(self, node: ast.Compare) -> Operand:
        for operator in node.ops:
            if type(operator) not in _COMPARE:
                sign = {ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in"}[type(operator)]
                raise Refusal(f"'{sign}' cannot be used in a kernel.", "Compare numbers with ==, !=, <, <=, > or >=.")
        operands = [self.visit(operand) for operand in (node.left, *node.comparators)]
        return self._chain(node.ops, operands, self.text.location(node))

    def _chain(self, operators: list[ast.cmpop], operands: list[Operand], at: Location) -> Operand:
        """Return a chain of comparisons, in which an operand between two of them is evaluated once."""
        left, middle, *others = operands
        if not others:
            return comparison(_COMPARE[type(operators[0])], left, middle, at)
        bindings: list[Assign] = []
        if has_call(middle):
            left, middle = (self._bound(operand, bindings) for operand in (left, middle))
        first = comparison(_COMPARE[type(operators[0])], left, middle, at)
        both = logic("and", [first, self._chain(operators[1:], [middle, *others], at)], at)
        if not bindings:
            return both
        return InlinedCall("comparison", tuple(bindings), (Result(typed(both), at),), bool_, at)

    def _bound(self, operand: Operand, bindings: list[Assign]) -> Operand:
        """Return `operand` as a local that one more of `bindings` gives a value; a literal stays one."""
        if isinstance(operand, Weak):
            return operand
        value = typed(operand)
        name = self.variables.temporary("once", value.type)
        bindings.append(Assign(name, value, value.at, declares=True))
        return Local(name, value.type, value.at)

    # --- calls ------------------------------------------------------------------------------------------

    def visit_Call(self, node: ast.Call) -> Operand:
        operand = self.call(node)
        if isinstance(operand, InlinedCall) and not operand.has_value:
            raise Refusal(f"'{operand.helper}' returns no value.", "Call it on a line of its own.")
        return operand

    def call(self, node: ast.Call) -> Operand:
        """Return the call `node`, which need not have a value."""
        try:
            return build_call(self, node)
        except Refusal as refusal:
            raise self.refused(node, refusal) from None
