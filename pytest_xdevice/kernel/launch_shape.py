"""Work-groups chosen at a launch, instead of those that are written: how large they are, and how many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace

from ..errors import ArgumentError
from .ir import KernelIR
from .ir import Parallel
from .ir import Stmt
from .passes.groups import has_groups
from .sizes import read_sizes

_MOST_GROUPS = (1 << 31) - 1


@dataclass(frozen=True)
class LaunchShape:
    """What a launch says of its work-groups, for the parallel loops of one rank.

    Attributes
    ----------
    block : tuple of int or None
        Iterations in a work-group, outermost first; None leaves them as they are.
    grid : tuple of int or None
        Work-groups, which then take iterations in turns; None makes as many as there are iterations for.
    """

    block: tuple[int, ...] | None
    grid: tuple[int, ...] | None

    @classmethod
    def read(cls, block: object, grid: object) -> LaunchShape:
        """Check what was given for `block` and `grid`: None, an integer, or one to three of them.

        Raises
        ------
        ArgumentError
            If they are anything else, or not for one rank.
        """
        shape = cls(read_sizes("block", block, most=_MOST_GROUPS), read_sizes("grid", grid, most=_MOST_GROUPS))
        if shape.block and shape.grid and len(shape.block) != len(shape.grid):
            raise ArgumentError(
                f"block={block!r} and grid={grid!r} are for loops of different ranks: give as many sizes"
            )
        return shape

    @property
    def rank(self) -> int:
        """The number of variables of the loops that it is for; 0 where it says nothing."""
        return len(self.block or self.grid or ())

    def __str__(self) -> str:
        given = (("block", self.block), ("grid", self.grid))
        return ", ".join(f"{name}={_written(sizes)}" for name, sizes in given if sizes)


def reshaped(ir: KernelIR, shape: LaunchShape) -> KernelIR:
    """Return the kernel with the work-groups of `shape` in its parallel loops of that rank.

    Raises
    ------
    ArgumentError
        If it has no such loop, or one whose work-groups share memory or wait for each other.
    """
    if not any(loop for loop in _loops(ir) if len(loop.variables) == shape.rank):
        ranks = sorted({len(loop.variables) for loop in _loops(ir)})
        there = f"its loops have {' and '.join(map(str, ranks))}" if ranks else "it has none"
        raise ArgumentError(
            f"{ir.signature.name}: {shape} is for parallel loops of {shape.rank} "
            f"variable{'s'[: shape.rank > 1]}, and {there}"
        )
    for loop in _loops(ir):
        if len(loop.variables) == shape.rank and has_groups(loop):
            raise ArgumentError(
                f"{ir.signature.name}: {shape} changes the work-groups of the loop on line {loop.at.line}, which share "
                f"memory or wait for each other as block={_written(loop.block or ())} makes them: leave it out"
            )
    return replace(ir, body=tuple(_reshaped(statement, shape) for statement in ir.body))


def _reshaped(statement: Stmt, shape: LaunchShape) -> Stmt:
    if not isinstance(statement, Parallel) or len(statement.variables) != shape.rank:
        return statement
    return replace(statement, block=shape.block or statement.block, grid=shape.grid)


def _loops(ir: KernelIR) -> Iterator[Parallel]:
    return (statement for statement in ir.body if isinstance(statement, Parallel))


def _written(sizes: tuple[int, ...]) -> str:
    return str(sizes[0] if len(sizes) == 1 else sizes)
