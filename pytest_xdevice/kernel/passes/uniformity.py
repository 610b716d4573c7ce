"""Which values of a parallel loop's body are the same for all items of a work-group, and which differ between them.

Uniform are dims, parameters, constants, the index of the group, elements at uniform indices of arrays that the loop
does not write, and locals that are only ever given uniform values, where all items of the group come by.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Literal
from typing import Union

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Atomic
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import InlinedCall
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.traversal import arrays_accessed
from pytest_xdevice.kernel.traversal import children
from pytest_xdevice.kernel.traversal import expressions
from pytest_xdevice.kernel.traversal import inlined_calls
from pytest_xdevice.kernel.types import LocalArray

from .phases import assigned_in

IndexPart = Literal["group", "item", "base"]
Jump = Union[Break, Continue]


class Uniformity:
    """What differs between the items of a group of `loop`.

    Attributes
    ----------
    varying : set of str
        The locals that do.
    """

    def __init__(self, loop: Parallel, arrays: Mapping[str, LocalArray]) -> None:
        _, written = arrays_accessed(loop.body)
        self._changing = written | set(arrays)
        self._loop = loop
        self.varying = set(loop.variables)
        known = 0
        while known != len(self.varying):
            known = len(self.varying)
            self._mark(loop.body, divergent=False, in_loop=False)

    def is_uniform(self, expr: Expr) -> bool:
        """Tell whether `expr` has one value for all items of a group."""
        if isinstance(expr, Local):
            return expr.name not in self.varying
        part = index_part(expr, self._loop)
        if part is not None and part[0] != "item":
            return True
        if isinstance(expr, InlinedCall) or (isinstance(expr, Load) and expr.array in self._changing):
            return False
        return all(map(self.is_uniform, children(expr)))

    def divergent_jump(self, body: Sequence[Stmt]) -> Jump | None:
        """Return a `break` or `continue` of the loop with this body that some items of a group come to alone."""
        for statement in body:
            jump = next(free_jumps([statement]), None)
            if isinstance(statement, If) and jump is not None:
                if not self.is_uniform(statement.condition):
                    return jump
                inner = self.divergent_jump((*statement.then, *statement.otherwise))
                if inner is not None:
                    return inner
        return None

    def _mark(self, statements: Iterable[Stmt], *, divergent: bool, in_loop: bool) -> None:
        for statement in statements:
            # What comes after the end of an iteration is not for every item.
            divergent = divergent or (not in_loop and ends_iteration(statement))
            for expr in expressions(statement):
                self._mark_calls(expr)
            if isinstance(statement, Assign):
                if divergent or not self.is_uniform(statement.value):
                    self.varying.add(statement.name)
            elif isinstance(statement, Atomic):
                self.varying |= assigned_in([statement])
            elif isinstance(statement, If):
                inside = divergent or not self.is_uniform(statement.condition)
                self._mark((*statement.then, *statement.otherwise), divergent=inside, in_loop=in_loop)
            elif isinstance(statement, (For, While)):
                inside = divergent or not self.runs_uniformly(statement)
                if isinstance(statement, For) and inside:
                    self.varying.add(statement.variable)
                self._mark(statement.body, divergent=inside, in_loop=True)

    def _mark_calls(self, expr: Expr) -> None:
        """Take whatever a helper function computes for the item's own."""
        for call in inlined_calls(expr):
            self.varying |= {*(binding.name for binding in call.bindings), *assigned_in(call.body)}

    def runs_uniformly(self, loop: For | While) -> bool:
        """Tell whether all items of a group, once there, run the same iterations of `loop`."""
        control = (loop.start, loop.stop, loop.step) if isinstance(loop, For) else (loop.condition,)
        return all(map(self.is_uniform, control)) and self.divergent_jump(loop.body) is None


def free_jumps(statements: Iterable[Stmt]) -> Iterator[Jump]:
    """Yield every `break` and `continue` that belongs to a loop around the statements."""
    for statement in statements:
        if isinstance(statement, (Break, Continue)):
            yield statement
        elif isinstance(statement, If):
            yield from free_jumps((*statement.then, *statement.otherwise))


def ends_iteration(statement: Stmt) -> bool:
    """Tell whether a statement directly in a loop's body may go on with its next iteration, or leave it."""
    return next(free_jumps([statement]), None) is not None


def index_part(expr: Expr, loop: Parallel) -> tuple[IndexPart, int] | None:
    """Return what ``i // block``, ``i % block`` or ``i - i % block`` is to an item, and on which axis; or None."""
    if not isinstance(expr, Binary) or not isinstance(expr.left, Local) or loop.block is None:
        return None
    axis = next((number for number, name in enumerate(loop.variables) if name == expr.left.name), None)
    if axis is None or not _starts_at_zero(loop, axis):
        return None
    if expr.op == "sub" and index_part(expr.right, loop) == ("item", axis):
        return "base", axis
    if not isinstance(expr.right, Const) or expr.right.value != loop.block[axis]:
        return None
    if expr.op == "floordiv":
        return "group", axis
    return ("item", axis) if expr.op == "mod" else None


def fills_groups(loop: Parallel, axis: int) -> bool:
    """Tell whether every group of `loop` has as many items on an axis as the block says, whatever the dims are."""
    assert loop.block is not None
    stop, block = loop.extents[axis], loop.block[axis]
    if not _starts_at_zero(loop, axis):
        return False
    if isinstance(stop, Binary) and stop.op == "mul":  # an extent that is rounded up: (n + 7) // 8 * 8
        return any(isinstance(side, Const) and int(side.value) % block == 0 for side in (stop.left, stop.right))
    return isinstance(stop, Const) and int(stop.value) % block == 0


def _starts_at_zero(loop: Parallel, axis: int) -> bool:
    start = loop.starts[axis] if loop.starts else None
    return start is None or (isinstance(start, Const) and start.value == 0)
