"""How the front end reads the arguments of `parallel(...)`, the loop whose iterations are independent."""

from __future__ import annotations

import ast
import operator
from dataclasses import dataclass
from typing import Any
from typing import Final

from pytest_xdevice.kernel.errors import KernelError
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Cast
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import DimValue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Unary
from pytest_xdevice.kernel.types import i64

from .names import Names
from .promote import force

_LARGEST_BLOCK: Final = 1024
_OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "floordiv", ast.Mod: "mod",
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """The values of one variable: ``range(start, stop, step)``, with bounds that are i64 and a step that is not 0."""

    start: Expr
    stop: Expr
    step: int

    @property
    def count(self) -> Expr:
        """How many values there are, or a number below 1 for none."""
        if self.step > 0:
            return _quotient(self.stop, self.start, self.step)
        return _quotient(self.start, self.stop, -self.step)

    def value(self, position: Expr) -> Expr:
        """Return the value at a position, which is counted from 0."""
        offset = Binary("mul", position, Const(self.step, i64, position.at), i64, position.at)
        return Binary("add", self.start, offset, i64, position.at)


def _quotient(high: Expr, low: Expr, step: int) -> Expr:
    """Return ``(high - low) / step``, rounded up."""
    span = Binary("sub", high, low, i64, high.at)
    if step == 1:
        return span
    padded = Binary("add", span, Const(step - 1, i64, high.at), i64, high.at)
    return Binary("floordiv", padded, Const(step, i64, high.at), i64, high.at)


@dataclass(frozen=True)
class ParallelRange:
    """The arguments of one `parallel(...)`."""

    axes: tuple[Axis, ...]
    block: tuple[int, ...] | None


def read_parallel(names: Names, call: ast.Call) -> ParallelRange:
    """Return what the arguments of ``parallel(...)`` say.

    Raises
    ------
    KernelError
        If they are not what a launch can compute before it starts.
    """
    if not 1 <= len(call.args) <= 3:
        raise names.text.error(
            call, f"parallel() takes 1 to 3 extents, and got {len(call.args)}.", "Put a 'range' loop inside for more."
        )
    block = None
    for keyword in call.keywords:
        if keyword.arg != "block":
            raise names.text.error(keyword, f"parallel() has no argument '{keyword.arg}'.", "It has 'block'.")
        block = _block(names, keyword.value, len(call.args))
    return ParallelRange(tuple(_axis(names, argument) for argument in call.args), block)


def _axis(names: Names, node: ast.expr) -> Axis:
    """Return what an argument says: an extent, or a range."""
    at = names.text.location(node)
    if names.called(node) is not range:
        return Axis(Const(0, i64, at), _extent(names, node), 1)
    assert isinstance(node, ast.Call)
    if node.keywords or not 1 <= len(node.args) <= 3:
        raise names.text.error(node, "range() takes 1 to 3 numbers.", "Write range(stop), or range(start, stop, step).")
    bounds = [_extent(names, argument) for argument in node.args[:2]]
    start, stop = bounds if len(bounds) == 2 else (Const(0, i64, at), *bounds)
    return Axis(start, stop, _step(names, node.args[2]) if len(node.args) == 3 else 1)


def _step(names: Names, node: ast.expr) -> int:
    step = getattr(names.visit(node), "value", None)
    if type(step) is not int:
        raise names.text.error(
            node,
            "the step of a range in parallel() is no constant integer.",
            "Write a literal or a name from outside, or compute the element from a loop of step 1.",
        )
    if step == 0:
        raise names.text.error(node, "the step of range() is 0.", "Write a positive or negative step.")
    return step


def _block(names: Names, node: ast.expr, count: int) -> tuple[int, ...] | None:
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if names.is_outside(node):
        sizes = names.resolve(node)
        parts = list(sizes) if isinstance(sizes, tuple) else [sizes]
    else:
        nodes = node.elts if isinstance(node, ast.Tuple) else [node]
        parts = [getattr(names.visit(part), "value", None) for part in nodes]
    if len(parts) != count:
        example = ", ".join(["8"] * count)
        wanted = f"({example})" if count > 1 else "32"
        raise names.text.error(
            node,
            f"block has {len(parts)} size{'s'[: len(parts) != 1]} for {count} extent{'s'[: count != 1]}.",
            f"Write block={wanted}.",
        )
    found = tuple(map(_size, parts))
    if not all(1 <= size <= _LARGEST_BLOCK for size in found):
        raise names.text.error(
            node,
            f"a block size is no constant integer from 1 to {_LARGEST_BLOCK}.",
            "Write a literal, or a name from outside.",
        )
    return found


def _size(part: Any) -> int:
    """Return a size as a plain integer; 0 for what is none."""
    try:
        return 0 if isinstance(part, bool) else operator.index(part)
    except TypeError:
        return 0


def _extent(names: Names, node: ast.expr) -> Expr:
    """Return an extent, all of it in i64 whatever the types of the parameters in it."""
    at = names.text.location(node)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _extent(names, node.left), _extent(names, node.right)
        return Binary(_OPERATORS[type(node.op)], left, right, i64, at)  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return Unary("neg", _extent(names, node.operand), i64, at)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
        if len(node.args) < 2 or node.keywords:
            raise names.text.error(node, f"'{node.func.id}' takes 2 values or more.", "Write as many as it takes.")
        first, *others = [_extent(names, argument) for argument in node.args]
        for other in others:
            first = Call(node.func.id, (first, other), i64, at)
        return first
    return _leaf(names, node)


def _leaf(names: Names, node: ast.expr) -> Expr:
    """Return a dim, an integer parameter or a constant as an i64."""
    operand = names.typed(node)
    value = force(operand, i64)
    source = value.operand if isinstance(value, Cast) else value
    known = isinstance(source, (Const, DimValue)) or (isinstance(source, Local) and source.name in names.params)
    if known and operand.type.is_integer and source.type.is_integer:
        return value
    raise _refuse(names, node)


def _refuse(names: Names, node: ast.expr) -> KernelError:
    return names.text.error(
        node,
        "this cannot be an extent of parallel(): it is computed before the kernel starts.",
        "Use dims, a.shape[k], integer parameters and literals, + - * // %, min and max.",
    )
