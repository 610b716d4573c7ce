"""Statements of a kernel: Python's syntax tree in, typed IR out."""

from __future__ import annotations

import ast

from pytest_xdevice.kernel.constructs import ATOMICS
from pytest_xdevice.kernel.constructs import barrier
from pytest_xdevice.kernel.constructs import is_atomic
from pytest_xdevice.kernel.ir import Barrier
from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import Evaluate
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import InlinedCall
from pytest_xdevice.kernel.ir import Return
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.traversal import writes_memory

from .assignments import Assignments
from .atomics import read_atomic
from .loops import Loops
from .variables import meet


class Statements(Assignments, Loops):
    """Makes IR of the statements of a function."""

    def visit_If(self, node: ast.If) -> list[Stmt]:
        condition = self.expressions.truth(node.test)
        before = self.variables.assigned
        then = self.block(node.body)
        after_then = self.variables.assigned
        self.variables.assigned = before
        otherwise = self.block(node.orelse)
        self.variables.join(after_then, self.variables.assigned, node.lineno)
        return [If(condition, then, otherwise, self.text.location(node))]

    def visit_Break(self, node: ast.Break) -> list[Stmt]:
        paths = self.variables.loops[-1]
        if paths.parallel:
            raise self.text.error(
                node,
                "'break' in a parallel loop, whose iterations are independent.",
                "Write 'continue' to end one iteration.",
            )
        paths.breaks = meet(paths.breaks, self.variables.assigned)
        self.variables.assigned = None
        return [Break(self.text.location(node))]

    def visit_Continue(self, node: ast.Continue) -> list[Stmt]:
        paths = self.variables.loops[-1]
        paths.continues = meet(paths.continues, self.variables.assigned)
        self.variables.assigned = None
        return [Continue(self.text.location(node))]

    def visit_Return(self, node: ast.Return) -> list[Stmt]:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            raise self.text.error(node.value, "a kernel returns no value.", "Write it to an Out array.")
        if self.variables.in_parallel:
            raise self.text.error(
                node,
                "'return' in a parallel loop, whose iterations are independent.",
                "Write 'continue' to end one iteration.",
            )
        self.variables.assigned = None
        return [Return(self.text.location(node))]

    def visit_Pass(self, node: ast.Pass) -> list[Stmt]:
        return []

    def visit_Expr(self, node: ast.Expr) -> list[Stmt]:
        if isinstance(node.value, ast.Constant) and (isinstance(node.value.value, str) or node.value.value is ...):
            return []
        callee = self.expressions.called(node.value)
        if isinstance(node.value, ast.Call) and callee is barrier:
            return self._barrier(node.value)
        if isinstance(node.value, ast.Call) and is_atomic(callee):
            return [read_atomic(self, node.value, ATOMICS[callee], None)]
        if isinstance(node.value, ast.Call):
            call = self.expressions.call(node.value)
            if isinstance(call, InlinedCall) and (not call.has_value or writes_memory(call)):
                return [Evaluate(call, self.text.location(node))]
        else:
            self.expressions.visit(node.value)
        raise self.text.error(node, "this value is not used.", "Assign it, or remove the line.")

    def _barrier(self, call: ast.Call) -> list[Stmt]:
        if call.args or call.keywords:
            raise self.text.error(call, "barrier() takes nothing.", "Write barrier().")
        self.check_work_group(call, "barrier()")
        return [Barrier(self.text.location(call))]
