"""Statements of a kernel: from a Python function to the typed IR."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace
from types import FunctionType
from typing import Any
from typing import Final
from typing import Literal

from .atomics import ATOMICS
from .atomics import is_atomic
from .atomics import read_atomic
from .barriers import barrier
from .barriers import check_barriers
from .barriers import has_barrier
from .captured import Captured
from .expressions import Element
from .expressions import Expressions
from .expressions import has_call
from .ir import Assign
from .ir import AtomicOp
from .ir import Barrier
from .ir import Break
from .ir import Clear
from .ir import Const
from .ir import Continue
from .ir import Evaluate
from .ir import Expr
from .ir import For
from .ir import If
from .ir import InlinedCall
from .ir import KernelIR
from .ir import Local
from .ir import Location
from .ir import Parallel
from .ir import Return
from .ir import Stmt
from .ir import Store
from .ir import While
from .local_arrays import check_group
from .local_arrays import private
from .local_arrays import read_local_array
from .local_arrays import shared
from .nesting import check_nesting
from .parallel import parallel
from .parallel import ParallelRange
from .parallel import read_parallel
from .promote import arithmetic_type
from .promote import coerce
from .promote import default_type
from .promote import force
from .promote import Operand
from .promote import Refusal
from .promote import typed
from .promote import Weak
from .promote import WeakSelect
from .promote import widens
from .scope import Calls
from .scope import Scope
from .signature import Signature
from .source import read_source
from .traversal import writes_memory
from .types import ArrayType
from .types import i64
from .types import LocalArray
from .types import ScalarType
from .unsupported import advice_for
from .unsupported import describe
from .variables import LoopPaths
from .variables import meet
from .variables import Variables

_LOOP_ADVICE: Final = "Loop over 'range(...)' or 'parallel(...)', and index with the loop variable."


def build_ir(function: FunctionType, signature: Signature, captured: Captured, fast: frozenset[str]) -> KernelIR:
    """Return the typed IR of the kernel `function`.

    Raises
    ------
    KernelError
        At the first mistake in it.
    """
    text = read_source(function)
    check_nesting(text)
    code = function.__code__
    scope = Scope.of_kernel(signature)
    local_names = frozenset(code.co_varnames + code.co_cellvars) - set(scope.params)
    variables = Variables(frozenset(scope.params))
    calls = Calls(scope.dims, (function,))
    statements = Statements(Expressions(text, captured, scope, variables, local_names, calls))
    try:
        body = statements.block(text.node.body)
    except RecursionError:
        raise text.error(text.node, "this nests too deep for Python.", "Give parts of it to locals.") from None
    return KernelIR(signature, variables.types, body, text.filename, fast, variables.arrays)


class Statements:
    """Makes IR of the statements of a function, and keeps track of the paths through them."""

    def __init__(self, expressions: Expressions) -> None:
        self.text = expressions.text
        self.expressions = expressions
        self.variables = expressions.variables
        self.params = expressions.params
        # The parallel loop around this place: its statement, its work-group and the arrays that this shares.
        self._iteration: ast.For | None = None
        self._block: tuple[int, ...] | None = None
        self._shared: list[str] = []

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

    # --- assignments ------------------------------------------------------------------------------------

    def visit_Assign(self, node: ast.Assign) -> list[Stmt]:
        maker = self.expressions.called(node.value)
        if len(node.targets) == 1 and (maker is private or maker is shared):
            assert isinstance(node.value, ast.Call)
            return self._make_array(node, node.value, "private" if maker is private else "shared")
        if len(node.targets) == 1 and is_atomic(maker):
            assert isinstance(node.value, ast.Call)
            return self._atomic(node.targets[0], node.value, ATOMICS[maker])
        if len(node.targets) == 1 and not isinstance(node.targets[0], ast.Tuple):
            return self.assign(node.targets[0], self.expressions.visit(node.value), node.value)
        statements: list[Stmt] = []
        for target in node.targets:
            statements += self._unpack(target, node.value) if isinstance(target, ast.Tuple) else []
        if statements and len(node.targets) > 1:
            raise self.text.error(
                node, "a chain of assignments unpacks values.", "Write each assignment on its own line."
            )
        if statements:
            return statements
        return self._chain(node)

    def _chain(self, node: ast.Assign) -> list[Stmt]:
        """Return ``x = y = value``: the value is computed once, then assigned from left to right."""
        held, statements = self._hold("chain", self.expressions.visit(node.value), node.value)
        for target in node.targets:
            statements += self.assign(target, held, node.value)
        return statements

    def _unpack(self, target: ast.Tuple, value: ast.expr) -> list[Stmt]:
        """Return ``a, b = x, y``: all values are computed before the first is assigned."""
        if not isinstance(value, ast.Tuple) or len(value.elts) != len(target.elts):
            if isinstance(value, ast.Call):
                self.expressions.visit(value)  # says what it is, if a kernel cannot have it
            raise self.text.error(
                value, f"this is not {len(target.elts)} values for as many targets.", "Write one value for each target."
            )
        statements: list[Stmt] = []
        held: list[Operand] = []
        for name, element in zip(target.elts, value.elts, strict=True):
            label = name.id if isinstance(name, ast.Name) else "element"
            operand, made = self._hold(label, self.expressions.visit(element), element)
            held.append(operand)
            statements += made
        for name, operand, element in zip(target.elts, held, value.elts, strict=True):
            statements += self.assign(name, operand, element)
        return statements

    def _hold(self, label: str, operand: Operand, node: ast.expr) -> tuple[Operand, list[Stmt]]:
        """Return `operand` such that later assignments do not change it, and what that takes."""
        if isinstance(operand, (Weak, Const)):
            return operand, []
        value, at = typed(operand), self.text.location(node)
        name = self.variables.temporary(label, value.type)
        self.variables.mark(name)
        return Local(name, value.type, at), [Assign(name, value, at, declares=True)]

    def visit_AugAssign(self, node: ast.AugAssign) -> list[Stmt]:
        target = node.target
        if isinstance(target, ast.Name):
            self._check_name(target)
        at = self.text.location(node)
        if isinstance(target, ast.Subscript):
            return self._augment_element(target, node, at)
        current, value = self.expressions.visit(target), self.expressions.visit(node.value)
        result = self.expressions.binary(node.op, current, value, at)
        if isinstance(target, ast.Name):
            return [self._assign_local(target, result, node, arithmetic_type(default_type(value)))]
        return self.assign(target, result, node)

    def _augment_element(self, target: ast.Subscript, node: ast.AugAssign, at: Location) -> list[Stmt]:
        """Return ``a[i] += value``; an index that calls a helper is computed once."""
        element = self.element(target)
        statements: list[Stmt] = []
        for number, index in enumerate(element.indices):
            if has_call(index):
                held, made = self._hold("index", index, target)
                indices = (*element.indices[:number], typed(held), *element.indices[number + 1 :])
                element = replace(element, indices=indices)
                statements += made
        current = self.expressions.load(element, self.text.location(target))
        value = self.expressions.binary(node.op, current, self.expressions.visit(node.value), at)
        return [*statements, self._store(target, element, value, node)]

    def visit_AnnAssign(self, node: ast.AnnAssign) -> list[Stmt]:
        if not isinstance(node.target, ast.Name):
            raise self.text.error(node.target, "only a local can be annotated.", "Leave the annotation out.")
        type_ = self.expressions.resolve(node.annotation)
        if not isinstance(type_, ScalarType) or type_.name == "f16":
            raise self.text.error(node.annotation, "this is no type of a local.", "Write one such as f32 or i64.")
        if node.value is None:
            raise self.text.error(
                node, f"'{node.target.id}' is given a type and no value.", "Assign its first value here."
            )
        value = self.fitting(self.expressions.visit(node.value), type_, node.value, f"'{node.target.id}' is {type_}")
        known = self.variables.known_type(node.target.id)
        if known is not None and known != type_:
            raise self.text.error(node.annotation, f"'{node.target.id}' is {known} already.", "Use another name.")
        return self.assign(node.target, value, node.value)

    def assign(self, target: ast.expr, operand: Operand, node: ast.AST) -> list[Stmt]:
        """Return the assignment of `operand`, which `node` is, to a local or an element."""
        if isinstance(target, ast.Name):
            return [self._assign_local(target, operand, node)]
        if isinstance(target, ast.Subscript):
            return [self._store(target, self.element(target), operand, node)]
        if isinstance(target, ast.Attribute):
            raise self.text.error(target, "an attribute is assigned.", "Write to an element of an array parameter.")
        raise self.text.error(target, f"{describe(target)} cannot be assigned to.", "Assign to locals and elements.")

    def _atomic(self, target: ast.expr, call: ast.Call, op: AtomicOp) -> list[Stmt]:
        """Return ``target = atomic_add(...)``."""
        made = read_atomic(self, call, op, None)
        name = self.variables.temporary("old", made.type)
        self.variables.mark(name)
        taken = Local(name, made.type, made.at)
        return [replace(made, result=name), *self.assign(target, taken, call)]

    def _make_array(self, node: ast.Assign, call: ast.Call, space: Literal["private", "shared"]) -> list[Stmt]:
        target = node.targets[0]
        if not isinstance(target, ast.Name):
            raise self.text.error(target, "an array is given no name.", f"Write 'acc = {space}(f32, 8)'.")
        self._check_name(target)
        array = read_local_array(self.expressions, call, space)
        if space == "private":
            name = self.variables.declare_array(target.id, array, target.lineno)
            return [Clear(name, self.text.location(target))]
        self._work_group(call, "shared()")
        if self._iteration is None or node not in self._iteration.body:
            raise self.text.error(
                call, "shared() stands inside another statement.", "Put it at the top of the parallel loop's body."
            )
        self._shared.append(self.variables.declare_array(target.id, array, target.lineno))
        return []

    def _work_group(self, node: ast.expr, what: str) -> None:
        """Refuse `what` where there is no work-group."""
        if self._block is None:
            raise self.text.error(
                node, f"{what} belongs to a work-group.", "Use it in a loop over parallel(..., block=...)."
            )

    def _barrier(self, call: ast.Call) -> list[Stmt]:
        if call.args or call.keywords:
            raise self.text.error(call, "barrier() takes nothing.", "Write barrier().")
        self._work_group(call, "barrier()")
        return [Barrier(self.text.location(call))]

    def _check_name(self, target: ast.Name) -> None:
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

    def _assign_local(self, target: ast.Name, operand: Operand, node: ast.AST, added: ScalarType | None = None) -> Stmt:
        """Return the assignment of `operand` to a local: what it was, and something of the type `added` to it."""
        self._check_name(target)
        at = self.text.location(target)
        try:
            name, first = self.variables.declare(target.id, arithmetic_type(default_type(operand)), at.line)
        except Refusal as refusal:
            raise self.text.error(target, refusal.message, refusal.advice) from None
        type_, line = self.variables.types[name], self.variables.first_lines[name]
        found = arithmetic_type(default_type(operand))
        start = added if added is not None and added.is_float else found
        advice = f"Start with {start}(...) on line {line}, or write {type_}(...) around this value."
        value = self.fitting(operand, type_, node, f"'{target.id}' is {type_} since line {line}", advice)
        self.variables.mark(name)
        return Assign(name, value, at, first)

    def element(self, target: ast.Subscript) -> Element:
        """Return the element that is written to."""
        try:
            return self.expressions.element(target)
        except Refusal as refusal:
            raise self.text.error(target, refusal.message, refusal.advice) from None

    def _store(self, target: ast.Subscript, element: Element, operand: Operand, node: ast.AST) -> Stmt:
        type_ = element.type
        if isinstance(type_, ArrayType) and type_.mode == "in":
            raise self.text.error(
                target, f"'{element.name}' is an In array and is written.", f"Annotate it as {_out(type_)} instead."
            )
        value = self.fitting(operand, type_.element, node, f"'{element.name}' holds {type_.element}")
        return Store(element.array, element.indices, value, self.text.location(target))

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

    # --- branches and loops -----------------------------------------------------------------------------

    def visit_If(self, node: ast.If) -> list[Stmt]:
        condition = self.expressions.truth(node.test)
        before = self.variables.assigned
        then = self.block(node.body)
        after_then = self.variables.assigned
        self.variables.assigned = before
        otherwise = self.block(node.orelse)
        self.variables.join(after_then, self.variables.assigned, node.lineno)
        return [If(condition, then, otherwise, self.text.location(node))]

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
        self._check_name(target)
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
        targets = node.target.elts if isinstance(node.target, ast.Tuple) else [node.target]
        if len(targets) != len(loop.axes) or not all(isinstance(target, ast.Name) for target in targets):
            raise self.text.error(
                node.target, f"parallel() gives {len(loop.axes)} number{'s'[: len(loop.axes) > 1]} here.",
                f"Write 'for {', '.join('ijk'[: len(loop.axes)])} in parallel(...)'.",
            )  # fmt: skip
        before = self.variables.assigned
        self.variables.enter_parallel()
        names = tuple(self._loop_variable(target) for target in targets if isinstance(target, ast.Name))
        if len(set(names)) < len(names):
            raise self.text.error(
                node.target, "two variables of one loop have the same name.", "Name them differently."
            )
        for name in names:
            self.variables.mark(name)
        self.variables.running.update(names)
        self._iteration, self._block, self._shared = node, loop.block, []
        _, body = self._body(node, node.body, parallel_loop=True)
        self.variables.running.difference_update(names)
        made = self._parallel_loop(names, loop, body, self.text.location(node))
        self._check_group(made, call)
        self._iteration = self._block = None
        self.variables.assigned = before
        self.variables.leave_parallel(node.lineno)
        return made

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
        return Parallel(tuple(variables), tuple(stops), loop.block, body, at, first, shared=tuple(self._shared))

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

    # --- jumps and the rest -----------------------------------------------------------------------------

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


def _surely_runs(start: Expr, stop: Expr, step: Expr) -> bool:
    """Say whether a range loop is known to have an iteration."""
    if isinstance(start, Const) and isinstance(stop, Const) and isinstance(step, Const):
        return len(range(int(start.value), int(stop.value), int(step.value))) > 0
    return False


def _out(type_: ArrayType) -> str:
    inner = repr(type_)[len("In") :]
    return f"Out{inner} or InOut{inner}"
