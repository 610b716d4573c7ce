"""Draw kernels whose items share memory and wait for each other, without a race between them."""

from __future__ import annotations

import linecache
from random import Random
from typing import Any
from typing import Final

import pytest_xdevice as xd
from pytest_xdevice.kernel import Kernel

_FILE: Final = "<drawn groups>"
_NAMES: Final = ("kernel", "parallel", "In", "Out", "i64", "shared", "private", "barrier", "min")
_VARYING: Final = ("x0", "x1", "x2", "item", "a[i]", "own[1]", "own[item % 3]", "i")
_UNIFORM: Final = ("u0", "u1", "n", "i // BLOCK", "i - i % BLOCK", "k", "table[(u1 % 5 + 5) % 5]", "3", "-7")


class DrawnGroups:
    """One drawn kernel.

    Attributes
    ----------
    text : str
        Its source, in which BLOCK is the block.
    block : int
    """

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.block = self._random.choice((1, 2, 3, 4, 8))
        self._lines: list[str] = []
        self._counters = 0
        self._head()
        self._block(2, depth=3, uniform=True, in_loop=False)
        if self._chance(0.3):
            self._line(2, f"if {self._condition(False)}:")
            self._line(3, "continue")
        self._line(2, "b[i] = x0 + 3 * x1 - x2 + own[0] * 5 + own[1] - own[2] + u0 * 7 + u1")
        self.text = "\n".join(self._lines) + "\n"

    def kernel(self) -> Kernel:
        """Return the kernel of the text."""
        linecache.cache[_FILE] = (len(self.text), None, self.text.splitlines(keepends=True), _FILE)
        names: dict[str, Any] = {name: getattr(xd, name) for name in _NAMES}
        names |= {"n": xd.dim("n"), "BLOCK": self.block}
        exec(compile(self.text, _FILE, "exec", dont_inherit=True), names)
        made: Kernel = names["drawn"]
        _ = made.ir  # while its source is there
        return made

    def _chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _line(self, depth: int, text: str) -> None:
        self._lines.append("    " * depth + text)

    def _head(self) -> None:
        self._line(0, "@kernel")
        self._line(0, "def drawn(a: In[i64, n], table: In[i64, 5], b: Out[i64, n], start: i64):")
        self._line(1, "first = start * 2 + 1")
        self._line(1, "for i in parallel(n, block=BLOCK):")
        for text in (
            "tile = shared(i64, BLOCK)", "own = private(i64, 3)", "item = i % BLOCK", "size = min(BLOCK, n - i + item)",
            "x0, x1, x2 = a[i], item * 3, i", "u0, u1, k = first, n % 3, 0",
        ):  # fmt: skip
            self._line(2, text)

    def _block(self, depth_of_text: int, *, depth: int, uniform: bool, in_loop: bool) -> None:
        for _ in range(self._random.randint(1, 4)):
            self._statement(depth_of_text, depth, uniform=uniform, in_loop=in_loop)

    def _statement(self, at: int, depth: int, *, uniform: bool, in_loop: bool) -> None:
        simple = [self._assign, self._keep]
        if uniform:
            simple += [self._exchange, self._exchange, self._uniform_assign]
        if depth == 0 or self._chance(0.5):
            self._random.choice(simple)(at)
            return
        together = uniform and self._chance(0.6)
        kind = self._random.choice(("if", "for", "while"))
        if kind == "if":
            self._line(at, f"if {self._condition(together)}:")
            self._block(at + 1, depth=depth - 1, uniform=together, in_loop=in_loop)
            if self._chance(0.5):
                self._line(at, "else:")
                self._block(at + 1, depth=depth - 1, uniform=together, in_loop=in_loop)
            return
        self._loop(at, depth, kind, together)

    def _loop(self, at: int, depth: int, kind: str, together: bool) -> None:
        self._counters += 1
        name = f"c{self._counters}"
        count = self._expression(together)
        if kind == "for":
            self._line(at, f"for {name} in range(({count}) % 4):")
        else:
            self._line(at, f"{name} = ({count}) % 4")
            self._line(at, f"while {name} > 0:")
            self._line(at + 1, f"{name} -= 1")
        self._block(at + 1, depth=depth - 1, uniform=together, in_loop=True)
        if self._chance(0.4):
            self._line(at + 1, f"if {self._condition(together)}:")
            self._line(at + 2, self._random.choice(("break", "continue")))
            self._block(at + 1, depth=0, uniform=together, in_loop=True)

    def _assign(self, at: int) -> None:
        self._line(at, f"x{self._random.randint(0, 2)} = {self._expression(False)}")

    def _keep(self, at: int) -> None:
        if self._chance(0.2):
            self._line(at, "own = private(i64, 3)")
        self._line(at, f"own[{self._random.choice(('0', '1', '2', 'item % 3'))}] += {self._expression(False)}")

    def _uniform_assign(self, at: int) -> None:
        self._line(at, f"{self._random.choice(('u0', 'u1', 'k'))} = {self._expression(True)}")

    def _exchange(self, at: int) -> None:
        self._line(at, f"tile[item] = {self._expression(False)}")
        self._line(at, "barrier()")
        self._line(at, f"x{self._random.randint(0, 2)} = tile[(item + {self._random.randint(0, 3)}) % size]")
        if self._chance(0.3):
            self._line(at, f"if {self._condition(False)}:")
            self._line(at + 1, f"x0 += tile[(item + {self._random.randint(0, 3)}) % size]")
        self._line(at, "barrier()")

    def _expression(self, uniform: bool) -> str:
        leaves = _UNIFORM if uniform else (*_UNIFORM, *_VARYING, *_VARYING)
        left, right = self._random.choice(leaves), self._random.choice(leaves)
        operator = self._random.choice(("+", "-", "*", "^", "&"))
        return f"({left}) {operator} ({right})" if self._chance(0.7) else left

    def _condition(self, uniform: bool) -> str:
        return f"({self._expression(uniform)}) % 3 {self._random.choice(('==', '!=', '<'))} 1"
