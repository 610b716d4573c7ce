"""Loops in a kernel: `while`, `range` and `parallel`."""

from __future__ import annotations

import ast
import math
from dataclasses import replace
from typing import Final

from pytest_xdevice.kernel.constructs import parallel
from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.traversal import has_barrier
from pytest_xdevice.kernel.types import i64

from .barriers import check_barriers
from .block import Block
from .block import ParallelLoop
from .local_memory import check_group
from .parallel_ranges import ParallelRange
from .parallel_ranges import read_parallel
from .promote import force
from .promote import Refusal
from .variables import LoopPaths
from .variables import meet

_LOOP_ADVICE: Final = "Loop over 'range(...)' or 'parallel(...)', and index with the loop variable."


class Loops(Block):
    """Makes IR of loops."""

    def visit_While(self, node: ast.While) -> list[Stmt]:
        self._no_else(node)
        condition = self.expressions.truth(node.test)
        before = self.variables.assigned
        paths, body = self._body(node, node.body)
        if isinstance(condition, Const) and condition.value:
            self.variables.join(None, paths.breaks, node.lineno)
        else:
            ended = meet(self.variables.assigned, paths.continues)
            self.variables.join(before, meet(ended, paths.breaks), node.lineno)
        return [While(condition, body, self.text.location(node))]

    def visit_For(self, node: ast.For) -> list[Stmt]:
        self._no_else(node)
        call = node.iter
        callee = self.expressions.called(call)
        if callee is range:
            assert isinstance(call, ast.Call)
            return [self._range(node, call)]
        if callee is parallel:
            assert isinstance(call, ast.Call)
            return [self._parallel(node, call)]
        raise self.text.error(call, "this cannot be looped over in a kernel.", _LOOP_ADVICE)

    def _range(self, node: ast.For, call: ast.Call) -> Stmt:
        if not isinstance(node.target, ast.Name):
            raise self.text.error(node.target, "a range loop has one variable.", "Write 'for i in range(...)'.")
        start, stop, step = self._bounds(call)
        before = self.variables.assigned
        variable = self._loop_variable(node.target)
        self.variables.mark(variable)
        self.variables.running.add(variable)
        paths, body = self._body(node, node.body)
        self.variables.running.discard(variable)
        ended = meet(self.variables.assigned, paths.continues)
        if _surely_runs(start, stop, step):
            self.variables.join(ended, paths.breaks, node.lineno)
        else:
            self.variables.join(before, meet(ended, paths.breaks), node.lineno)
        return For(variable, start, stop, step, body, self.text.location(node))

    def _bounds(self, call: ast.Call) -> tuple[Expr, Expr, Expr]:
        if call.keywords or not 1 <= len(call.args) <= 3:
            raise self.text.error(
                call, "range() takes 1 to 3 numbers.", "Write range(stop), or range(start, stop, step)."
            )
        values = [self._whole(argument) for argument in call.args]
        at = self.text.location(call)
        if len(values) == 1:
            values.insert(0, Const(0, i64, at))
        if len(values) == 2:
            values.append(Const(1, i64, at))
        start, stop, step = values
        if isinstance(step, Const) and step.value == 0:
            raise self.text.error(call.args[2], "the step of range() is 0.", "Write a positive or negative step.")
        return start, stop, step

    def _whole(self, node: ast.expr) -> Expr:
        value = self.expressions.typed(node)
        if not value.type.is_integer:
            raise self.text.error(node, f"range() takes integers, and this is {value.type}.", "Cast it: i64(x).")
        return force(value, i64)

    def _loop_variable(self, target: ast.Name) -> str:
        self.check_name(target)
        try:
            name, _ = self.variables.declare(target.id, i64, target.lineno, loop=True)
        except Refusal as refusal:
            raise self.text.error(target, refusal.message, refusal.advice) from None
        if self.variables.types[name] != i64:
            raise self.text.error(
                target,
                f"'{target.id}' is {self.variables.types[name]}, and a loop variable is i64.",
                "Use another name.",
            )
        return name

    def _parallel(self, node: ast.For, call: ast.Call) -> Stmt:
        if self.variables.in_parallel or self.variables.loops or node not in self.text.node.body:
            raise self.text.error(
                node,
                "a parallel loop stands inside another statement.",
                "Put it at the top level, and use 'range' inside.",
            )
        loop = read_parallel(self.expressions, call)
        targets = self._targets(node.target, len(loop.axes))
        before = self.variables.assigned
        self.variables.enter_parallel()
        names = tuple(map(self._loop_variable, targets))
        if len(set(names)) < len(names):
            raise self.text.error(
                node.target, "two variables of one loop have the same name.", "Name them differently."
            )
        for name in names:
            self.variables.mark(name)
        self.variables.running.update(names)
        around = self.loop = ParallelLoop(node, loop.block)
        _, body = self._body(node, node.body, parallel_loop=True)
        self.variables.running.difference_update(names)
        made = replace(self._parallel_loop(names, loop, body, self.text.location(node)), shared=tuple(around.shared))
        self._check_group(made, call)
        self.loop = None
        self.variables.assigned = before
        self.variables.leave_parallel(node.lineno)
        return made

    def _targets(self, target: ast.expr, count: int) -> list[ast.Name]:
        """Return the variables of a loop over `count` of them."""
        targets = target.elts if isinstance(target, ast.Tuple) else [target]
        named = [each for each in targets if isinstance(each, ast.Name)]
        if not len(named) == len(targets) == count:
            raise self.text.error(
                target, f"parallel() gives {count} number{'s'[: count > 1]} here.",
                f"Write 'for {', '.join('ijk'[:count])} in parallel(...)'.",
            )  # fmt: skip
        return named

    def _check_group(self, loop: Parallel, call: ast.Call) -> None:
        """Refuse a work-group that is too large, or whose items may not all come to a barrier."""
        if loop.block is None or not (loop.shared or has_barrier(loop.body)):
            return
        try:
            check_group(math.prod(loop.block), self.variables.private_bytes)
        except Refusal as refusal:
            raise self.text.error(call, refusal.message, refusal.advice) from None
        check_barriers(self.text, loop, self.variables.arrays)

    def _parallel_loop(
        self, names: tuple[str, ...], loop: ParallelRange, body: tuple[Stmt, ...], at: Location
    ) -> Parallel:
        """Return the loop over `names`; an axis with a step is counted by a hidden variable instead."""
        variables, starts, stops, values = [], [], [], []
        for name, axis in zip(names, loop.axes, strict=True):
            if axis.step == 1:
                variables.append(name)
                starts.append(axis.start)
                stops.append(axis.stop)
            else:
                position = Local(self.variables.temporary(name, i64), i64, at)
                variables.append(position.name)
                starts.append(Const(0, i64, at))
                stops.append(axis.count)
                values.append(Assign(name, axis.value(position), at, declares=True))
        from_zero = all(isinstance(start, Const) and start.value == 0 for start in starts)
        first = () if from_zero else tuple(starts)
        body = (*values, *body)
        return Parallel(tuple(variables), tuple(stops), loop.block, body, at, first)

    def _body(
        self, node: ast.stmt, nodes: list[ast.stmt], *, parallel_loop: bool = False
    ) -> tuple[LoopPaths, tuple[Stmt, ...]]:
        paths = LoopPaths(node.lineno, parallel_loop)
        self.variables.loops.append(paths)
        body = self.block(nodes)
        self.variables.loops.pop()
        return paths, body

    def _no_else(self, node: ast.For | ast.While) -> None:
        if node.orelse:
            word = "for" if isinstance(node, ast.For) else "while"
            raise self.text.error(
                node.orelse[0],
                f"a '{word}' loop has an 'else'.",
                "Set a local before 'break', and test it after the loop.",
            )


def _surely_runs(start: Expr, stop: Expr, step: Expr) -> bool:
    """Say whether a range loop is known to have an iteration."""
    if isinstance(start, Const) and isinstance(stop, Const) and isinstance(step, Const):
        return len(range(int(start.value), int(stop.value), int(step.value))) > 0
    return False
