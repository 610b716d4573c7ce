"""Print parallel loops as OpenCL C: which work-item does which iterations."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Final
from typing import TypeGuard

from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.passes.bounds import fold_guards
from pytest_xdevice.kernel.passes.legalise import legalise
from pytest_xdevice.kernel.passes.neighbours import takes_neighbours
from pytest_xdevice.kernel.passes.tiles import find_tile
from pytest_xdevice.kernel.passes.tiles import Tile
from pytest_xdevice.kernel.traversal import has_barrier
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.types import ArrayType

from .expressions import ExpressionPrinter
from .forms import EACH
from .spelling import wrapped
from .text import Text
from .tiles import TilePrinter

_MOST_DOUBLED: Final = 32  # statements of a body that is printed twice
# Of a tile of two dimensions: what is 4 work-items wide is read, or written, in pieces of 64 bytes and the other in
# pieces of 512. On an H200 a transpose then has 0.93 of a copy's bandwidth, with (8, 32) and (16, 16) 0.88 and 0.89.
_SQUARE_BLOCK: Final = (32, 4)

Block = Callable[[Iterable[Stmt], str], None]


class ParallelPrinter:
    """Prints the parallel loop of one ``__kernel``.

    Parameters
    ----------
    text : Text
    expressions : ExpressionPrinter
    ir : KernelIR
        What `expressions` prints.
    tile : Tile or None
        How a GPU's work-item takes iterations of its loop.
    block : callable
        Prints statements; it is given the statement that goes on with the next iteration.
    """

    def __init__(
        self, text: Text, expressions: ExpressionPrinter, ir: KernelIR, tile: Tile | None, block: Block
    ) -> None:
        self._text = text
        self._expressions = expressions
        self._ir = ir
        self._tile = tile
        self._block = block

    def loop(self, loop: Parallel) -> None:
        """Print the loop."""
        if loop.grid is not None:
            self._in_turns(loop, 0)
            return
        spread = _spread_axes(loop, self._tile)
        if spread:
            if self._tile is not None:
                self._whole_tile(loop, self._tile)
            # Launches are rounded up to whole work-groups, and some iterations may do nothing. Only a few groups need
            # a test for each item, and one for the whole group does not stand in the way of vectors.
            fits = self._group_fits(loop) if self._tile is None else self._group_does_all(loop, self._tile)
            with self._text.block(f"if ({' && '.join(fits)})", "} else {"):
                body = loop.body if self._tile is None else self._tile.loop.body
                self._spread(replace(loop, body=body), spread, guarded=False)
            with self._text.rest():
                if self._tile is None or loop.starts:
                    self._spread(loop, spread, guarded=True)
                else:
                    self._spread_within(loop, spread, self._tile.loop)
        else:
            self._items(loop, range(len(loop.variables)), guarded=not is_grouped(loop))
            self._block(loop.body, "return;")

    # --- an iteration an item --------------------------------------------------------------------------------

    def _items(self, loop: Parallel, axes: Iterable[int], *, guarded: bool) -> None:
        """Print which iteration of some variables the work-item has, or that it has none."""
        for axis in axes:
            variable = loop.variables[axis]
            item = f"({self._expressions.c_type(variable)})get_global_id({_dimension(loop, axis)})"
            self._text.emit(f"{self._expressions.name(variable)} = {item};")
        if guarded:
            self._guards(loop, axes)
        self._add_starts(loop, axes)

    def _add_starts(self, loop: Parallel, axes: Iterable[int]) -> None:
        for axis in axes if loop.starts else ():
            variable, start = loop.variables[axis], loop.starts[axis]
            self._text.emit(f"{self._expressions.name(variable)} += {self._expressions.value_for(variable, start)};")

    def _guards(self, loop: Parallel, axes: Iterable[int], skip: str = "return;") -> None:
        """Print what ends an item that is past the end, as the last work-group has some."""
        for axis in axes:
            place, count = self._expressions.name(loop.variables[axis]), wrapped(self._count(loop, axis))
            self._text.emit(f"if ((xd_index){place} >= (xd_index){count}) {skip}")

    def _count(self, loop: Parallel, axis: int) -> str:
        """Return how many iterations a variable has."""
        count = self._expressions.operand(loop.extents[axis])
        return f"{count} - {self._expressions.operand(loop.starts[axis])}" if loop.starts else count

    # --- several iterations an item --------------------------------------------------------------------------

    def _in_turns(self, loop: Parallel, axis: int) -> None:
        """Print the loop from `axis` inwards, for any number of work-items: each takes several iterations."""
        if axis == len(loop.variables):
            self._block(loop.body, "continue;")
            return
        number, dimension = self._text.number(), _dimension(loop, axis)
        counter, end = f"c{number}", f"e{number}"
        first = f"(long)get_global_id({dimension})"
        if loop.starts:
            first = f"{self._expressions.operand(loop.starts[axis])} + {first}"
        with self._text.block(
            f"for (long {counter} = {first}, {end} = {self._expressions.text(loop.extents[axis])}; {counter} < {end}; "
            f"{counter} += (long)get_global_size({dimension}))"
        ):
            self._text.emit(f"{self._expressions.name(loop.variables[axis])} = {counter};")
            self._in_turns(loop, axis + 1)

    def _group_fits(self, loop: Parallel) -> Iterator[str]:
        """Yield the conditions under which no item of the work-group is past the end."""
        for axis, each in reversed(list(enumerate(_each(loop, self._tile)))):
            dimension = _dimension(loop, axis)
            size = f"(xd_index)get_local_size({dimension}){f' * XD_EACH({each})' if each > 1 else ''}"
            yield (
                f"(xd_index)(get_group_id({dimension}) + 1) * {size} <= (xd_index){wrapped(self._count(loop, axis))}"
            )

    def _group_does_all(self, loop: Parallel, tile: Tile) -> Iterator[str]:
        """Yield the conditions under which each iteration of the work-group's items does something."""
        for axis, each in reversed(list(enumerate(_each(loop, tile)))):
            dimension = _dimension(loop, axis)
            size = f"(long)get_local_size({dimension}){f' * XD_EACH({each})' if each > 1 else ''}"
            start = f" + {self._expressions.operand(loop.starts[axis])}" if loop.starts else ""
            if tile.loop.starts and tile.loop.starts != loop.starts:
                least = self._expressions.operand(tile.loop.starts[axis])
                yield f"(long)get_group_id({dimension}) * {size}{start} >= {least}"
            end = self._expressions.operand(tile.loop.extents[axis])
            yield f"(long)(get_group_id({dimension}) + 1) * {size}{start} <= {end}"

    def _spread(self, loop: Parallel, axes: tuple[int, ...], *, guarded: bool) -> None:
        """Print the iterations that one work-item takes, each on its own."""
        self._items(loop, range(axes[0]), guarded=guarded)
        self._spread_over(loop, axes, guarded=guarded)

    def _spread_within(self, loop: Parallel, axes: tuple[int, ...], bounds: Parallel) -> None:
        """Print the same for the body of `bounds`, whose iterations are some of the loop's.

        Where items leave, or ask in more than one place whether there is anything to do, PoCL makes no vectors.
        """
        self._items(loop, range(axes[0]), guarded=False)
        fits = []
        for axis, variable in enumerate(loop.variables):
            place = f"(long){self._expressions.name(variable)}"
            if bounds.starts:
                fits.append(f"{place} >= {wrapped(self._expressions.operand(bounds.starts[axis]))}")
            fits.append(f"{place} < {wrapped(self._expressions.operand(bounds.extents[axis]))}")
        self._spread_over(replace(loop, body=bounds.body), axes, guarded=False, condition=" && ".join(fits))

    def _spread_over(self, loop: Parallel, axes: tuple[int, ...], *, guarded: bool, condition: str = "") -> None:
        if not axes:
            with self._text.block(f"if ({condition})") if condition else nullcontext():
                self._block(loop.body, "XD_NEXT;")
            return
        axis, *inner = axes
        variable, counter, each = loop.variables[axis], f"k{self._text.number()}", _each(loop, self._tile)[axis]
        beside = self._tile is not None or takes_neighbours(loop, _arrays(self._ir))
        form = "XD_BESIDE" if beside else "XD_APART"
        with self._text.block(f"XD_FOR_EACH({counter}, {each})"):
            item = f"{form}({self._expressions.c_type(variable)}, {counter}, {each}, {_dimension(loop, axis)})"
            self._text.emit(f"{self._expressions.name(variable)} = {item};")
            if guarded:
                self._guards(loop, [axis], "XD_NEXT;")
            self._add_starts(loop, [axis])
            self._spread_over(loop, tuple(inner), guarded=guarded, condition=condition)

    def _whole_tile(self, loop: Parallel, tile: Tile) -> None:
        """Print what a GPU's work-item does where all iterations of its tile do something, and an ``else``."""
        self._text.directive("#ifdef XD_GPU")
        firsts = {}
        for axis, (variable, each) in enumerate(zip(loop.variables, _each(loop, tile), strict=True)):
            name, c_type = self._expressions.name(variable), self._expressions.c_type(variable)
            times = f" * {each}" if each > 1 else ""
            self._text.emit(f"{name} = ({c_type})get_global_id({_dimension(loop, axis)}){times};")
            self._add_starts(loop, [axis])
            if variable in tile.variables:
                firsts[variable] = f"t{self._text.number()}"
                self._text.emit(f"const {c_type} {firsts[variable]} = {name};")
        printer = TilePrinter(
            self._text, self._expressions, self._ir, tile, lambda body: self._block(body, "continue;")
        )
        with self._text.block(f"if ({' && '.join(printer.conditions())})", "} else"):
            printer.whole(firsts)
        self._text.directive("#endif")


def with_tile(ir: KernelIR) -> tuple[KernelIR, Tile | None]:
    """Return the kernel of one phase in legal form, and how a GPU's work-item takes iterations of its parallel loop."""
    plain = legalise(ir)
    at = len(plain.body) - 1
    if not plain.body or not _is_spread(plain.body[at]):
        return plain, None
    # The tile's own loop stands after the other for a moment, so that their temporaries get different names.
    folded = fold_guards(replace(ir, body=ir.body[-1:]))
    both = legalise(replace(ir, body=(*ir.body, *folded.body)))
    loop = both.body[-1]
    tile = find_tile(loop, _arrays(ir)) if _is_spread(loop) else None
    if tile is None:
        return plain, None
    return replace(both, body=(*plain.body[:at], *both.body[at + 1 : -1], both.body[at])), tile


def work_item(ir: KernelIR, tile: Tile | None) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return how many iterations of each variable a GPU's work-item takes, and the work-group that suits them."""
    loop = ir.body[-1] if ir.body else None
    if not _is_spread(loop):
        return (), None
    square = tile is not None and tile.is_square
    return _each(loop, tile), (*(1 for _ in loop.variables[2:]), *_SQUARE_BLOCK) if square else None


def is_grouped(statement: Stmt) -> TypeGuard[Parallel]:
    """Tell whether a statement is a loop whose items wait for each other."""
    return isinstance(statement, Parallel) and has_barrier(statement.body)


def _arrays(ir: KernelIR) -> dict[str, ArrayType]:
    return {param.name: param.type for param in ir.signature.params if isinstance(param.type, ArrayType)}


def _dimension(loop: Parallel, axis: int) -> int:
    """Return the dimension of the NDRange that counts a variable: the last one is the fastest."""
    return len(loop.variables) - 1 - axis


def _spread_axes(loop: Parallel, tile: Tile | None) -> tuple[int, ...]:
    """Return which variables' iterations a work-item takes several of."""
    if tile is not None:
        return tuple(loop.variables.index(name) for name in tile.variables)
    return (len(loop.variables) - 1,) if _is_spread(loop) else ()


def _each(loop: Parallel, tile: Tile | None) -> tuple[int, ...]:
    """Return how many iterations of each variable a work-item takes."""
    each = EACH if tile is None else tile.iterations
    axes = _spread_axes(loop, tile)
    return tuple(each if axis in axes else 1 for axis in range(len(loop.variables)))


def _is_spread(statement: Stmt | None) -> TypeGuard[Parallel]:
    """Tell whether a work-item may take several iterations of a loop.

    A body with a loop in it is not printed twice: there, the time of another test would not be seen.
    """
    if not isinstance(statement, Parallel) or statement.grid is not None or is_grouped(statement):
        return False
    statements = list(walk(statement.body))
    return len(statements) <= _MOST_DOUBLED and not any(isinstance(each, (For, While)) for each in statements)
