"""Which 64-bit integers of a kernel fit 32 bits in a small launch: those that extents, loops and constants bound.

A launch is small when its dims, the sizes of its NDRange and its arrays, in elements, are below `LIMIT`. A GPU then
counts and computes indices with 32 bits, in half the instructions or fewer.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from typing import Final

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Atomic
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Cast
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import DimValue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Select
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType

LIMIT: Final = 1 << 30

Interval = tuple[int, int]  # the least and the greatest value
_Definition = tuple[str, "Interval | None"]


class SmallIntegers:
    """What is known of a kernel's i64 values in a small launch.

    Parameters
    ----------
    ir : KernelIR
        After `legalise`.
    unknown : iterable of str
        Locals that get values elsewhere, too.
    """

    def __init__(self, ir: KernelIR, unknown: Iterable[str] = ()) -> None:
        self._intervals: dict[str, Interval] = {}
        unknown = set(unknown)
        candidates = {name for name, scalar in ir.locals.items() if scalar == i64 and name not in unknown}
        # Each round knows the locals that are defined by what the last one knew; what counts itself is never known.
        while found := self._round(ir.body, candidates - self._intervals.keys()):
            self._intervals.update(found)

    def __contains__(self, name: object) -> bool:
        """Whether a local fits 32 bits."""
        return name in self._intervals

    def interval(self, expr: Expr) -> Interval | None:
        """Return the bounds of an i64 expression, or None where it may not fit 32 bits."""
        return _fitting(self._bounds(expr)) if expr.type == i64 else None

    def _round(self, body: Iterable[Stmt], candidates: set[str]) -> dict[str, Interval]:
        found: dict[str, Interval | None] = {}
        for name, interval in self._definitions(body):
            if name in candidates:
                found[name] = _union(found[name], interval) if name in found else interval
        return {name: interval for name, interval in found.items() if interval is not None}

    def _definitions(self, body: Iterable[Stmt]) -> Iterator[_Definition]:
        """Yield the bounds of each value that a local is given."""
        for statement in walk(body):
            if isinstance(statement, Assign):
                yield statement.name, self.interval(statement.value)
            elif isinstance(statement, Atomic) and statement.result is not None:
                yield statement.result, None
            elif isinstance(statement, For):
                yield statement.variable, self._counted(statement)
            elif isinstance(statement, Parallel):
                yield from self._shared_out(statement)

    def _counted(self, loop: For) -> Interval | None:
        start, stop = self.interval(loop.start), self.interval(loop.stop)
        if start is None or stop is None or not isinstance(loop.step, Const):
            return None
        return (min(start[0], stop[0]), max(start[1], stop[1]))

    def _shared_out(self, loop: Parallel) -> Iterator[_Definition]:
        for axis, variable in enumerate(loop.variables):
            stop = self.interval(loop.extents[axis])
            if not loop.starts:
                yield variable, (0, min(LIMIT, max(stop[1], 0)) if stop else LIMIT)
                continue
            start = self.interval(loop.starts[axis])
            # The work-items beyond the end, which come with the last work-group, are counted as well.
            room = None if start is None or stop is None else (start[0], max(start[1], 0) + LIMIT)
            yield variable, _fitting(room)

    def _bounds(self, expr: Expr) -> Interval | None:
        if isinstance(expr, Const):
            return (int(expr.value), int(expr.value))
        if isinstance(expr, DimValue):
            return (0, LIMIT)
        if isinstance(expr, Local):
            return self._intervals.get(expr.name)
        if isinstance(expr, Cast):
            return self.interval(expr.operand) or _all_of(expr.operand.type)
        if isinstance(expr, Select):
            return _union(self.interval(expr.then), self.interval(expr.otherwise))
        if isinstance(expr, Binary):
            return self._of_operation(expr)
        return None

    def _of_operation(self, expr: Binary) -> Interval | None:
        left, right = self.interval(expr.left), self.interval(expr.right)
        if left is None or right is None:
            return None
        if expr.op == "add":
            return (left[0] + right[0], left[1] + right[1])
        if expr.op == "sub":
            return (left[0] - right[1], left[1] - right[0])
        if expr.op == "mul":
            products = [one * other for one in left for other in right]
            return (min(products), max(products))
        if expr.op == "ashr" and right[0] >= 0 and right[1] < 32:  # further, 32 bits would not shift alike
            shifted = [one >> by for one in left for by in right]
            return (min(shifted), max(shifted))
        if expr.op == "sdiv" and right[0] > 0:
            return (min(-(-left[0] // right[0]), 0), max(left[1] // right[0], 0))
        if expr.op == "srem" and right[0] > 0:
            return (min(left[0], 0), max(left[1], 0))
        return None


def _fitting(interval: Interval | None) -> Interval | None:
    fits = interval is not None and interval[0] >= -(1 << 31) and interval[1] < 1 << 31
    return interval if fits else None


def _union(one: Interval | None, other: Interval | None) -> Interval | None:
    return None if one is None or other is None else (min(one[0], other[0]), max(one[1], other[1]))


def _all_of(scalar: ScalarType) -> Interval | None:
    """Return the bounds of a type's values, where those of a narrow integer."""
    if scalar.is_float or scalar.bits > 32:
        return None
    return (
        (-(1 << (scalar.bits - 1)), (1 << (scalar.bits - 1)) - 1) if scalar.is_signed else (0, (1 << scalar.bits) - 1)
    )
