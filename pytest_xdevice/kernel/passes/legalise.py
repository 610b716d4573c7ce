"""Rewrite the typed IR so that printers only spell: one operation of the result for one of the hardware.

What changes: calls of helper functions become their statements; short-circuit logic, and choices whose branches touch
memory or cost much, become `If` statements on a temporary; division, shifts, extrema and powers get the language's
meaning from plain operations; a `range` loop steps by 1 or -1. What stays: `Select` as an eager choice, `Cast` with
the language's saturation, loops.
Legalising twice changes no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Atomic
from pytest_xdevice.kernel.ir import Barrier
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Cast
from pytest_xdevice.kernel.ir import Clear
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import DimValue
from pytest_xdevice.kernel.ir import Evaluate
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import InlinedCall
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Logic
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Result
from pytest_xdevice.kernel.ir import Return
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.traversal import children
from pytest_xdevice.kernel.traversal import expressions
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.traversal import writes_memory
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f16
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.kernel.types import u64

from .arithmetic import binary
from .arithmetic import compare
from .arithmetic import constant
from .arithmetic import float_division
from .arithmetic import integer_abs
from .arithmetic import integer_division
from .arithmetic import integer_extremum
from .arithmetic import invert
from .arithmetic import negate
from .arithmetic import power
from .arithmetic import select
from .arithmetic import shift
from .returns import gives_result
from .returns import without_results

_MOST: Final = (1 << 63) - 1  # of an i64
# Calls that take a few instructions: evaluating one in vain costs less than a branch around it.
_CHEAP_CALLS: Final = frozenset(
    {"abs", "ceil", "copysign", "floor", "isfinite", "isinf", "isnan", "max", "min", "round", "sqrt", "trunc"}
)


def legalise(ir: KernelIR) -> KernelIR:
    """Return `ir` with the meaning of every node made explicit; see the module's first lines for what is legal."""
    legaliser = _Legaliser(ir)
    body = legaliser.block(ir.body)
    return replace(ir, body=body, locals=legaliser.locals)


def is_cheap(expr: Expr) -> bool:
    """Tell whether `expr` may be evaluated in vain: it touches no memory and costs about as much as a branch."""
    if isinstance(expr, Load) or (isinstance(expr, Call) and expr.function not in _CHEAP_CALLS):
        return False
    if isinstance(expr, Binary) and expr.op in ("floordiv", "mod", "pow", "fmod") and expr.type.is_float:
        return False
    if isinstance(expr, InlinedCall):  # in a straight line
        return all(
            isinstance(statement, (Assign, Result)) and all(map(is_cheap, expressions(statement)))
            for statement in (*expr.bindings, *expr.body)
        )
    return all(is_cheap(child) for child in children(expr))


class _Legaliser:
    """Rewrites one kernel; `_pending` holds the statements that the expression at hand needs before it."""

    def __init__(self, ir: KernelIR) -> None:
        self.locals = dict(ir.locals)
        self._taken = {*ir.locals, *ir.signature.dims, *(param.name for param in ir.signature.params)}
        self._temporaries = 0
        self._pending: list[Stmt] = []
        self._calls_write = any(map(writes_memory, (e for s in walk(ir.body) for e in expressions(s))))
        self._statements: dict[type, Callable[..., Iterable[Stmt]]] = {
            Assign: self._assign, Store: self._store, Atomic: self._atomic, Clear: _unchanged, Barrier: _unchanged,
            If: self._if, While: self._while, For: self._for, Parallel: self._parallel, Break: _unchanged,
            Continue: _unchanged, Return: _unchanged, Evaluate: self._evaluate,
        }  # fmt: skip
        self._expressions: dict[type, Callable[..., Expr]] = {
            Const: _leaf, Local: _leaf, DimValue: _leaf, Load: self._load, Unary: self._unary, Binary: self._binary,
            Compare: self._compare, Logic: self._logic, Select: self._select, Cast: self._cast, Call: self._call,
            InlinedCall: self._inlined_call,
        }  # fmt: skip

    # --- statements --------------------------------------------------------------------------------------

    def block(self, statements: Iterable[Stmt]) -> tuple[Stmt, ...]:
        """Return the legal form of a run of statements."""
        outer, self._pending = self._pending, []
        legal: list[Stmt] = []
        for statement in statements:
            rewritten = list(self._statements[type(statement)](statement))
            legal += [*self._take(), *rewritten]
        self._pending = outer
        return tuple(legal)

    def _take(self) -> list[Stmt]:
        taken, self._pending = self._pending, []
        return taken

    def _assign(self, statement: Assign) -> Iterable[Stmt]:
        return [replace(statement, value=self._expr(statement.value))]

    def _store(self, statement: Store) -> Iterable[Stmt]:
        if not self._calls_write:
            indices = tuple(map(self._expr, statement.indices))
            return [replace(statement, indices=indices, value=self._expr(statement.value))]
        value, *places = self._operands(statement.value, *statement.indices)
        return [replace(statement, indices=tuple(places), value=value)]

    def _evaluate(self, statement: Evaluate) -> Iterable[Stmt]:
        self._expr(statement.call)
        return []

    def _atomic(self, statement: Atomic) -> Iterable[Stmt]:
        count = len(statement.indices)
        legal = tuple(self._operands(*statement.indices, *statement.operands))
        return [replace(statement, indices=legal[:count], operands=legal[count:])]

    def _if(self, statement: If) -> Iterable[Stmt]:
        condition = statement.condition
        if isinstance(condition, Logic) and condition.op == "and" and not statement.otherwise:
            inner = replace(statement, condition=condition.right)
            if not is_cheap(condition.right):
                return self._if(replace(statement, condition=condition.left, then=(inner,)))
        legal = self._expr(condition)
        return [
            replace(
                statement,
                condition=legal,
                then=self.block(statement.then),
                otherwise=self.block(statement.otherwise),
            )
        ]

    def _while(self, statement: While) -> Iterable[Stmt]:
        condition = self._expr(statement.condition)
        before = self._take()
        body = self.block(statement.body)
        if not before:
            return [While(condition, body, statement.at)]
        # What the condition needs is computed anew in each iteration.
        leave = If(invert(condition), (Break(statement.at),), (), statement.at)
        return [While(Const(True, bool_, statement.at), (*before, leave, *body), statement.at)]

    def _for(self, statement: For) -> Iterable[Stmt]:
        start, stop, step = self._operands(statement.start, statement.stop, statement.step)
        if isinstance(step, Const) and step.value in (1, -1):
            bounds = self._take()
            return [*bounds, replace(statement, start=start, stop=stop, step=step, body=self.block(statement.body))]
        start, step = self._once(start), self._once(step)
        trips = self._trips(start, self._once(stop), step)
        counter = Local(self._fresh(i64), i64, statement.at)
        bounds = self._take()
        value = binary("add", start, binary("mul", counter, step))
        body = (Assign(statement.variable, value, statement.at, declares=True), *self.block(statement.body))
        return [*bounds, For(counter.name, constant(0, start), trips, constant(1, start), body, statement.at)]

    def _trips(self, start: Expr, stop: Expr, step: Expr) -> Expr:
        """Return how many values ``range(start, stop, step)`` has; nothing in it overflows."""
        if isinstance(step, Const):
            if step.value == 0:
                return constant(0, step)
            if isinstance(start, Const) and 0 <= start.value < _MOST and step.value > 0:
                return self._steps_up(start, stop, step)
            upwards = step.value > 0
            return self._steps(start, stop, Const(abs(step.value), u64, step.at), upwards)
        zero = constant(0, step)
        # A step of 0 runs no iteration; 1 stands in for it so that the division does not trap.
        stride = self._once(Cast(select(compare("eq", step, zero), constant(1, step), step), u64, step.at))
        up = self._steps(start, stop, stride, upwards=True)
        down = self._steps(start, stop, negate(stride), upwards=False)
        return select(compare("gt", step, zero), up, select(compare("lt", step, zero), down, zero))

    def _steps_up(self, start: Const, stop: Expr, step: Const) -> Expr:
        """Return the trips of the usual loop, whose span fits an i64: it starts at a constant of 0 or more."""
        span = binary("sub", stop, constant(int(start.value) + 1, start))
        trips = binary("add", binary("sdiv", span, step), constant(1, start))
        return select(compare("gt", stop, start), trips, constant(0, start))

    def _steps(self, start: Expr, stop: Expr, stride: Expr, upwards: bool) -> Expr:
        low, high = (start, stop) if upwards else (stop, start)
        one = Const(1, u64, start.at)
        span = binary("sub", binary("sub", Cast(high, u64, high.at), Cast(low, u64, low.at)), one)
        # Twice as many values fit in a range as the counter can count, but no loop lives to see the difference.
        most = Const(_MOST - 1, u64, start.at)
        steps = integer_extremum("min", binary("udiv", span, stride), most, self._once)
        count = Cast(binary("add", steps, one), i64, start.at)
        return select(compare("lt", low, high), count, constant(0, start))

    def _parallel(self, statement: Parallel) -> Iterable[Stmt]:
        starts, extents = (tuple(map(self._expr, part)) for part in (statement.starts, statement.extents))
        before = self._take()
        return [*before, replace(statement, starts=starts, extents=extents, body=self.block(statement.body))]

    # --- expressions -------------------------------------------------------------------------------------

    def _expr(self, expr: Expr) -> Expr:
        return self._expressions[type(expr)](expr)

    def _operands(self, *operands: Expr) -> list[Expr]:
        """Return the legal form of operands that are evaluated from left to right."""
        if not self._calls_write:
            return [self._expr(operand) for operand in operands]
        last = max((number for number, operand in enumerate(operands) if writes_memory(operand)), default=0)
        # What is written later must not change what was read before.
        return [
            self._once(self._expr(operand)) if number < last else self._expr(operand)
            for number, operand in enumerate(operands)
        ]

    def _inlined_call(self, expr: InlinedCall) -> Expr:
        for binding in expr.bindings:
            value = self._expr(binding.value)
            self._pending.append(replace(binding, value=value))
        last = expr.body[-1] if expr.body else None
        if isinstance(last, Result) and last.value is not None and not gives_result(expr.body[:-1]):
            self._pending += self.block(expr.body[:-1])
            return self._expr(last.value)
        result = self._fresh(expr.type) if expr.has_value else ""
        self._pending += self.block(without_results(expr.body, result, lambda: self._fresh(bool_)))
        return Local(result, expr.type, expr.at) if expr.has_value else Const(False, bool_, expr.at)

    def _fresh(self, scalar: ScalarType) -> str:
        """Return the name of a new local of type `scalar`."""
        while True:
            name = f"t{self._temporaries}"
            self._temporaries += 1
            if name not in self._taken:
                self.locals[name] = scalar
                return name

    def _once(self, expr: Expr) -> Expr:
        """Return something equal to `expr` that may stand in several places."""
        if isinstance(expr, (Const, Local, DimValue)):
            return expr
        name = self._fresh(expr.type)
        self._pending.append(Assign(name, expr, expr.at, declares=True))
        return Local(name, expr.type, expr.at)

    def _captured(self, expr: Expr) -> tuple[list[Stmt], Expr]:
        """Return the legal form of `expr` with the statements that it needs before it."""
        outer, self._pending = self._pending, []
        legal = self._expr(expr)
        inner, self._pending = self._pending, outer
        return inner, legal

    def _branch(self, condition: Expr, then: Expr, otherwise: Expr) -> Expr:
        """Return a temporary that an `If` gives the value of the chosen branch."""
        name = self._fresh(then.type)
        legal = self._expr(condition)
        arms: list[tuple[Stmt, ...]] = []
        for arm in (then, otherwise):
            before, value = self._captured(arm)
            arms.append((*before, Assign(name, value, arm.at, declares=not arms)))
        self._pending.append(If(legal, arms[0], arms[1], condition.at))
        return Local(name, then.type, then.at)

    def _load(self, expr: Load) -> Expr:
        return replace(expr, indices=tuple(self._operands(*expr.indices)))

    def _unary(self, expr: Unary) -> Expr:
        operand = self._expr(expr.operand)
        return negate(operand) if expr.op == "neg" else invert(operand)

    def _binary(self, expr: Binary) -> Expr:
        if expr.op == "pow" and isinstance(expr.right, Const):  # a small whole number, says the front end
            return power(self._expr(expr.left), int(expr.right.value), self._once)
        left, right = self._operands(expr.left, expr.right)
        if expr.op in ("floordiv", "mod"):
            divide = float_division if expr.type.is_float else integer_division
            return divide(expr.op, left, right, self._once)
        if expr.op in ("shl", "shr"):
            return shift(expr.op, left, right, self._once)
        return binary(expr.op, left, right)

    def _compare(self, expr: Compare) -> Expr:
        left, right = self._operands(expr.left, expr.right)
        return compare(expr.op, left, right)

    def _logic(self, expr: Logic) -> Expr:
        if is_cheap(expr.right):
            return binary(expr.op, self._expr(expr.left), self._expr(expr.right))
        decided = Const(expr.op == "or", bool_, expr.at)
        arms = (expr.right, decided) if expr.op == "and" else (decided, expr.right)
        return self._branch(expr.left, *arms)

    def _select(self, expr: Select) -> Expr:
        if not (is_cheap(expr.then) and is_cheap(expr.otherwise)):
            return self._branch(expr.condition, expr.then, expr.otherwise)
        return select(self._expr(expr.condition), self._expr(expr.then), self._expr(expr.otherwise))

    def _cast(self, expr: Cast) -> Expr:
        operand = self._expr(expr.operand)
        if operand.type == expr.type:
            return operand
        if expr.type == bool_:
            number = Cast(operand, f32, expr.at) if operand.type == f16 else operand
            return compare("ne", number, constant(0, number))
        return Cast(operand, expr.type, expr.at)

    def _call(self, expr: Call) -> Expr:
        arguments = tuple(self._operands(*expr.arguments))
        if expr.function == "fmod":
            return binary("fmod", *arguments)
        if not arguments[0].type.is_float:
            if expr.function in ("min", "max"):
                return integer_extremum(expr.function, arguments[0], arguments[1], self._once)
            return integer_abs(arguments[0], self._once) if expr.function == "abs" else arguments[0]
        return replace(expr, arguments=arguments)


def _unchanged(statement: Stmt) -> Iterable[Stmt]:
    return [statement]


def _leaf(expr: Expr) -> Expr:
    return expr
