"""Lower loops with barriers or shared memory for a CPU: a loop over work-groups, and within it loops over their items.

Control flow that the group goes through together stays outside of the loops over items, each of which does one region
for all items and ends where a barrier is. What an item keeps from one region to the next lies in arrays of the group.
Loops that all items run alike are common control flow too, which leaves the loop over items innermost: it vectorises.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import replace
from functools import reduce

from pytest_xdevice.kernel.ir import Assign
from pytest_xdevice.kernel.ir import Barrier
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Call
from pytest_xdevice.kernel.ir import Clear
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
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.ir import While
from pytest_xdevice.kernel.rewrite import Rewriter
from pytest_xdevice.kernel.traversal import arrays_accessed
from pytest_xdevice.kernel.traversal import has_barrier
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import LocalArray
from pytest_xdevice.kernel.types import ScalarType

from .legalise import is_cheap
from .phases import assigned_in
from .phases import read_in
from .regions import cut
from .uniformity import ends_iteration
from .uniformity import fills_groups
from .uniformity import free_jumps
from .uniformity import index_part
from .uniformity import Uniformity


def has_groups(loop: Parallel) -> bool:
    """Tell whether the items of the loop's work-groups have to do with each other."""
    return bool(loop.shared) or has_barrier(loop.body)


def lower_groups(ir: KernelIR) -> KernelIR:
    """Return the kernel, as the front end made it, without barriers, and with shared memory as the group's arrays."""
    names = _Names(ir)
    body = tuple(_lowered(statement, names) for statement in ir.body)
    return replace(ir, body=body, locals=names.locals, arrays=names.arrays)


def _lowered(statement: Stmt, names: _Names) -> Stmt:
    if isinstance(statement, Parallel) and has_groups(statement):
        return _GroupLoop(statement, names).lowered()
    return statement


class _Names:
    """The locals and arrays of the kernel, to which a lowered loop adds its own."""

    def __init__(self, ir: KernelIR) -> None:
        self.locals = dict(ir.locals)
        self.arrays = dict(ir.arrays)
        self._reserved = {*ir.signature.dims, *(param.name for param in ir.signature.params)}

    def _unused(self, name: str) -> str:
        while name in self.locals or name in self.arrays or name in self._reserved:
            name += "_"
        return name

    def local(self, name: str, type_: ScalarType = i64) -> str:
        """Return the name of a new local, like `name`."""
        unused = self._unused(name)
        self.locals[unused] = type_
        return unused

    def array(self, name: str, array: LocalArray) -> str:
        """Return the name of a new array, like `name`."""
        unused = self._unused(name)
        self.arrays[unused] = array
        return unused


@dataclass(frozen=True)
class _Axis:
    """One axis of the loop.

    `group`, `base`, `count` and `item` name the group's index, its first value, how many items it has and the index of
    an item in it; `is_full` tells whether every group has as many items as the block says.
    """

    group: str
    base: str
    count: str
    item: str
    start: Expr
    stop: Expr
    block: int
    is_full: bool


class _GroupLoop:
    """Lowers one loop."""

    def __init__(self, loop: Parallel, names: _Names) -> None:
        assert loop.block is not None
        self._loop = loop
        self._names = names
        self._at = loop.at
        starts = loop.starts or tuple(self._const(0) for _ in loop.variables)
        self._axes = [
            _Axis(
                names.local(f"group_{variable}"),
                names.local(f"base_{variable}"),
                names.local(f"count_{variable}"),
                names.local(f"item_{variable}"),
                start,
                stop,
                loop.block[number],
                fills_groups(loop, number),
            )
            for number, (variable, start, stop) in enumerate(zip(loop.variables, starts, loop.extents, strict=True))
        ]
        self._body = self._with_items()
        items = replace(loop, variables=tuple(axis.item for axis in self._axes), block=None, body=self._body)
        uniformity = Uniformity(items, names.arrays)
        self._common = assigned_in(self._body) - uniformity.varying
        self._computed = self._recomputable(uniformity.varying)
        self._kept = self._held_across_regions(uniformity.varying)

    def _const(self, value: int) -> Const:
        return Const(value, i64, self._at)

    def _local(self, name: str) -> Local:
        return Local(name, self._names.locals[name], self._at)

    def _binary(self, op: str, left: Expr, right: Expr) -> Expr:
        return Binary(op, left, right, i64, self._at)  # type: ignore[arg-type]

    def _assign(self, name: str, value: Expr) -> Assign:
        return Assign(name, value, self._at, declares=True)

    # --- the whole loop ----------------------------------------------------------------------------------

    def lowered(self) -> Parallel:
        """Return the loop over groups."""
        counts = tuple(self._group_count(axis) for axis in self._axes)
        before = [statement for axis in self._axes for statement in self._begin(axis)]
        partial = [axis for axis in self._axes if not axis.is_full]
        whole = self._pass({axis.item: self._const(axis.block) for axis in self._axes})
        if partial:
            # A group of the full size is worth code of its own: its loops have constant trip counts.
            full = [self._has_all(axis) for axis in partial]
            condition = reduce(lambda left, right: Logic("and", left, right, bool_, self._at), full)
            rest = self._pass({axis.item: self._local(axis.count) for axis in self._axes})
            whole = (If(condition, whole, rest, self._at),)
        return Parallel(tuple(axis.group for axis in self._axes), counts, None, (*before, *whole), self._at)

    def _has_all(self, axis: _Axis) -> Expr:
        return Compare("eq", self._local(axis.count), self._const(axis.block), bool_, self._at)

    def _group_count(self, axis: _Axis) -> Expr:
        span = self._binary("sub", axis.stop, axis.start)
        padded = self._binary("add", span, self._const(axis.block - 1))
        return self._binary("floordiv", padded, self._const(axis.block))

    def _begin(self, axis: _Axis) -> Iterable[Stmt]:
        first = self._binary("mul", self._local(axis.group), self._const(axis.block))
        yield self._assign(axis.base, self._binary("add", axis.start, first))
        left = self._binary("sub", axis.stop, self._local(axis.base))
        yield self._assign(axis.count, Call("min", (self._const(axis.block), left), i64, self._at))

    def _pass(self, limits: dict[str, Expr]) -> tuple[Stmt, ...]:
        """Return what a group does, with so many items on each axis."""
        done = cut(self._body, self._common, lambda region: [self._item_loop(region, limits)], clears=True)
        return Rewriter(replace_by=lambda each: () if isinstance(each, Barrier) else (each,)).block(done)

    # --- before it is cut --------------------------------------------------------------------------------

    def _with_items(self) -> tuple[Stmt, ...]:
        """Return the body with indices of items and groups by name, and an element of a private array for each item."""
        private = {name for name in set().union(*arrays_accessed(self._loop.body)) if self._is_private(name)}
        items = tuple(self._local(axis.item) for axis in self._axes)
        for name in private:
            array = self._names.arrays[name]
            # Neighbouring items have neighbouring elements.
            extents = (*array.extents, *(axis.block for axis in self._axes))
            self._names.arrays[name] = LocalArray(array.element, extents, "shared")

        def change(expr: Expr) -> Expr | None:
            part = index_part(expr, self._loop)
            if part is not None:
                kind, axis = part
                return self._local(getattr(self._axes[axis], kind))
            if isinstance(expr, Compare):
                return self._compared(expr)
            if isinstance(expr, Load) and expr.array in private:
                return replace(expr, indices=(*rewriter.all(expr.indices), *items))
            return None

        def replace_by(statement: Stmt) -> Iterable[Stmt]:
            if isinstance(statement, Store) and statement.array in private:
                return (replace(statement, indices=(*statement.indices, *items)),)
            return (statement,)

        rewriter = Rewriter(change, replace_by)
        values = [
            self._assign(variable, self._binary("add", self._local(axis.base), self._local(axis.item)))
            for variable, axis in zip(self._loop.variables, self._axes, strict=True)
        ]
        return self._without_copies((*values, *rewriter.block(self._loop.body)))

    def _compared(self, expr: Compare) -> Expr | None:
        """Return a variable's comparison with a bound as one of the item's index: it can become a loop's bound."""
        for variable, bound in ((expr.left, expr.right), (expr.right, expr.left)):
            if isinstance(variable, Local) and variable.name in self._loop.variables and _is_small(bound):
                axis = self._axes[self._loop.variables.index(variable.name)]
                index, left = self._local(axis.item), self._binary("sub", bound, self._local(axis.base))
                if variable is expr.left:
                    return Compare(expr.op, index, left, bool_, expr.at)
                return Compare(expr.op, left, index, bool_, expr.at)
        return None

    def _is_private(self, name: str) -> bool:
        array = self._names.arrays.get(name)
        return array is not None and array.space == "private"

    def _once_for_all(self, body: tuple[Stmt, ...]) -> list[Assign]:
        """Return the assignments that every item comes to once, of locals that are given no other value."""
        given: dict[str, int] = {}
        for statement in walk(body):
            for name in assigned_in([_alone(statement)]):
                given[name] = given.get(name, 0) + 1
        found = []
        for statement in body:
            if ends_iteration(statement):
                break
            if isinstance(statement, Assign) and given[statement.name] == 1:
                found.append(statement)
        return found

    def _without_copies(self, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Return `body` with the index of an item or group by its own name where a local is a copy of it."""
        ours = {name for axis in self._axes for name in (axis.group, axis.base, axis.item)}
        copies: dict[str, Expr] = {}
        for statement in self._once_for_all(body):
            if isinstance(statement.value, Local) and statement.value.name in ours:
                copies[statement.name] = statement.value

        def change(expr: Expr) -> Expr | None:
            return copies.get(expr.name) if isinstance(expr, Local) else None

        def replace_by(statement: Stmt) -> Iterable[Stmt]:
            return () if isinstance(statement, Assign) and statement.name in copies else (statement,)

        return Rewriter(change, replace_by).block(body)

    def _recomputable(self, varying: set[str]) -> dict[str, Assign]:
        """Return the assignments that each region can do for itself, and take them out of the body."""
        once = self._once_for_all(self._body)
        assigned = assigned_in(self._body)
        steady = {statement.name for statement in once if statement.name not in varying}
        found: dict[str, Assign] = {}
        for statement in once:
            known = all(name in steady or name in found or name not in assigned for name in read_in([statement]))
            if statement.name in varying and known and is_cheap(statement.value):
                found[statement.name] = statement
        self._body = tuple(statement for statement in self._body if statement not in found.values())
        return found

    def _held_across_regions(self, varying: set[str]) -> dict[str, str]:
        """Return the array that keeps each local which several regions use."""
        seen: dict[str, int] = {}

        def count(region: tuple[Stmt, ...]) -> Iterable[Stmt]:
            for name in (assigned_in(region) | read_in(region)) & varying:
                seen[name] = seen.get(name, 0) + 1
            return region

        cut(self._body, self._common, count, clears=True)
        items = {axis.item for axis in self._axes}
        shape = tuple(axis.block for axis in self._axes)
        return {
            name: self._names.array(f"{name}_of", LocalArray(self._names.locals[name], shape, "shared"))
            for name, uses in sorted(seen.items())
            if uses > 1 and name not in items and name not in self._computed
        }

    # --- a region ----------------------------------------------------------------------------------------

    def _item_loop(self, region: tuple[Stmt, ...], limits: dict[str, Expr]) -> Stmt:
        """Return the loop in which each item does `region`."""
        region = Rewriter(replace_by=self._cleared).block(region)
        read, assigned = read_in(region), assigned_in(region)
        items = tuple(self._local(axis.item) for axis in self._axes)
        before: list[Stmt] = self._recomputed(read)
        after: list[Stmt] = []
        for name, array in self._kept.items():
            if name in read or name in assigned:
                before.append(self._assign(name, Load(array, items, self._names.locals[name], self._at)))
            # The region in which an iteration may end is the last one.
            if name in assigned and not any(map(ends_iteration, region)):
                after.append(Store(array, items, self._local(name), self._at))
        return Parallel(tuple(limits), tuple(limits.values()), None, _around(before, region, after), self._at)

    def _recomputed(self, names: set[str]) -> list[Stmt]:
        """Return the assignments that give `names` their values."""
        needed = set(names)
        kept: list[Stmt] = []
        for name, statement in reversed(self._computed.items()):
            if name in needed:
                kept.append(statement)
                needed |= read_in([statement])
        return kept[::-1]

    def _cleared(self, statement: Stmt) -> Iterable[Stmt]:
        """Return stores of zero for a `Clear` that some items come to without the others."""
        if not isinstance(statement, Clear):
            return (statement,)
        array = self._names.arrays[statement.array]
        own = array.extents[: -len(self._axes)]
        counters = [self._local(self._names.local(f"clear{position}")) for position in range(len(own))]
        items = [self._local(axis.item) for axis in self._axes]
        value = 0.0 if array.element.is_float else False if array.element == bool_ else 0
        zero = Const(value, array.element, statement.at)
        made: Stmt = Store(statement.array, (*counters, *items), zero, statement.at)
        for counter, extent in zip(reversed(counters), reversed(own), strict=True):
            made = _loop(counter.name, extent, made, statement.at)
        return (made,)


def _around(before: list[Stmt], region: tuple[Stmt, ...], after: list[Stmt]) -> tuple[Stmt, ...]:
    """Return `region` between others; inside a guard that is all of it, which can then become the loop's bounds."""
    only = region[0] if len(region) == 1 else None
    if isinstance(only, If) and not only.otherwise and next(free_jumps([only]), None) is None:
        condition = read_in([Assign("", only.condition, only.at, declares=False)])
        if not condition & assigned_in(before):
            return (replace(only, then=(*before, *only.then, *after)),)
    return (*before, *region, *after)


def _is_small(bound: Expr) -> bool:
    """Tell whether a difference of `bound` and an index cannot overflow."""
    if isinstance(bound, Binary):
        return bound.op in ("add", "sub") and _is_small(bound.left) and _is_small(bound.right)
    return isinstance(bound, DimValue) or (isinstance(bound, Const) and abs(int(bound.value)) < 1 << 60)


def _alone(statement: Stmt) -> Stmt:
    """Return a loop without its body, and any other statement as it is, to see what it assigns by itself."""
    if isinstance(statement, If):
        return replace(statement, then=(), otherwise=())
    return replace(statement, body=()) if isinstance(statement, (For, While, Parallel)) else statement


def _loop(variable: str, extent: int, body: Stmt, at: Location) -> For:
    bounds = [Const(value, i64, at) for value in (0, extent, 1)]
    return For(variable, bounds[0], bounds[1], bounds[2], (body,), at)
