"""Short functions that build typed IR by hand, so that tests of the back end need no front end."""

from __future__ import annotations

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Cast
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import DimValue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Location
from pytest_xdevice.kernel.ir import Logic
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.signature import Param
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType

AT = Location(1, 0, 1)


def const(value: float, scalar: ScalarType = i64) -> Const:
    return Const(value, scalar, AT)


def var(name: str, scalar: ScalarType = i64) -> Local:
    return Local(name, scalar, AT)


def dimension(name: str) -> DimValue:
    return DimValue(name, i64, AT)


def load(array: str, scalar: ScalarType, *indices: Expr) -> Load:
    return Load(array, indices, scalar, AT)


def op(name: str, left: Expr, right: Expr) -> Binary:
    return Binary(name, left, right, left.type, AT)  # type: ignore[arg-type]


def unary(name: str, operand: Expr) -> Unary:
    return Unary(name, operand, operand.type, AT)  # type: ignore[arg-type]


def cmp(name: str, left: Expr, right: Expr) -> Compare:
    return Compare(name, left, right, bool_, AT)  # type: ignore[arg-type]


def both(left: Expr, right: Expr) -> Logic:
    return Logic("and", left, right, bool_, AT)


def either(left: Expr, right: Expr) -> Logic:
    return Logic("or", left, right, bool_, AT)


def choose(condition: Expr, then: Expr, otherwise: Expr) -> Select:
    return Select(condition, then, otherwise, then.type, AT)


def cast(operand: Expr, scalar: ScalarType) -> Cast:
    return Cast(operand, scalar, AT)


def call(function: str, *arguments: Expr, type: ScalarType | None = None) -> Call:
    return Call(function, arguments, type or arguments[0].type, AT)


def assign(name: str, value: Expr, *, declares: bool = True) -> Assign:
    return Assign(name, value, AT, declares)


def store(array: str, indices: Expr | tuple[Expr, ...], value: Expr) -> Store:
    return Store(array, indices if isinstance(indices, tuple) else (indices,), value, AT)


def when(condition: Expr, *then: Stmt, otherwise: tuple[Stmt, ...] = ()) -> If:
    return If(condition, then, otherwise, AT)


def loop(variable: str, start: Expr, stop: Expr, *body: Stmt, step: Expr | None = None) -> For:
    return For(variable, start, stop, step or const(1), body, AT)


def repeat(condition: Expr, *body: Stmt) -> While:
    return While(condition, body, AT)


def parallel(
    variables: str, extents: Expr | tuple[Expr, ...], *body: Stmt, block: tuple[int, ...] | None = None
) -> Parallel:
    extents = extents if isinstance(extents, tuple) else (extents,)
    return Parallel(tuple(variables.split()), extents, block, body, AT)


def array(name: str, element: ScalarType, *extents: str | int, mode: str = "in") -> Param:
    shape = tuple(Dim(extent) if isinstance(extent, str) else extent for extent in extents)
    return Param(name, ArrayType(element, shape, mode))  # type: ignore[arg-type]


def scalar(name: str, type: ScalarType) -> Param:
    return Param(name, type)


def kernel(name: str, params: list[Param], *body: Stmt, fast: tuple[str, ...] = (), **locals: ScalarType) -> KernelIR:
    """Return a kernel; `locals` gives the type of each local and loop variable."""
    return KernelIR(Signature(name, tuple(params)), locals, body, fast=frozenset(fast))
