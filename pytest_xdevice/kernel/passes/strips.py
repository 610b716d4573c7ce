"""Run the iterations of a parallel loop side by side in strips, where its inner loop walks down a column.

``for i, j in parallel(m, n): ...; for p in range(k): acc += a[i, p] * b[p, j]; ...`` jumps from row to row of `b`. With
the loop over `p` outside and a strip of the loop over `j` inside it, neighbours are read together, and each iteration
still does all of its own steps in their order: results stay the same, bit by bit, and the strip's sums are vectors in
registers. Iterations are independent, which is what lets a kernel be rearranged where a loop in C cannot be.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import replace
from typing import Final

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import For
from pytest_xdevice.kernel.ir import If
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Load
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.rewrite import Rewriter
from pytest_xdevice.kernel.traversal import accesses
from pytest_xdevice.kernel.traversal import arrays_accessed
from pytest_xdevice.kernel.traversal import locals_of
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import LocalArray

from .arithmetic import binary
from .arithmetic import compare
from .arithmetic import constant
from .legalise import is_cheap
from .phases import assigned_in
from .phases import read_in

_STRIP_BYTES: Final = 256  # four of the widest vectors, sixteen of the narrowest
_MOST_LANES: Final = 64


def strip_mine(ir: KernelIR) -> KernelIR:
    """Return the legal kernel with those parallel loops in strips that gain by it."""
    if not any(map(_is_candidate, ir.body)):
        return ir
    miner = _Miner(ir)
    body = tuple(part for statement in ir.body for part in miner.statement(statement))
    return replace(ir, body=body, locals=miner.locals, arrays=miner.arrays)


def _is_candidate(statement: Stmt) -> bool:
    return isinstance(statement, Parallel) and any(isinstance(inner, For) for inner in statement.body)


@dataclass(frozen=True)
class _Part:
    """A run of plain statements of the body, which is done for a whole strip before the next part begins.

    Attributes
    ----------
    loop : For or None
        The loop around them, whose bounds are the same for the whole strip.
    body : tuple of Assign or Store
    """

    loop: For | None
    body: tuple[Stmt, ...]


class _Miner:
    def __init__(self, ir: KernelIR) -> None:
        self.locals = dict(ir.locals)
        self.arrays = dict(ir.arrays)
        self._ir = ir

    def statement(self, statement: Stmt) -> Iterator[Stmt]:
        parts = self._parts(statement) if isinstance(statement, Parallel) else None
        if parts and isinstance(statement, Parallel) and _gains(statement, parts):
            yield from self._in_strips(statement, parts)
        else:
            yield statement

    def _parts(self, loop: Parallel) -> list[_Part] | None:
        loaded, stored = arrays_accessed(loop.body)
        # An array of the kernel's own belongs to one iteration or to a work-group: lanes must not share it.
        return None if (loaded | stored) & set(self._ir.arrays) else _parts(loop.body)

    def _in_strips(self, loop: Parallel, parts: list[_Part]) -> Iterator[Stmt]:
        at, variable = loop.at, loop.variables[-1]
        start, stop, strip, base, left, lane = (self._fresh() for _ in range(6))
        starts = loop.starts or tuple(constant(0, extent) for extent in loop.extents)
        yield Assign(start.name, starts[-1], at, declares=True)
        yield Assign(stop.name, loop.extents[-1], at, declares=True)
        lanes = self._lanes(parts)
        most = Const(lanes, i64, at)
        above = binary("add", binary("sub", stop, start), Const(lanes - 1, i64, at))
        strips = binary("ashr", above, Const(lanes.bit_length() - 1, i64, at))

        def run(count: Expr) -> tuple[Stmt, ...]:
            kept = self._kept(parts, lanes)  # arrays of its own: one with a variable length is not kept in registers
            here = Assign(variable, binary("add", base, lane), at, declares=True)
            return tuple(_side_by_side(part, here, lane, count, kept) for part in parts)

        body = (
            Assign(base.name, binary("add", start, binary("mul", strip, most)), at, declares=True),
            Assign(left.name, binary("sub", stop, base), at, declares=True),
            # All strips but the last have a length that is known here.
            If(compare("ge", left, most), run(most), run(left), at),
        )
        yield replace(
            loop,
            variables=(*loop.variables[:-1], strip.name),
            starts=(*starts[:-1], constant(0, start)),
            extents=(*loop.extents[:-1], strips),
            body=body,
        )

    def _lanes(self, parts: list[_Part]) -> int:
        names = {name for part in parts for name in assigned_in(part.body)}
        widest = max((self.locals[name].nbytes for name in names), default=_STRIP_BYTES // _MOST_LANES)
        return min(_MOST_LANES, _STRIP_BYTES // widest)

    def _kept(self, parts: list[_Part], lanes: int) -> dict[str, str]:
        """Return, for each local that a lane must remember from one part or turn to the next, an array of them."""
        touched = [assigned_in(part.body) | read_in(part.body) for part in parts]
        kept: dict[str, str] = {}
        for name in sorted({name for part in parts for name in assigned_in(part.body)}):
            shared = sum(name in names for names in touched) > 1
            if shared or any(name in _read_first(part.body) for part in parts):
                kept[name] = f"strip.{len(self.arrays)}"
                self.arrays[kept[name]] = LocalArray(self.locals[name], (lanes,), "private")
        return kept

    def _fresh(self) -> Local:
        name = f"strip.{len(self.locals)}"
        self.locals[name] = i64
        return Local(name, i64, self._ir.body[0].at)


def _parts(body: tuple[Stmt, ...]) -> list[_Part] | None:
    """Cut a body into parts, or return None where something in it is no plain statement or loop of such."""
    parts: list[_Part] = []
    for statement in body:
        if isinstance(statement, For):
            if not _are_plain(statement.body):
                return None
            parts.append(_Part(statement, statement.body))
        elif not _are_plain([statement]):
            return None
        elif parts and parts[-1].loop is None:
            parts[-1] = _Part(None, (*parts[-1].body, statement))
        else:
            parts.append(_Part(None, (statement,)))
    return parts


def _are_plain(statements: Iterable[Stmt]) -> bool:
    return all(isinstance(statement, (Assign, Store)) for statement in statements)


def _gains(loop: Parallel, parts: list[_Part]) -> bool:
    """Tell whether the strips of a loop may run side by side, and an inner loop then reads along rows."""
    variable = loop.variables[-1]
    assigned = assigned_in(loop.body)
    if variable in assigned or not all(is_cheap(bound) for bound in (*loop.starts, *loop.extents)):
        return False
    counters = {part.loop.variable for part in parts if part.loop}
    for part in parts:
        own = {part.loop.variable} if part.loop else set()
        if counters & assigned_in(part.body) or (counters - own) & read_in(part.body):
            return False  # a counter that is read after its loop would have to be remembered
        bounds = (part.loop.start, part.loop.stop) if part.loop else ()
        if not all(is_cheap(bound) and not locals_of(bound) & (assigned | {variable}) for bound in bounds):
            return False
    varying = (assigned | {variable}) - counters
    if not all(_is_even(indices, variable, varying) for part in parts for _, indices in accesses(part.body)):
        return False
    return any(_walks_down(part, variable) for part in parts)


def _walks_down(part: _Part, variable: str) -> bool:
    """Tell whether a loop goes from row to row of an array, in the column that `variable` says."""
    return part.loop is not None and any(
        variable in locals_of(indices[-1]) and any(part.loop.variable in locals_of(index) for index in indices[:-1])
        for _, indices in accesses(part.body)
    )


def _is_even(indices: tuple[Expr, ...], variable: str, varying: set[str]) -> bool:
    """Tell whether neighbouring iterations access the same element, or neighbours of one row."""
    *leading, last = indices
    if any(locals_of(index) & varying for index in leading):
        return False
    if isinstance(last, Binary) and last.op in ("add", "sub") and not locals_of(last.right) & varying:
        last = last.left
    return not locals_of(last) & varying or (isinstance(last, Local) and last.name == variable)


def _read_first(body: Iterable[Stmt]) -> set[str]:
    """Return the locals that are read before they get a value, where they do get one later."""
    known: set[str] = set()
    found: set[str] = set()
    for statement in body:
        found |= read_in([statement]) - known
        known |= assigned_in([statement])
    return found & known


def _side_by_side(part: _Part, here: Assign, lane: Local, count: Expr, kept: dict[str, str]) -> Stmt:
    """Return a part for all lanes of a strip, each with elements of its own in the place of the kept locals."""

    def element(expr: Expr) -> Expr | None:
        if isinstance(expr, Local) and expr.name in kept:
            return Load(kept[expr.name], (lane,), expr.type, expr.at)
        return None

    def remembering(statement: Stmt) -> Iterable[Stmt]:
        if isinstance(statement, Assign) and statement.name in kept:
            return (Store(kept[statement.name], (lane,), statement.value, statement.at),)
        return (statement,)

    body = (here, *Rewriter(element, remembering).block(part.body))
    lanes = For(lane.name, constant(0, count), count, constant(1, count), body, here.at)
    return replace(part.loop, body=(lanes,)) if part.loop else lanes
