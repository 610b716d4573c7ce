"""What the legaliser leaves for the printers: explicit arithmetic, and branches around what must not be evaluated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Logic
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.passes.legalise import legalise
from pytest_xdevice.kernel.traversal import children
from pytest_xdevice.kernel.traversal import expressions
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import i32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType
from pytest_xdevice.kernel.types import u32

from .drawn import expression_kernel
from .drawn import operations
from .drawn import TYPES
from .irbuild import array
from .irbuild import assign
from .irbuild import both
from .irbuild import call
from .irbuild import cast
from .irbuild import choose
from .irbuild import cmp
from .irbuild import const
from .irbuild import dimension
from .irbuild import either
from .irbuild import kernel
from .irbuild import load
from .irbuild import loop
from .irbuild import op
from .irbuild import parallel
from .irbuild import repeat
from .irbuild import scalar
from .irbuild import store
from .irbuild import unary
from .irbuild import var
from .irbuild import when

LEGAL = {
    "add", "sub", "mul", "div", "sdiv", "srem", "udiv", "urem", "and", "or", "xor", "shl", "ashr", "lshr", "fmod",
}  # fmt: skip


def legal(value: Expr, **locals: ScalarType) -> KernelIR:
    """Return the legal form of a kernel that stores `value`."""
    params = [scalar("x", value.type), scalar("y", value.type), array("a", value.type, "n")]
    params.append(array("r", value.type, 1, mode="out"))
    return legalise(kernel("k", params, store("r", const(0), value), **locals))


def every_expression(body: tuple[Stmt, ...]) -> Iterator[Expr]:
    pending = [expr for statement in walk(body) for expr in expressions(statement)]
    while pending:
        expr = pending.pop()
        yield expr
        pending += children(expr)


def operations_in(ir: KernelIR) -> list[str]:
    return sorted(expr.op for expr in every_expression(ir.body) if isinstance(expr, Binary))


def x_and_y(element: ScalarType) -> tuple[Local, Local]:
    return var("x", element), var("y", element)


def test_only_legal_forms_are_left() -> None:
    ir = legalise(expression_kernel([expr for each in TYPES for expr in operations(each)]))
    for expr in every_expression(ir.body):
        assert not isinstance(expr, Logic)
        assert not isinstance(expr, Binary) or expr.op in LEGAL
        assert not isinstance(expr, Unary) or (expr.op == "neg" and expr.type.is_float)
        assert not isinstance(expr, Call) or expr.arguments[0].type.is_float


def test_legal_ir_declares_every_temporary() -> None:
    ir = legalise(expression_kernel([expr for each in TYPES for expr in operations(each)]))
    assert {statement.name for statement in walk(ir.body) if isinstance(statement, Assign)} <= ir.locals.keys()
    used = {expr.name: expr.type for expr in every_expression(ir.body) if isinstance(expr, Local)}
    assert used.items() <= ir.locals.items()


def test_temporaries_keep_clear_of_names_in_use() -> None:
    x, _ = x_and_y(i32)
    ir = legal(op("mod", load("a", i32, const(0)), x), t0=i32)
    assert "t1" in ir.locals
    assert all(statement.name != "t0" for statement in walk(ir.body) if isinstance(statement, Assign))


@pytest.mark.parametrize("divisor", [2, 8, 1 << 20])
def test_a_power_of_two_divides_by_a_shift(divisor: int) -> None:
    x, _ = x_and_y(i32)
    assert operations_in(legal(op("floordiv", x, const(divisor, i32)))) == ["ashr"]
    assert operations_in(legal(op("mod", x, const(divisor, i32)))) == ["and"]


def test_a_constant_divisor_is_not_compared_with_zero() -> None:
    x, _ = x_and_y(i32)
    ir = legal(op("mod", x, const(3, i32)))
    compared = [expr for expr in every_expression(ir.body) if isinstance(expr, Compare)]
    assert [(expr.op, expr.left, expr.right) for expr in compared] == [("lt", var("t0", i32), const(0, i32))]


def test_an_unsigned_constant_divisor_divides_at_once() -> None:
    x, _ = x_and_y(u32)
    assert operations_in(legal(op("floordiv", x, const(7, u32)))) == ["udiv"]


def test_a_divisor_that_may_be_zero_is_replaced_before_the_instruction() -> None:
    x, y = x_and_y(i32)
    ir = legal(op("floordiv", x, y))
    (division,) = [expr for expr in every_expression(ir.body) if isinstance(expr, Binary) and expr.op == "sdiv"]
    assert isinstance(division.right, Local)
    (divisor,) = [s for s in walk(ir.body) if isinstance(s, Assign) and s.name == division.right.name]
    assert isinstance(divisor.value, Select)
    assert divisor.value.then == const(1, i32)


def test_a_constant_shift_needs_no_check() -> None:
    x, _ = x_and_y(i32)
    assert operations_in(legal(op("shl", x, const(3, i32)))) == ["shl"]
    assert operations_in(legal(op("shr", x, const(40, i32)))) == ["ashr"]
    assert operations_in(legal(op("shl", x, const(32, i32)))) == []


def test_an_operand_that_is_needed_twice_is_loaded_once() -> None:
    element = load("a", i32, const(0))
    ir = legal(call("max", element, op("mod", element, element)))
    assert sum(isinstance(expr, Load) for expr in every_expression(ir.body)) == 3


def test_a_choice_between_registers_stays_a_select() -> None:
    x, y = x_and_y(f32)
    (only,) = legal(choose(cmp("lt", x, y), op("mul", x, y), call("sqrt", y))).body
    assert isinstance(only, Store)
    assert isinstance(only.value, Select)


@pytest.mark.parametrize(
    "costly",
    [load("a", f32, const(5)), call("exp", var("x", f32)), op("mod", var("x", f32), var("y", f32))],
    ids=["load", "exp", "fmod"],
)
def test_a_choice_that_loads_or_costs_much_branches(costly: Expr) -> None:
    x, y = x_and_y(f32)
    branch, stored = legal(choose(cmp("lt", x, y), x, costly)).body
    assert isinstance(branch, If)
    assert isinstance(stored, Store)
    assert isinstance(stored.value, Local)
    assert not any(isinstance(expr, Select) and expr.otherwise == costly for expr in every_expression((stored,)))


def test_short_circuit_on_memory_nests_branches() -> None:
    i = var("i")
    positive = cmp("gt", load("a", i64, op("sub", i, const(1))), const(0))
    body = when(both(cmp("gt", i, const(0)), positive), store("a", i, const(7)))
    ir = legalise(kernel("k", [array("a", i64, "n", mode="inout")], parallel("i", dimension("n"), body), i=i64))
    (nest,) = ir.body
    assert isinstance(nest, Parallel)
    (outer,) = nest.body
    assert isinstance(outer, If)
    assert outer.condition == cmp("gt", i, const(0))
    assert isinstance(outer.then[0], If)


def test_a_while_condition_that_needs_statements_is_computed_in_each_iteration() -> None:
    i = var("i")
    condition = either(cmp("lt", i, const(3)), cmp("gt", load("a", i64, i), const(0)))
    body = assign("i", op("add", i, const(1)), declares=False)
    ir = legalise(kernel("k", [array("a", i64, "n")], assign("i", const(0)), repeat(condition, body), i=i64))
    (endless,) = [statement for statement in ir.body if isinstance(statement, While)]
    assert endless.condition == const(True, bool_)
    assert any(isinstance(statement, If) and statement.then for statement in endless.body)
    assert endless.body[-1] == body


@pytest.mark.parametrize("step", [const(2), const(-3), var("s"), const(0)])
def test_a_range_with_another_step_counts_its_iterations(step: Expr) -> None:
    body = store("r", const(0), var("i"))
    ir = kernel(
        "k", [array("r", i64, 1, mode="out"), scalar("s", i64)], loop("i", const(0), const(9), body, step=step), i=i64
    )
    (counted,) = [statement for statement in walk(legalise(ir).body) if isinstance(statement, For)]
    assert counted.step == const(1)
    assert counted.variable != "i"
    assert isinstance(counted.body[0], Assign)
    assert counted.body[0].name == "i"


def test_a_small_power_becomes_multiplications() -> None:
    x, _ = x_and_y(f32)
    assert operations_in(legal(op("pow", x, const(5.0, f32)))) == ["mul", "mul", "mul"]
    (only,) = legal(op("pow", x, const(0.0, f32))).body
    assert isinstance(only, Store)
    assert only.value == const(1.0, f32)


def test_casts_to_bool_compare_with_zero() -> None:
    condition = cast(var("x", f32), bool_)
    ir = legal(choose(condition, var("x", f32), unary("neg", var("x", f32))))
    (compared,) = [expr for expr in every_expression(ir.body) if isinstance(expr, Compare)]
    assert compared == cmp("ne", var("x", f32), const(0.0, f32))


def test_rounding_an_integer_changes_nothing() -> None:
    x, _ = x_and_y(i32)
    (only,) = legal(call("floor", x)).body
    assert isinstance(only, Store)
    assert only.value == x


def test_legalising_again_keeps_what_holds() -> None:
    x, y = x_and_y(i32)
    once = legal(op("add", op("floordiv", x, const(3, i32)), call("abs", y)))
    assert legalise(once) == once
    assert isinstance(once.body[-1], Store)
    assert not any(isinstance(expr, Const) and expr.type != i32 for expr in every_expression(once.body[:-1]))
