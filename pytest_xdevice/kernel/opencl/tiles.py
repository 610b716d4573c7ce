"""Print what a GPU's work-item does with a whole tile of iterations: it loads windows, computes, and stores windows."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Final

from pytest_xdevice.kernel.ir import Binary
from pytest_xdevice.kernel.ir import Compare
from pytest_xdevice.kernel.ir import Const
from pytest_xdevice.kernel.ir import Expr
from pytest_xdevice.kernel.ir import KernelIR
from pytest_xdevice.kernel.ir import Local
from pytest_xdevice.kernel.ir import Stmt
from pytest_xdevice.kernel.passes.tiles import element_use
from pytest_xdevice.kernel.passes.tiles import Tile
from pytest_xdevice.kernel.passes.tiles import Window
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f16
from pytest_xdevice.kernel.types import i64

from .expressions import ExpressionPrinter
from .expressions import Place
from .spelling import register_type
from .text import Text

_VECTORS: Final = {"uint4": 16, "uint2": 8, "uint": 4, "ushort": 2, "uchar": 1}  # and their bytes


class TilePrinter:
    """Prints the iterations of a tile.

    Parameters
    ----------
    text : Text
    expressions : ExpressionPrinter
        Prints elements as those of windows meanwhile.
    ir : KernelIR
        What `expressions` prints.
    tile : Tile
    block : callable
        Prints statements.
    """

    def __init__(
        self,
        text: Text,
        expressions: ExpressionPrinter,
        ir: KernelIR,
        tile: Tile,
        block: Callable[[Iterable[Stmt]], None],
    ) -> None:
        self._text = text
        self._expressions = expressions
        self._ir = ir
        self._tile = tile
        self._block = block
        self._names = {window.line: f"w{number}" for number, window in enumerate(tile.windows)}
        self._counters: dict[str, str] = {}

    def conditions(self) -> Iterator[str]:
        """Yield the conditions under which all iterations of the tile that begins at the variables do something."""
        loop = self._tile.loop
        for axis, variable in enumerate(loop.variables):
            first = Local(variable, i64, loop.at)
            if loop.starts and not _is_zero(loop.starts[axis]):
                yield self._expressions.compare(Compare("ge", first, loop.starts[axis], bool_, loop.at))
            iterations = self._tile.iterations if variable in self._tile.variables else 1
            end = Binary("add", first, Const(iterations, i64, loop.at), i64, loop.at)
            yield self._expressions.compare(Compare("le", end, loop.extents[axis], bool_, loop.at))

    def whole(self, firsts: Mapping[str, str]) -> None:
        """Print the tile whose variables begin at the values that `firsts` names."""
        for window in self._tile.windows:
            self._declare(window)
        for window in self._tile.windows:
            if window.is_loaded:
                self._lines(window, firsts, self._take)
        self._iterations(firsts)
        for window in self._tile.windows:
            if window.is_stored:
                self._lines(window, firsts, self._give)

    def _declare(self, window: Window) -> None:
        lines = f"[{self._tile.iterations}]" if window.across else ""
        count = window.count(self._tile.iterations)
        self._text.emit(f"{self._register(window)} {self._names[window.line]}{lines}[{count}];")

    def _iterations(self, firsts: Mapping[str, str]) -> None:
        self._counters = {variable: f"k{self._text.number()}" for variable in self._tile.variables}
        with contextlib.ExitStack() as stack:
            for variable, counter in self._counters.items():
                stack.enter_context(self._unrolled(counter))
                self._text.emit(f"{self._expressions.name(variable)} = {firsts[variable]} + {counter};")
            before, self._expressions.registers = self._expressions.registers, self._place
            self._block(self._tile.loop.body)
            self._expressions.registers = before

    def _unrolled(self, counter: str) -> contextlib.AbstractContextManager[None]:
        """Print what is emitted meanwhile for each iteration of one of the tile's variables."""
        return self._text.block(
            f"XD_UNROLLED for (int {counter} = 0; {counter} < {self._tile.iterations}; ++{counter})"
        )

    def _place(self, array: str, indices: tuple[Expr, ...]) -> Place | None:
        """Return where the present iteration has an element in a window, or None where it has none."""
        if array in self._ir.arrays:
            return None
        use = element_use(array, indices, self._tile.variables, self._ir.array(array).extents)
        window = next((each for each in self._tile.windows if use is not None and each.holds(use)), None)
        if use is None or window is None:
            return None
        line = f"[{self._counters[window.across]}]" if window.across else ""
        place = self._counters[window.variable]
        place = place if window.stride == 1 else f"{place} * {window.stride}"
        offset = use.first - window.first
        return f"{self._names[window.line]}{line}", f"{place} + {offset}" if offset else place

    def _lines(self, window: Window, firsts: Mapping[str, str], move: Callable[[Window, str], None]) -> None:
        """Print how each line of a window is moved, with the variables at the tile's first iteration."""
        name = self._names[window.line]
        for variable in self._tile.variables:
            self._text.emit(f"{self._expressions.name(variable)} = {firsts[variable]};")
        if window.across is None:
            move(window, name)
            return
        counter = f"k{self._text.number()}"
        with self._unrolled(counter):
            self._text.emit(f"{self._expressions.name(window.across)} = {firsts[window.across]} + {counter};")
            move(window, f"{name}[{counter}]")

    def _take(self, window: Window, line: str) -> None:
        """Print how a line of a window gets its elements: those of the tile's own places at once, others singly."""
        whole = window.stride * self._tile.iterations
        before, after = -window.first, window.last - (window.stride - 1)
        start = self._start(window)
        if before < 0 or after < 0:
            self._one_by_one(line, 0, f"({start})", window.first, window.count(self._tile.iterations))
            return
        self._move("XD_TAKE", window, whole, _after(line, before), start)
        self._one_by_one(line, 0, f"({start})", -before, before)
        self._one_by_one(line, before + whole, f"({start})", whole, after)

    def _give(self, window: Window, line: str) -> None:
        """Print how a line of a window gives its elements back."""
        count = window.count(self._tile.iterations)
        self._move("XD_GIVE", window, count, _after(self._start(window), window.first), line)

    def _move(self, macro: str, window: Window, count: int, to: str, source: str) -> None:
        nbytes = count * self._ir.array(window.array).element.nbytes
        vector = next(name for name, size in _VECTORS.items() if nbytes % size == 0)
        self._text.emit(f"{macro}({self._register(window)}, {vector}, {count}, {to}, {source})")

    def _one_by_one(self, to: str, to_first: int, source: str, source_first: int, count: int) -> None:
        for number in range(count):
            self._text.emit(f"{to}[{to_first + number}] = {source}[{source_first + number}];")

    def _register(self, window: Window) -> str:
        return register_type(self._ir.array(window.array).element)

    def _start(self, window: Window) -> str:
        """Return a pointer to the element from which a line's places are counted, with its variable at the first."""
        array, at = self._ir.array(window.array), self._tile.loop.at
        inner = array.extents[len(window.outer) + 1 :]
        first: Expr = Local(window.variable, i64, at)
        times = window.stride // math.prod(size for size in inner if isinstance(size, int))
        if times != 1:
            first = Binary("mul", first, Const(times, i64, at), i64, at)
        indices = (*window.outer, first, *(Const(0, i64, at) for _ in inner))
        pointer, index = self._expressions.place(window.array, indices)
        if array.element == f16:
            pointer = f"(__global {'' if window.is_stored else 'const '}{self._register(window)} *){pointer}"
        return f"{pointer} + {index}"


def _is_zero(expr: Expr) -> bool:
    return isinstance(expr, Const) and expr.value == 0


def _after(pointer: str, count: int) -> str:
    return f"{pointer} + {count}" if count else pointer
