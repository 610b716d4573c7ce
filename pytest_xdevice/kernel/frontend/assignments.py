"""Assignments in a kernel: to locals and elements, of values, arrays and what atomic operations find."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Literal

from pytest_xdevice.kernel.constructs import ATOMICS
from pytest_xdevice.kernel.constructs import is_atomic
from pytest_xdevice.kernel.constructs import private
from pytest_xdevice.kernel.constructs import shared
from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import AtomicOp
from pytest_xdevice.kernel.ir import Clear
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import ScalarType

from .atomics import read_atomic
from .block import Block
from .elements import Element
from .local_arrays import read_local_array
from .operators import has_call
from .promote import arithmetic_type
from .promote import default_type
from .promote import Operand
from .promote import Refusal
from .promote import typed
from .promote import Weak
from .unsupported import describe


class Assignments(Block):
    """Makes IR of assignments."""

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
            self.check_name(target)
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

    def _assign_local(self, target: ast.Name, operand: Operand, node: ast.AST, added: ScalarType | None = None) -> Stmt:
        """Return the assignment of `operand` to a local: what it was, and something of the type `added` to it."""
        self.check_name(target)
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

    def _store(self, target: ast.Subscript, element: Element, operand: Operand, node: ast.AST) -> Stmt:
        type_ = element.type
        if isinstance(type_, ArrayType) and type_.mode == "in":
            raise self.text.error(
                target, f"'{element.name}' is an In array and is written.", f"Annotate it as {_out(type_)} instead."
            )
        value = self.fitting(operand, type_.element, node, f"'{element.name}' holds {type_.element}")
        return Store(element.array, element.indices, value, self.text.location(target))

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
        self.check_name(target)
        array = read_local_array(self.expressions, call, space)
        if space == "private":
            name = self.variables.declare_array(target.id, array, target.lineno)
            return [Clear(name, self.text.location(target))]
        self.check_work_group(call, "shared()")
        if self.loop is None or node not in self.loop.statement.body:
            raise self.text.error(
                call, "shared() stands inside another statement.", "Put it at the top of the parallel loop's body."
            )
        self.loop.shared.append(self.variables.declare_array(target.id, array, target.lineno))
        return []


def _out(type_: ArrayType) -> str:
    inner = repr(type_)[len("In") :]
    return f"Out{inner} or InOut{inner}"
