"""`parallel(...)`, the loop whose iterations are independent, and how the front end reads its arguments."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from .errors import KernelError
from .ir import Binary
from .ir import Call
from .ir import Cast
from .ir import Const
from .ir import DimValue
from .ir import Expr
from .ir import Local
from .ir import Unary
from .promote import force

if TYPE_CHECKING:
    from .expressions import Expressions

from .types import i64

_LARGEST_BLOCK: Final = 1024
_OPERATORS: Final[dict[type[ast.operator], str]] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.FloorDiv: "floordiv", ast.Mod: "mod",
}  # fmt: skip


def parallel(*extents: Any, block: Any = None) -> Iterator[Any]:
    """Loop over independent iterations: ``for i in parallel(n)``, ``for i, j in parallel(m, n, block=(8, 8))``.

    Parameters
    ----------
    *extents : int
        One to three numbers of iterations, outermost first; the last variable runs fastest. They may use dims,
        ``a.shape[k]``, scalar parameters, integer literals, ``+ - * // %``, `min` and `max`.
    block : int or tuple of int, optional
        Iterations in a work-group, one number for each extent. It need not divide the extent.

    Raises
    ------
    TypeError
        Whenever Python itself runs it: it has a meaning only in a kernel.
    """
    raise TypeError(
        "parallel(...) has a meaning only inside a @kernel: there, write 'for i in parallel(n):'. "
        "To run a kernel in Python, call its .python(...)."
    )


@dataclass(frozen=True)
class ParallelRange:
    """The arguments of one `parallel(...)`."""

    extents: tuple[Expr, ...]
    block: tuple[int, ...] | None


def read_parallel(expressions: Expressions, call: ast.Call) -> ParallelRange:
    """Return what the arguments of ``parallel(...)`` say.

    Raises
    ------
    KernelError
        If they are not what a launch can compute before it starts.
    """
    if not 1 <= len(call.args) <= 3:
        raise expressions.text.error(
            call, f"parallel() takes 1 to 3 extents, and got {len(call.args)}.", "Put a 'range' loop inside for more."
        )
    block = None
    for keyword in call.keywords:
        if keyword.arg != "block":
            raise expressions.text.error(keyword, f"parallel() has no argument '{keyword.arg}'.", "It has 'block'.")
        block = _block(expressions, keyword.value, len(call.args))
    return ParallelRange(tuple(_extent(expressions, argument) for argument in call.args), block)


def _block(expressions: Expressions, node: ast.expr, count: int) -> tuple[int, ...] | None:
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.Name) and not expressions.is_local(node):
        sizes = expressions.resolve(node)
        parts = list(sizes) if isinstance(sizes, tuple) else [sizes]
    else:
        nodes = node.elts if isinstance(node, ast.Tuple) else [node]
        parts = [getattr(expressions.visit(part), "value", None) for part in nodes]
    if len(parts) != count:
        example = ", ".join(["8"] * count)
        wanted = f"({example})" if count > 1 else "32"
        raise expressions.text.error(
            node,
            f"block has {len(parts)} size{'s'[: len(parts) != 1]} for {count} extent{'s'[: count != 1]}.",
            f"Write block={wanted}.",
        )
    for part in parts:
        if type(part) is not int or not 1 <= part <= _LARGEST_BLOCK:
            raise expressions.text.error(
                node, "a block size is a constant integer above 0.", f"Write one from 1 to {_LARGEST_BLOCK}."
            )
    return tuple(parts)


def _extent(expressions: Expressions, node: ast.expr) -> Expr:
    """Return an extent, all of it in i64 whatever the types of the parameters in it."""
    at = expressions.text.location(node)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _extent(expressions, node.left), _extent(expressions, node.right)
        return Binary(_OPERATORS[type(node.op)], left, right, i64, at)  # type: ignore[arg-type]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return Unary("neg", _extent(expressions, node.operand), i64, at)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("min", "max"):
        if len(node.args) < 2 or node.keywords:
            raise expressions.text.error(
                node, f"'{node.func.id}' takes 2 values or more.", "Write as many as it takes."
            )
        first, *others = [_extent(expressions, argument) for argument in node.args]
        for other in others:
            first = Call(node.func.id, (first, other), i64, at)
        return first
    return _leaf(expressions, node)


def _leaf(expressions: Expressions, node: ast.expr) -> Expr:
    """Return a dim, an integer parameter or a constant as an i64."""
    operand = expressions.typed(node)
    value = force(operand, i64)
    source = value.operand if isinstance(value, Cast) else value
    known = isinstance(source, (Const, DimValue)) or (isinstance(source, Local) and source.name in expressions.params)
    if known and operand.type.is_integer and source.type.is_integer:
        return value
    raise _refuse(expressions, node)


def _refuse(expressions: Expressions, node: ast.expr) -> KernelError:
    return expressions.text.error(
        node,
        "this cannot be an extent of parallel(): it is computed before the kernel starts.",
        "Use dims, a.shape[k], integer parameters and literals, + - * // %, min and max.",
    )
