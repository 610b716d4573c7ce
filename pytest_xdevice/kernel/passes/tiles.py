"""Find which iterations of a parallel loop a GPU's work-item takes as one tile, and which elements these use together.

A GPU's memory is kept busy where each work-item has 16 bytes or so under way at once. Iterations that follow each
other use elements that follow each other: a tile's `Window` of an array is loaded into registers before the iterations
and stored after them, in accesses as wide as they come. On an H200, by the bandwidth of its own copy: a stencil of 3
points reaches 1.00 instead of 0.88, one of 5 points 0.94 instead of 0.79, pixels of three bytes to grey 1.01 instead
of 0.76, and a transpose, whose tiles have two dimensions, 0.93 instead of 0.43.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from typing import Any
from typing import Final

from pytest_xdevice.kernel.ir import Atomic
from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Break
from pytest_xdevice.kernel.ir import Clear
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Continue
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Parallel
from pytest_xdevice.kernel.ir import Return
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.ir import Store
from pytest_xdevice.kernel.traversal import accesses
from pytest_xdevice.kernel.traversal import loads
from pytest_xdevice.kernel.traversal import locals_of
from pytest_xdevice.kernel.traversal import meaning
from pytest_xdevice.kernel.traversal import walk
from pytest_xdevice.kernel.types import ArrayType

from .phases import assigned_in

# Iterations of a tile in each of its dimensions, by the bytes of the widest element.
_ITERATIONS: Final = {1: 8, 2: 8, 4: 4}
_MOST_BYTES: Final = 256  # of registers that the windows of a tile fill, of the 1020 that a work-item may have
_MOST_APART: Final = 8  # elements from the first to the last that one iteration uses of a window


@dataclass(frozen=True)
class Window:
    """Elements of an array that lie side by side along one of a tile's variables.

    Attributes
    ----------
    array : str
    outer : tuple of Expr
        The indices before those that place them.
    variable : str
        The variable along which they lie.
    stride : int
        Elements from one iteration's to the next one's: 1, or as many as a row has where the variable counts rows.
    first, last : int
        The least and the greatest that one iteration uses, counted from ``stride * variable``.
    across : str or None
        The tile's other variable where `outer` depends on it: there is a window for each of its iterations.
    is_loaded, is_stored : bool
        Whether it gets its elements before the iterations, and whether it gives them back after them.
    """

    array: str
    outer: tuple[Expr, ...]
    variable: str
    stride: int
    first: int
    last: int
    across: str | None
    is_loaded: bool = False
    is_stored: bool = False

    @property
    def line(self) -> tuple[Any, ...]:
        """What windows along one line of an array have in common."""
        return self.array, tuple(map(meaning, self.outer)), self.variable, self.stride

    def holds(self, use: Window) -> bool:
        """Tell whether what one iteration uses by `use` is among these elements."""
        return self.line == use.line and self.first <= use.first and use.last <= self.last

    def count(self, iterations: int) -> int:
        """Return the number of elements for as many iterations."""
        return self.stride * (iterations - 1) + self.last - self.first + 1


@dataclass(frozen=True)
class Tile:
    """The iterations of a parallel loop that one work-item takes.

    Attributes
    ----------
    loop : Parallel
        The loop over those iterations that do anything.
    variables : tuple of str
        The last of the loop's variables, or the last two.
    iterations : int
        How many of each of them.
    windows : tuple of Window
        Of all elements that depend on the variables.
    """

    loop: Parallel
    variables: tuple[str, ...]
    iterations: int
    windows: tuple[Window, ...]

    @property
    def is_square(self) -> bool:
        """Whether it has two dimensions."""
        return len(self.variables) > 1


@dataclass(frozen=True)
class _Access:
    """An element that a statement reads or writes, and whether each iteration does so."""

    array: str
    indices: tuple[Expr, ...]
    is_store: bool
    is_always: bool


def find_tile(loop: Parallel, arrays: Mapping[str, ArrayType]) -> Tile | None:
    """Return how a work-item takes iterations of a legal loop that has no loop in it, or None.

    There is a tile where every element of `arrays` that depends on the iteration is one of a window. A window's
    elements are used in each iteration, and an array that is written is read at the same elements only.
    """
    if any(isinstance(each, (Atomic, Break, Clear, Continue, Return)) for each in walk(loop.body)):
        return None
    used = [access for access in _accesses(loop.body) if access.array in arrays]
    changing = assigned_in(loop.body)
    if any(_locals_of(access) & changing for access in used):
        return None
    for variables in (loop.variables[-1:], loop.variables[-2:]):
        windows = _windows(used, variables, arrays)
        if windows is not None:
            return _tile(loop, variables, windows, arrays)
    return None


def element_use(
    array: str, indices: Sequence[Expr], variables: tuple[str, ...], extents: Sequence[object]
) -> Window | None:
    """Return the window of one element in one iteration, or None where none of `variables` counts its places."""
    *outer, last = indices
    variable, stride, first = _place(last)
    if variable is None and outer and isinstance(extents[-1], int):
        variable, rows, row = _place(outer.pop())
        stride, first = rows * extents[-1], row * extents[-1] + first
    outside = set().union(*map(locals_of, outer))
    if variable not in variables or stride < 1 or variable in outside or any(any(loads(index)) for index in outer):
        return None
    across = next((name for name in variables if name in outside), None)
    return Window(array, tuple(outer), variable, stride, first, first, across)


def _tile(
    loop: Parallel, variables: tuple[str, ...], windows: tuple[Window, ...], arrays: Mapping[str, ArrayType]
) -> Tile | None:
    sizes = {window.array: arrays[window.array].element.nbytes for window in windows}
    iterations = _ITERATIONS.get(max(sizes.values(), default=0))
    if iterations is None:
        return None
    nbytes = sum(
        window.count(iterations) * (iterations if window.across else 1) * sizes[window.array] for window in windows
    )
    return Tile(loop, variables, iterations, windows) if nbytes <= _MOST_BYTES else None


def _accesses(body: Iterable[Stmt]) -> Iterator[_Access]:
    top = list(body)
    for statement in walk(top):
        is_always = any(statement is each for each in top)
        # Of a legal choice both branches are evaluated, and of an `If` at least the condition.
        for array, indices in accesses([statement]):
            is_store = isinstance(statement, Store) and indices is statement.indices
            yield _Access(array, indices, is_store, is_always)


def _locals_of(access: _Access) -> set[str]:
    return set().union(*map(locals_of, access.indices))


def _windows(
    used: Iterable[_Access], variables: tuple[str, ...], arrays: Mapping[str, ArrayType]
) -> tuple[Window, ...] | None:
    """Return the windows of all elements that depend on a tile's variables, or None where one has none."""
    by_array: dict[str, list[tuple[_Access, Window | None]]] = {}
    for access in used:
        use = element_use(access.array, access.indices, variables, arrays[access.array].extents)
        if use is None and _locals_of(access) & set(variables):
            return None
        by_array.setdefault(access.array, []).append((access, use))
    found: list[Window] = []
    for uses in by_array.values():
        windows = _written(uses, len(variables)) if any(access.is_store for access, _ in uses) else _read(uses)
        if windows is None:
            return None
        found += windows
    return tuple(found)


def _read(uses: Iterable[tuple[_Access, Window | None]]) -> list[Window] | None:
    """Return the windows of an array that is only read: one a line, of what every iteration reads."""
    placed = [(access, use) for access, use in uses if use is not None]
    lines: dict[object, Window] = {}
    for access, use in placed:
        if access.is_always:
            known = lines.get(use.line, use)
            wider = replace(known, first=min(known.first, use.first), last=max(known.last, use.last))
            lines[use.line] = replace(wider, is_loaded=True)
    for _, use in placed:
        if use.line not in lines or not lines[use.line].holds(use):
            return None
    narrow = all(window.last - window.first <= max(_MOST_APART, window.stride) for window in lines.values())
    return list(lines.values()) if narrow else None


def _written(uses: Iterable[tuple[_Access, Window | None]], dimensions: int) -> list[Window] | None:
    """Return the window of an array that is written: one whose elements every iteration writes."""
    placed = [(access, use) for access, use in uses if use is not None]
    if not placed or len(placed) < len(list(uses)) or not all(access.is_always for access, _ in placed):
        return None
    window = placed[0][1]
    written = {use.first for access, use in placed if access.is_store}
    wanted = range(min(written), min(written) + window.stride)
    if written != set(wanted) or any(use.line != window.line or use.first not in wanted for _, use in placed):
        return None
    if dimensions > 1 and window.across is None:
        return None
    is_loaded = any(not access.is_store for access, _ in placed)
    return [replace(window, first=wanted[0], last=wanted[-1], is_loaded=is_loaded, is_stored=True)]


def _place(index: Expr) -> tuple[str | None, int, int]:
    """Return the variable of an index, by what it is multiplied and what is added; a constant has no variable."""
    if isinstance(index, Const):
        return None, 0, int(index.value)
    if isinstance(index, Local):
        return index.name, 1, 0
    if not isinstance(index, Binary) or index.op not in ("add", "sub", "mul"):
        return "", 0, 0
    left, right = _place(index.left), _place(index.right)
    if index.op == "mul":
        (variable, times, plus), (constant, _, factor) = (right, left) if left[0] is None else (left, right)
        return (variable, times * factor, plus * factor) if constant is None else ("", 0, 0)
    if right[0] is None:
        return left[0], left[1], left[2] + (right[2] if index.op == "add" else -right[2])
    return (right[0], right[1], left[2] + right[2]) if left[0] is None and index.op == "add" else ("", 0, 0)
