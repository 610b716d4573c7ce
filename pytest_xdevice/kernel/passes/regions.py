"""Cut the body of a loop with barriers: control flow that a whole work-group goes through together, and between it
regions, runs of statements that each item does by itself.

A region never holds a barrier. What steers the common control flow is computed by all items alike, outside of regions.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Barrier
from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import Clear
from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.traversal import expressions
from pytest_xdevice.kernel.traversal import has_barrier
from pytest_xdevice.kernel.traversal import walk

from .phases import assigned_in
from .phases import read_in
from .uniformity import ends_iteration
from .uniformity import Uniformity

MakeRegion = Callable[[tuple[Stmt, ...]], Iterable[Stmt]]


def cut(body: tuple[Stmt, ...], common: set[str], make_region: MakeRegion, *, clears: bool = False) -> tuple[Stmt, ...]:
    """Return `body` with each region replaced by what `make_region` makes of it.

    Parameters
    ----------
    body : tuple of Stmt
        The body of the parallel loop.
    common : set of str
        Uniform locals, which are assigned outside of regions, once for the group.
    make_region : callable
        Takes the statements of a region.
    clears : bool
        Whether a `Clear` that all items come to stands outside of regions too.
    """
    return tuple(_Cutter(common, make_region, clears).block(body, in_loop=False))


def steering(loop: Parallel, uniformity: Uniformity) -> set[str]:
    """Return the uniform locals that the control flow around barriers depends on."""
    needed: set[str] = set()
    while True:
        found = set(needed)
        for statement in walk(loop.body):
            if isinstance(statement, Assign) and statement.name in needed:
                found |= read_in([statement])
            if isinstance(statement, (If, For, While)) and is_common(statement, needed, in_loop=True):
                for part in expressions(statement):
                    found |= read_in([Assign("", part, statement.at, declares=False)])
        found &= assigned_in(loop.body) - uniformity.varying
        if found == needed:
            return needed
        needed = found


def is_common(statement: Stmt, common: set[str], *, in_loop: bool) -> bool:
    """Tell whether the group goes through `statement` together."""
    if isinstance(statement, (Break, Continue)):
        return in_loop
    if isinstance(statement, If):
        if in_loop and ends_iteration(statement):
            return True
    elif not isinstance(statement, (Barrier, Assign, For, While)):
        return False
    return has_barrier([statement]) or bool(assigned_in([statement]) & common)


class _Cutter:
    def __init__(self, common: set[str], make_region: MakeRegion, clears: bool) -> None:
        self._common = common
        self._make_region = make_region
        self._clears = clears

    def block(self, statements: tuple[Stmt, ...], *, in_loop: bool) -> list[Stmt]:
        """Return the statements with their regions made."""
        done: list[Stmt] = []
        pending: list[Stmt] = []
        for position, statement in enumerate(statements):
            if not in_loop and ends_iteration(statement):
                # An item may end here, so that the rest is its own: no barrier follows.
                pending += statements[position:]
                break
            if isinstance(statement, Assign) and statement.name in self._common:
                if statement.name in assigned_in(pending) | read_in(pending):
                    done += self._region(pending)
                    pending = []
                done.append(statement)
            elif isinstance(statement, Clear) and self._clears:
                done += [*self._region(pending), statement]
                pending = []
            elif is_common(statement, self._common, in_loop=in_loop):
                done += [*self._region(pending), self._inside(statement, in_loop=in_loop)]
                pending = []
            else:
                pending.append(statement)
        return [*done, *self._region(pending)]

    def _region(self, statements: list[Stmt]) -> Iterable[Stmt]:
        return self._make_region(tuple(statements)) if statements else ()

    def _inside(self, statement: Stmt, *, in_loop: bool) -> Stmt:
        if isinstance(statement, If):
            then = tuple(self.block(statement.then, in_loop=in_loop))
            return replace(statement, then=then, otherwise=tuple(self.block(statement.otherwise, in_loop=in_loop)))
        if isinstance(statement, (For, While)):
            return replace(statement, body=tuple(self.block(statement.body, in_loop=True)))
        return statement
