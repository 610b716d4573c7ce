"""Random whole kernels as the Python text that an author would write: loops, branches, several phases, guarded loads.

Every operation in them must give the same bits on every target. A kernel is made of what a `hypothesis` strategy draws,
so that a disagreement shrinks to a short kernel.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Final

import numpy as np
from hypothesis import strategies as st

import pytest_xdevice as xd
from pytest_xdevice.kernel.frontend.promote import promote
from pytest_xdevice.kernel.frontend.promote import Refusal
from pytest_xdevice.kernel.kernel import Kernel
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import bool_
from pytest_xdevice.kernel.types import f32
from pytest_xdevice.kernel.types import i32
from pytest_xdevice.kernel.types import i64
from pytest_xdevice.kernel.types import ScalarType

from .drawn import edge_values
from .drawn import FLOATS
from .drawn import INTEGERS
from .drawn import TYPES

_FILE: Final = "<drawn kernel>"
_NAMES: Final = (
    "kernel", "parallel", "private", "In", "InOut", "sqrt", "floor", "ceil", "trunc", "fmod", "isnan", "isinf",
    "isfinite", *(scalar.name for scalar in TYPES),
)  # fmt: skip
_COMPARISONS: Final = ("==", "!=", "<", "<=", ">", ">=")
_DEEPEST: Final = 3  # of an expression
_MOST_STATEMENTS: Final = 14  # of a kernel, its loops included
_INDENT: Final = "    "


@dataclass(frozen=True)
class DrawnKernel:
    """The text of a kernel ``drawn``, and the shapes of its arrays: ``m`` by ``n``."""

    text: str
    m: int
    n: int

    def kernel(self) -> Kernel:
        """Return the kernel."""
        lines = self.text.splitlines(keepends=True)
        linecache.cache[_FILE] = (len(self.text), None, lines, _FILE)
        names: dict[str, Any] = {name: getattr(xd, name) for name in _NAMES}
        names |= {"m": xd.dim("m"), "n": xd.dim("n")}
        exec(compile(self.text, _FILE, "exec", dont_inherit=True), names)
        made: Kernel = names["drawn"]
        _ = made.ir  # while its source is there
        return made

    def arguments(self, kernel: Kernel, seed: int) -> list[Any]:
        """Return arrays and scalars of edge values, another selection for each seed."""
        chosen = np.random.default_rng(seed)
        sizes = {"m": self.m, "n": self.n}
        arguments: list[Any] = []
        for param in kernel.signature.params:
            array = isinstance(param.type, ArrayType)
            scalar = param.type.element if isinstance(param.type, ArrayType) else param.type
            shape = tuple(sizes[str(extent)] for extent in param.type.extents) if array else ()  # type: ignore[union-attr]
            edges = np.array(edge_values(scalar), dtype=scalar.dtype)
            picked = edges[chosen.integers(0, len(edges), shape)]
            arguments.append(picked if array else picked.item())
        return arguments


@dataclass
class _Block:
    """The statements that are being written, and the names that can be read and assigned there."""

    depth: int
    lines: list[str]
    locals: list[tuple[str, ScalarType]] = field(default_factory=list)
    frozen: int = 0  # so many of `locals` belong to the kernel, outside of the parallel loop
    private: list[tuple[str, ScalarType]] = field(default_factory=list)


@dataclass(frozen=True)
class _Helper:
    """A function that kernels can call."""

    name: str
    params: tuple[ScalarType, ...]
    result: ScalarType


class _Author:
    """Writes one kernel: each choice is `draw`'s."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.types = self._palette()
        self.elements = {f"a_{t.name}": t for t in self.types} | {f"r_{t.name}": t for t in self.types}
        self.grids = {f"g_{t.name}": t for t in self.types[:2]}
        self.scalars = {f"s_{t.name}": t for t in self.types}
        self.block = _Block(1, [])
        self.budget = draw(st.integers(2, _MOST_STATEMENTS))
        self.made = 0
        self.row: str | None = None  # index variables of the parallel loop around
        self.column: str | None = None
        self.loops = 0
        self.in_helper = False
        self.helpers: list[_Helper] = []

    def _palette(self) -> list[ScalarType]:
        drawn = self.draw(st.lists(st.sampled_from((*INTEGERS, *FLOATS)), min_size=1, max_size=2, unique=True))
        return [*drawn, *(each for each in (i64, f32, bool_) if each not in drawn)]

    # --- the whole --------------------------------------------------------------------------------------

    def text(self) -> str:
        """Return the kernel's text."""
        params = [f"{name}: {'In' if name[0] == 'a' else 'InOut'}[{t.name}, n]" for name, t in self.elements.items()]
        params += [f"{name}: InOut[{t.name}, m, n]" for name, t in self.grids.items()]
        params += [f"{name}: {t.name}" for name, t in self.scalars.items()]
        for _ in range(self.draw(st.integers(0, 2))):
            self.helper()
        above, self.block = self.block.lines, _Block(1, [])
        for _ in range(self.draw(st.integers(1, 4))):
            self.choose(self.parallel_row, self.parallel_row, self.parallel_grid, self.sequential)()
        return "\n".join([*above, "@kernel", f"def drawn({', '.join(params)}):", *self.block.lines]) + "\n"

    def helper(self) -> None:
        """Write a helper function, which sees its parameters alone and may return early."""
        params = tuple(self.choose(*self.types) for _ in range(self.draw(st.integers(1, 3))))
        made = _Helper(self.fresh("h"), params, self.choose(*self.types))
        names = [(self.fresh("v"), scalar) for scalar in params]
        typed = self.choose(True, False)  # without types a parameter takes that of its argument
        shown = ", ".join(f"{name}: {scalar.name}" if typed else name for name, scalar in names)
        elements, scalars, self.elements, self.scalars = self.elements, self.scalars, {}, {}
        self.block.depth, self.in_helper = 0, True
        self.line(f"def {made.name}({shown}) -> {made.result.name}:")
        with self.nested(names, parallel=True):
            self.statements(0, 2)
            for _ in range(self.draw(st.integers(0, 2))):
                self.line(f"if {self.condition(1)}:")
                self.line(f"{_INDENT}return {self.expression(made.result, 2)}")
            self.line(f"return {self.expression(made.result, _DEEPEST)}")
        self.elements, self.scalars, self.in_helper = elements, scalars, False
        self.helpers.append(made)

    def parallel_row(self) -> None:
        """Write a parallel loop over the elements of a row, or some of them."""
        variable = self.fresh("p")
        block = self.choose("", "", ", block=4", ", block=32")
        extent = self.choose("n", "n", "range(1, n)", "range(n - 1, -1, -2)", "range(0, n, 3)")
        self.line(f"for {variable} in parallel({extent}{block}):")
        self.column = variable
        self.parallel_body([variable])
        self.column = None

    def parallel_grid(self) -> None:
        """Write a parallel loop over two dimensions."""
        row, column = self.fresh("q"), self.fresh("p")
        block = self.choose("", "", ", block=(2, 8)")
        self.line(f"for {row}, {column} in parallel(m, n{block}):")
        self.row, self.column = row, column
        self.parallel_body([row, column])
        self.row = self.column = None

    def parallel_body(self, variables: list[str]) -> None:
        loops, self.loops = self.loops, 0
        self.block.private.clear()  # no parallel loop comes into an array of the part that runs once
        with self.nested([(name, i64) for name in variables], parallel=True):
            self.statements(2, 5)
            self.store()
        self.loops = loops

    def sequential(self) -> None:
        """Write statements between the parallel loops."""
        self.statements(1, 3)

    # --- statements -------------------------------------------------------------------------------------

    def statements(self, least: int, most: int) -> None:
        for _ in range(self.draw(st.integers(least, most))):
            self.statement()

    def statement(self) -> None:
        self.budget -= 1
        simple = [self.declare, self.declare, self.reassign, self.augment]
        if not self.in_helper:
            simple += [self.store, self.store, self.store_private]
        nested = [self.branch, self.branch, self.counted, self.repeated] if self.budget > 0 else []
        if self.column is None and self.loops == 0 and not self.in_helper and self.draw(st.integers(0, 9)) == 0:
            nested = [*nested, self.leave_kernel]
        if self.loops or (self.column and self.draw(st.integers(0, 4)) == 0):
            nested = [*nested, self.leave]
        self.choose(*simple, *nested)()

    def declare(self) -> None:
        scalar = self.choose(*self.types)
        value = self.expression(scalar, _DEEPEST)
        name = self.fresh("x")
        self.line(f"{name} = {value}")
        self.block.locals.append((name, scalar))

    def assignable(self) -> list[tuple[str, ScalarType]]:
        return [each for each in self.block.locals[self.block.frozen :] if each[0][0] == "x"]

    def reassign(self) -> None:
        if not self.assignable():
            return self.declare()
        name, scalar = self.choose(*self.assignable())
        return self.line(f"{name} = {self.expression(scalar, _DEEPEST)}")

    def augment(self) -> None:
        names = [each for each in self.assignable() if each[1] != bool_]
        if not names:
            return self.declare()
        name, scalar = self.choose(*names)
        return self.line(f"{name} {self.operator(scalar)}= {self.expression(scalar, 2)}")

    def store(self) -> None:
        """Write an element that, in a parallel loop, belongs to this iteration alone."""
        if self.row:
            name, scalar = self.choose(*self.grids.items())
            place = f"{name}[{self.row}, {self.column}]"
        else:
            name, scalar = self.choose(*(each for each in self.elements.items() if each[0][0] == "r"))
            place = f"{name}[{self.column or self.choose('0', 'n - 1')}]"
        sign = self.operator(scalar) if scalar != bool_ and self.draw(st.integers(0, 4)) == 0 else ""
        self.line(f"{place} {sign}= {self.expression(scalar, _DEEPEST)}")

    def store_private(self) -> None:
        """Write an element of an array of the iteration's own, or make one."""
        if not self.block.private or self.draw(st.integers(0, 3)) == 0:
            scalar = self.choose(*(each for each in self.types if each != bool_))
            name = self.fresh("t")
            self.line(f"{name} = private({scalar.name}, 4)")
            self.block.private.append((name, scalar))
            return
        name, scalar = self.choose(*self.block.private)
        self.line(f"{name}[{self.private_index()}] = {self.expression(scalar, 2)}")

    def private_index(self) -> str:
        return self.choose("0", "-1", "2", f"i64({self.small()} % 4)")

    def branch(self) -> None:
        self.line(f"if {self.condition(2)}:")
        with self.nested():
            self.statements(1, 2)
        kind = self.draw(st.integers(0, 3))
        if kind == 0:
            self.line(f"elif {self.condition(2)}:")
            with self.nested():
                self.statements(1, 2)
        if kind < 2:
            self.line("else:")
            with self.nested():
                self.statements(1, 2)

    def counted(self) -> None:
        """Write a `range` loop of a few iterations, upwards or downwards."""
        name = self.fresh("k")
        extents = [] if self.in_helper else ["m"]
        bound = self.choose("3", "5", *extents, f"min(4, {self.draw(st.integers(0, 6))})", f"i64({self.small()} % 5)")
        kind = self.draw(st.integers(0, 3))
        bounds = {0: bound, 1: f"-2, {bound}", 2: f"{bound}, -1, -1", 3: f"1, {bound}, 2"}[kind]
        self.line(f"for {name} in range({bounds}):")
        self.loops += 1
        with self.nested([(name, i64)]):
            self.statements(1, 3)
        self.loops -= 1

    def repeated(self) -> None:
        """Write a `while` loop that ends by a counter of its own."""
        name = self.fresh("w")
        self.line(f"{name} = {self.choose('0', 'i64(1)')}")
        self.line(f"while {name} < {self.draw(st.integers(0, 4))} and {self.condition(2)}:")
        self.loops += 1
        with self.nested([(name, i64)]):
            self.line(f"{name} += 1")
            self.statements(1, 3)
        self.loops -= 1

    def leave(self) -> None:
        """Write a conditional end of an iteration or a loop."""
        word = self.choose("continue", "break") if self.loops else "continue"
        self.line(f"if {self.condition(2)}:")
        self.line(f"{_INDENT}{word}")

    def leave_kernel(self) -> None:
        self.line(f"if {self.condition(2)}:")
        self.line(f"{_INDENT}return")

    @contextmanager
    def nested(self, names: Sequence[tuple[str, ScalarType]] = (), *, parallel: bool = False) -> Any:
        """Write a block; what it declares is gone after it."""
        outer = self.block
        known = [*outer.locals, *names]
        frozen = len(outer.locals) if parallel else outer.frozen
        own = [] if parallel else list(outer.private)
        self.block = _Block(outer.depth + 1, outer.lines, known, frozen, own)
        yield
        self.block = outer

    # --- expressions ------------------------------------------------------------------------------------

    def expression(self, scalar: ScalarType, depth: int) -> str:
        """Return an expression of exactly the type `scalar`."""
        if depth <= 0 or self.draw(st.integers(0, 5)) == 0:
            return self.leaf(scalar)
        if scalar == bool_:
            return self.condition(depth)
        kind = self.draw(st.integers(0, 9))
        if kind == 0:
            then, otherwise = self.expression(scalar, depth - 1), self.expression(scalar, depth - 1)
            return f"({then} if {self.condition(depth - 1)} else {otherwise})"
        if kind == 1:
            source = self.choose(*TYPES)
            return f"{scalar.name}({self.expression(source, depth - 1)})"
        if kind == 2:
            return self.guarded(scalar)
        helpers = [helper for helper in self.helpers if helper.result == scalar]
        if kind == 3 and helpers:
            helper = self.choose(*helpers)
            return f"{helper.name}({', '.join(self.expression(each, depth - 2) for each in helper.params)})"
        return self.arithmetic(scalar, depth)

    def arithmetic(self, scalar: ScalarType, depth: int) -> str:
        left = self.expression(scalar, depth - 1)
        functions = ("sqrt", "abs", "floor", "ceil", "trunc", "round") if scalar.is_float else ("abs",)
        kind = self.draw(st.integers(0, 7))
        if kind == 0:
            return f"{self.choose(*functions)}({left})"
        if kind == 1:
            return f"({self.choose('-', '+', *(['~'] if scalar.is_integer else []))}{left})"
        if kind == 2:
            return f"{self.choose('min', 'max')}({left}, {self.expression(scalar, depth - 1)})"
        if kind == 3:
            return f"({left} ** {self.draw(st.integers(0, 5))})"
        if kind == 4 and scalar.is_float:
            return f"fmod({left}, {self.expression(scalar, depth - 1)})"
        right = self.partner(scalar, depth - 1)
        return f"({left} {self.operator(scalar)} {right})"

    def partner(self, scalar: ScalarType, depth: int) -> str:
        """Return a right operand that leaves the operation in the type `scalar`: a weak literal, or a narrower type."""
        if self.draw(st.integers(0, 3)) == 0:
            value = self.draw(st.integers(0, 9))
            return f"{value}.5" if scalar.is_float else str(value)
        return self.expression(self.choose(scalar, scalar, *_partners(scalar)), depth)

    def condition(self, depth: int) -> str:
        if depth <= 0:
            return self.leaf(bool_)
        kind = self.draw(st.integers(0, 7))
        if kind == 0:
            return f"({self.condition(depth - 1)} {self.choose('and', 'or')} {self.condition(depth - 1)})"
        if kind == 1:
            return f"(not {self.condition(depth - 1)})"
        if kind == 2:
            scalar = self.choose(*FLOATS)
            return f"{self.choose('isnan', 'isinf', 'isfinite')}({self.expression(scalar, depth - 1)})"
        if kind == 3:
            return f"({self.condition(depth - 1)} {self.choose('&', '|', '^', '==', '!=')} {self.condition(depth - 1)})"
        if kind == 4 and self.column:
            name, scalar = self.element()
            test = f"{name}[{self.column} - 1] {self.choose(*_COMPARISONS)} {self.leaf(scalar)}"
            return f"({self.column} > 0 and {test})"
        scalar = self.choose(*self.types)
        operands = [self.expression(scalar, depth - 1) for _ in range(3 if kind == 5 else 2)]
        links = [part for operand in operands[1:] for part in (self.choose(*_COMPARISONS), operand)]
        return f"({' '.join([operands[0], *links])})"

    def guarded(self, scalar: ScalarType) -> str:
        """Return a load of a neighbour that a condition keeps within the array."""
        found = [name for name, t in self.elements.items() if t == scalar and name[0] == "a"]
        if not found or not self.column:
            return self.leaf(scalar)
        name, other = self.choose(*found), self.leaf(scalar)
        if self.choose(True, False):
            return f"({name}[{self.column} - 1] if {self.column} > 0 else {other})"
        return f"({name}[{self.column} + 1] if {self.column} < n - 1 else {other})"

    def element(self) -> tuple[str, ScalarType]:
        return self.choose(*(each for each in self.elements.items() if each[0][0] == "a"))

    def leaf(self, scalar: ScalarType) -> str:
        """Return a literal, a scalar parameter, a local or an element of the type `scalar`."""
        kinds: list[Callable[[ScalarType], str]] = [self.literal]
        if any(t == scalar for t in self.scalars.values()):
            kinds += [self.parameter, self.load, self.load]
        if any(t == scalar for _, t in self.block.locals):
            kinds += [self.local, self.local, self.local]
        if any(t == scalar for _, t in self.block.private):
            kinds += [self.private, self.private]
        return self.choose(*kinds)(scalar)

    def literal(self, scalar: ScalarType) -> str:
        value = self.choose(*edge_values(scalar))
        shown = f"float('{value}')" if value != value or value in (float("inf"), -float("inf")) else repr(value)
        return f"{scalar.name}({shown})"

    def parameter(self, scalar: ScalarType) -> str:
        return f"s_{scalar.name}"

    def local(self, scalar: ScalarType) -> str:
        return self.choose(*(name for name, t in self.block.locals if t == scalar))

    def private(self, scalar: ScalarType) -> str:
        return f"{self.choose(*(name for name, t in self.block.private if t == scalar))}[{self.private_index()}]"

    def load(self, scalar: ScalarType) -> str:
        """Return an element that nobody else writes meanwhile."""
        if self.row and f"g_{scalar.name}" in self.grids and self.choose(True, False):
            return f"g_{scalar.name}[{self.row}, {self.column}]"
        if self.column and not self.row and self.choose(True, False):
            return f"r_{scalar.name}[{self.column}]"
        return f"a_{scalar.name}[{self.index()}]"

    def index(self) -> str:
        anywhere = ["0", "-1", "n - 1", f"i64({self.small()} % n)"]
        if self.column:
            anywhere += [self.column, self.column, self.column, f"n - 1 - {self.column}", f"({self.column} + 3) % n"]
        return self.choose(*anywhere)

    def small(self) -> str:
        """Return a whole number, for a bound or an index once ``%`` has cut it."""
        names = [name for name, t in self.block.locals if t in (i64, i32)]
        return self.choose(*(["s_i64"] if self.scalars else []), "7", *names)

    def operator(self, scalar: ScalarType) -> str:
        if scalar.is_float:
            return self.choose("+", "-", "*", "/", "//", "%")
        return self.choose("+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^")

    # --- text -------------------------------------------------------------------------------------------

    def choose(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def fresh(self, letter: str) -> str:
        self.made += 1
        return f"{letter}{self.made}"

    def line(self, text: str) -> None:
        self.block.lines.append(_INDENT * self.block.depth + text)


def _partners(scalar: ScalarType) -> list[ScalarType]:
    """Return the types whose values an operation takes up into `scalar` by itself."""
    found = []
    for other in TYPES:
        try:
            if other != bool_ and promote(scalar, other) == scalar:
                found.append(other)
        except Refusal:
            continue
    return found


@st.composite
def kernels(draw: st.DrawFn) -> DrawnKernel:
    """Draw a kernel; each of its outcomes is the same on every target, bit by bit."""
    text = _Author(draw).text()
    return DrawnKernel(text, m=draw(st.sampled_from((1, 3))), n=draw(st.sampled_from((1, 5, 17, 33))))
