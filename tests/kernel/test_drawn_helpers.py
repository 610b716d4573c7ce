"""Random helper functions, with loops, early returns and calls of each other, give what Python itself gives."""

from __future__ import annotations

import linecache
from typing import Any
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from .ways import Run
from .ways import WAYS

FILE: Final = "<drawn helpers>"
COUNT: Final = 4  # helpers of one kernel, each of which may call those before it
VALUES: Final = np.array([-7, -1, 0, 1, 2, 5, 30, 96])
_SIMPLE: Final = ("x", "y", "z", "0", "1", "2", "3", "a[0]", "a[1]", "a[(x * x) % 8]", "a[y % 8]")
_VALUES: Final = (
    "({} + {}) % 97", "({} - {}) % 97", "({} * {}) % 97", "({} if {} < {} else {})", "max({}, {})", "-{}", "abs({})",
    "{} // 3", "({} + 1)",
)  # fmt: skip
_TESTS: Final = (
    "{} < {}", "{} == {}", "{} != {} and {} > {}", "{} < 3 or {} > {}", "not {} > {}", "{} <= {} < {}", "{} % 3 == 0",
    "0 < {} < {} != {}",
)  # fmt: skip


@st.composite
def expressions(draw: st.DrawFn, number: int, depth: int = 2) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(_SIMPLE))
    calls = [f"h{earlier}(a, {{}}, {{}})" for earlier in range(number)]
    return _filled(draw, draw(st.sampled_from([*_VALUES, *calls])), number, depth)


@st.composite
def conditions(draw: st.DrawFn, number: int) -> str:
    calls = [f"{{}} > 0 and h{earlier}(a, {{}}, 1) < {{}}" for earlier in range(number)]
    return _filled(draw, draw(st.sampled_from([*_TESTS, *calls])), number, 1)


def _filled(draw: st.DrawFn, form: str, number: int, depth: int) -> str:
    return form.format(*(draw(expressions(number, depth - 1)) for _ in range(form.count("{}"))))


@st.composite
def blocks(draw: st.DrawFn, number: int, depth: int, *, in_loop: bool = False) -> list[str]:
    """Draw the lines of a block."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        kinds = ["assign", "augment", "return"] + (["if", "else", "for", "while"] if depth else [])
        kind = draw(st.sampled_from(kinds + ["break", "continue"] * in_loop))
        value = draw(expressions(number))
        if kind == "assign":
            lines.append(f"{draw(st.sampled_from('xyz'))} = {value}")
        elif kind == "augment":
            lines.append(f"{draw(st.sampled_from('xyz'))} += {value}")
        elif kind in ("if", "else"):
            lines += [f"if {draw(conditions(number))}:", *_inner(draw, number, depth, in_loop)]
            lines += ["else:", *_inner(draw, number, depth, in_loop)] if kind == "else" else []
        elif kind == "for":
            lines += [f"for q{depth} in range({draw(st.integers(0, 3))}):", *_inner(draw, number, depth, True)]
            lines.append(f"    z = (z + q{depth}) % 97")
        elif kind == "while":
            lines += [f"w{depth} = 0", f"while w{depth} < 3:", f"    w{depth} += 1", *_inner(draw, number, depth, True)]
        else:
            return [*lines, f"return {value}" if kind == "return" else kind]
    return lines


def _inner(draw: st.DrawFn, number: int, depth: int, in_loop: bool) -> list[str]:
    return [f"    {line}" for line in draw(blocks(number, depth - 1, in_loop=in_loop))]


@st.composite
def programs(draw: st.DrawFn) -> str:
    lines: list[str] = []
    for number in range(COUNT):
        typed = draw(st.booleans())
        head = f"def h{number}(a: In[i64, n], x: i64, y: i64) -> i64:" if typed else f"def h{number}(a, x, y):"
        body = ["z = x", *draw(blocks(number, 3)), "return (x + y * 3 + z * 5) % 97"]
        lines += [head, *(f"    {line}" for line in body)]
    return "\n".join(lines) + "\n"


KERNEL: Final = "@kernel\ndef k(a: In[i64, n], b: Out[i64, n, 4]):\n    for i in parallel(n):\n" + "".join(
    f"        b[i, {number}] = h{number}(a, a[i], i)\n" for number in range(COUNT)
)


@pytest.mark.parametrize(("way", "examples"), [("python", 40), ("llvm", 40), ("opencl", 8)])
def test_drawn_helpers_give_what_python_gives(way: str, examples: int) -> None:
    @settings(max_examples=examples)
    @given(programs())
    def check(program: str) -> None:
        agree(WAYS[way], program)

    check()


def agree(run: Run, program: str) -> None:
    source = "from pytest_xdevice import *\nn = dim('n')\n" + program + KERNEL
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    names: dict[str, Any] = {"__name__": "drawn"}
    exec(compile(source, FILE, "exec", dont_inherit=True), names)
    expected = [[names[f"h{h}"](VALUES, int(x), i) for h in range(COUNT)] for i, x in enumerate(VALUES)]
    np.testing.assert_array_equal(run(names["k"], VALUES), expected)
