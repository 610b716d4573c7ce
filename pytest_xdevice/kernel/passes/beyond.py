"""Keep work-items beyond the extents of a loop with barriers from doing anything but coming to its barriers.

Launches are rounded up to whole work-groups, and an item that returned early would leave the others waiting. So each
region between barriers is guarded, and the control flow around them is gone through by every item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Logic
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import LocalArray

from .regions import cut
from .regions import steering
from .uniformity import fills_groups
from .uniformity import Uniformity


def guard_regions(loop: Parallel, arrays: Mapping[str, LocalArray], active: str) -> Parallel:
    """Return `loop` with its regions guarded by the local `active`, a bool_ that it computes first."""
    inside = _inside(loop)
    if inside is None:
        return loop
    uniformity = Uniformity(loop, arrays)
    guard = Local(active, bool_, loop.at)
    body = cut(loop.body, steering(loop, uniformity), lambda region: [If(guard, region, (), loop.at)])
    return replace(loop, body=(Assign(active, inside, loop.at, declares=True), *body))


def _inside(loop: Parallel) -> Expr | None:
    """Return whether an item is one of the loop's, or None where all are."""
    limits: list[Expr] = []
    for axis, variable in enumerate(loop.variables):
        if not fills_groups(loop, axis):
            limits.append(Compare("lt", Local(variable, i64, loop.at), loop.extents[axis], bool_, loop.at))
    if not limits:
        return None
    return reduce(lambda left, right: Logic("and", left, right, bool_, loop.at), limits)
