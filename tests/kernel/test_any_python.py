"""Any Python in a kernel either has a meaning or is a KernelError with a place and advice: never another exception."""

from __future__ import annotations

import ast
import linecache
import re
import warnings
from pathlib import Path
from typing import Any
from typing import Final

import pytest
from hypothesis import assume
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from pytest_xdevice import KernelError
from pytest_xdevice.kernel.kernel import Kernel

FILE: Final = "<any python>"
HEADER: Final = """\
import math, ctypes, enum, functools
import numpy as np
from pytest_xdevice import *
n, m = dim("n"), dim("m")
TAPS, LIST, TABLE, NAME, HALF, WORDS = (1, 2.5), [1], np.zeros(3), "x", np.float16(2), {"x": 1}
class Color(enum.Enum):
    RED = 1
class Thing:
    size = 3
    def grow(self, x): return x + 1
thing = Thing()
def twice(x): return x * 2
def pick(x: f32, y: f32) -> f32:
    if x > y: return x
    return y
def put(z, i): z[i] = 0
def first(z: In[f32, n]) -> f32: return z[0]
square = lambda x: x * x
"""
SIGNATURE: Final = "def k(a: In[f32, n], b: Out[f32, n], c: InOut[i32, m, 3], s: f32, j: i64):\n"
FIRST_LINE: Final = HEADER.count("\n") + 1
# A newer Python's, or what only an async function may hold.
NOT_IN_EVERY_PYTHON: Final = re.compile(r"except\*|^type |\bt'|async|await")


def read_list(name: str) -> list[str]:
    """Return the texts of a file: one a line, with ``\\n`` for the end of a line in it."""
    lines = (Path(__file__).parent / name).read_text(encoding="utf-8").splitlines()
    return [line.replace("\\n", "\n") for line in lines if not line.startswith("# ")]


# What the language has: their own tests say what they mean.
HAS: Final = {
    "Assign", "AugAssign", "AnnAssign", "Break", "Continue", "Expr", "For", "If", "Pass", "Return", "While",
    "Attribute", "BinOp", "BoolOp", "Call", "Compare", "Constant", "IfExp", "Name", "Subscript", "Tuple", "UnaryOp",
}  # fmt: skip
# What it has not, by the kind of node.
STATEMENTS: Final = {
    "FunctionDef": ["def f(): pass", "@staticmethod\ndef f(): pass"],
    "AsyncFunctionDef": ["async def f(): pass"],
    "ClassDef": ["class C: pass", "class C(int):\n    x = 1"],
    "Delete": ["del s", "del a[0], b"],
    "AsyncFor": ["async for i in a: pass"],
    "AsyncWith": ["async with a: pass"],
    "With": ["with a: pass", "with a as x, b: pass"],
    "Match": [
        "match s:\n    case 1: pass",
        "match c:\n    case [x, *y] if x: pass\n    case Thing(size=2) | None: pass\n    case {'x': 1, **z}: pass",
        "match c:\n    case _ as w: pass",
    ],
    "Raise": ["raise", "raise ValueError from None"],
    "Try": ["try: pass\nexcept Exception as e: pass", "try: pass\nfinally: pass"],
    "TryStar": ["try: pass\nexcept* ValueError: pass"],
    "Assert": ["assert s", "assert s, 'text'"],
    "Import": ["import os", "import os.path as p"],
    "ImportFrom": ["from os import path"],
    "Global": ["global TAPS"],
    "Nonlocal": [],  # a SyntaxError outside of a nested function
    "TypeAlias": ["type T = int"],
}  # fmt: skip
EXPRESSIONS: Final = {
    "NamedExpr": ["(x := 1)"],
    "Lambda": ["lambda: 1", "(lambda x, *y, z=1: x)(1)"],
    "Dict": ["{}", "{1: 2, **WORDS}"],
    "Set": ["{1, 2}"],
    "List": ["[]", "[1, s]", "[*a]"],
    "ListComp": ["[x for x in a if x]"],
    "SetComp": ["{x for x in a}"],
    "DictComp": ["{x: x for x in a}"],
    "GeneratorExp": ["(x for x in a)", "sum(x for x in a)"],
    "Await": ["await s"],
    "Yield": ["(yield)", "(yield s)"],
    "YieldFrom": ["(yield from a)"],
    "JoinedStr": ["f'{s}'", "f'{s!r:>{j}}'"],
    "FormattedValue": ["f'{s}{j}'"],
    "TemplateStr": ["t'{s}'"],
    "Interpolation": ["t'{s}'"],
    "Starred": ["max(*a)", "max(1, *TAPS)"],
    "Slice": ["a[:]", "a[1:2]", "c[0, ::2]", "a[...]"],
}
REJECTED: Final = [
    *(text for texts in STATEMENTS.values() for text in texts),
    *(f"x = {text}" for texts in EXPRESSIONS.values() for text in texts),
    *read_list("rejected.txt"),
    "x = " + "-" * 200 + "s",
]  # fmt: skip


def kernel_of(body: str, signature: str = SIGNATURE, call: str = "") -> Kernel:
    """Return the kernel with that body, or the one that calls a function with it by `call`."""
    indented = "".join(f"    {line}\n" for line in body.splitlines())
    text = f"{signature}{indented}"
    decorated = f"@kernel\n{text}" if not call else f"{text}@kernel\n{SIGNATURE}    {call}\n"
    source = HEADER + decorated
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        code = compile(source, FILE, "exec", dont_inherit=True)
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    names: dict[str, Any] = {"__name__": "any_python"}
    exec(code, names)
    made: Kernel = names["k"]
    return made


def check(error: KernelError, calls: int = 0) -> None:
    """Check that an error has all its parts."""
    lines = linecache.getlines(FILE)
    assert error.filename == FILE
    assert FIRST_LINE <= error.line <= len(lines) or error.calls
    assert error.source_line == lines[error.line - 1].rstrip("\n")
    assert 1 <= error.column <= len(error.source_line)
    assert error.width >= 1
    assert re.fullmatch(r"[^\n]+\.", error.message), error.message
    assert re.fullmatch(r"[^\n]+[.?]", error.advice), error.advice
    assert len(error.calls) >= calls


def kinds_of(base: type[ast.AST]) -> set[str]:
    """Return the names of the kinds of node that are not there for old times' sake alone."""
    old = {
        "Num",
        "Str",
        "Bytes",
        "NameConstant",
        "Ellipsis",
        "Index",
        "ExtSlice",
        "Suite",
        "AugLoad",
        "AugStore",
        "Param",
    }
    found = {kind.__name__ for kind in base.__subclasses__()}
    return found - old


def test_every_kind_of_node_is_known() -> None:
    assert kinds_of(ast.stmt) <= HAS | set(STATEMENTS)
    assert kinds_of(ast.expr) <= HAS | set(EXPRESSIONS)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("body", REJECTED)
def test_what_the_language_has_not_is_said_with_advice(body: str) -> None:
    try:
        made = kernel_of(body)
    except SyntaxError:
        assert NOT_IN_EVERY_PYTHON.search(body)
        return
    with pytest.raises(KernelError) as caught:
        _ = made.ir
    check(caught.value)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
@pytest.mark.parametrize("body", [text for text in REJECTED if not re.search(r"return|parallel|k\(a|global", text)])
def test_the_same_in_a_helper_has_a_trail(body: str) -> None:
    try:
        made = kernel_of(body, "def helper(a, b, c, s: f32, j: i64):\n", "helper(a, b, c, s, j)")
    except SyntaxError:
        return
    allowed = {
        "s = 1",
        "s += 1",
        "n = 1",
        "j: i64 = 1",
        "s = 1.5",
    }  # a helper may assign its scalars, and has no dims here
    if body in allowed:
        _ = made.ir
        return
    with pytest.raises(KernelError) as caught:
        _ = made.ir
    check(caught.value, calls=1)


# --- random programs -------------------------------------------------------------------------------------

_NAMES: Final = [
    "a", "b", "c", "s", "j", "n", "m", "i", "x", "y", "z", "TAPS", "LIST", "TABLE", "NAME", "HALF", "math", "np",
    "f32", "i32", "u8", "bool_", "parallel", "range", "private", "len", "min", "max", "abs", "thing", "twice", "pick",
    "put", "first", "square", "k", "nowhere", "True", "None", "0", "1", "2.5", "-1", "1e300", "1j", "'x'", "...",
    "Color.RED", "math.pi", "math.exp", "np.float32", "thing.size", "a.shape", "int", "float",
]  # fmt: skip
_EXPRESSION_FORMS: Final = [
    "({} + {})", "({} / {})", "({} // {})", "({} ** {})", "({} << {})", "({} @ {})", "({} & {})", "(-{})", "(not {})",
    "(~{})", "({} < {})", "({} < {} <= {})", "({} is {})", "({} and {})", "({} or {})", "({} if {} else {})",
    "{}[{}]", "{}[{}, {}]", "{}[{}:{}]", "{}({})", "{}({}, {})", "{}({}, y={})", "{}()", "{}.shape", "{}.shape[{}]",
    "{}.size", "f32({})", "i32({})", "u8({})", "min({}, {})", "math.sqrt({})", "twice({})", "pick({}, {})",
    "first({})", "square({})", "len({})", "a[{}]", "c[{}, {}]", "TAPS[{}]", "({}, {})", "[{}]", "(x := {})",
    "(lambda x: {})", "f'{{{}}}'", "[{} for q in {}]", "{{{}: {}}}", "(*{},)", "private(f32, {})", "(yield {})",
]  # fmt: skip
_STATEMENT_FORMS: Final = [
    "x = {}", "y = {}", "x += {}", "x: f32 = {}", "x, y = {}, {}", "x = y = {}", "b[{}] = {}", "c[{}, {}] += {}",
    "{} = {}", "{}", "put({}, {})", "return", "return {}", "break", "continue", "pass", "del {}", "assert {}",
    "global x", "import {}", "if {}:\n{}", "if {}:\n{}\nelse:\n{}", "while {}:\n{}", "for i in range({}):\n{}",
    "for x in range({}, {}, {}):\n{}", "for i in parallel({}):\n{}", "for i, x in parallel({}, range({}, {})):\n{}",
    "for i in {}:\n{}", "with {}:\n{}", "for i in parallel(n, block={}):\n{}", "try:\n{}\nexcept {}:\n{}",
    "match {}:\n  case {}:\n{}", "def f(x):\n{}", "z = private({}, {})",
]  # fmt: skip


@st.composite
def expressions(draw: st.DrawFn, depth: int) -> str:
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(_NAMES))
    form = draw(st.sampled_from(_EXPRESSION_FORMS))
    count = len(re.findall(r"(?<!\{)\{\}|\{\{\{\}", form))
    return form.format(*(draw(expressions(depth - 1)) for _ in range(count)))


@st.composite
def blocks(draw: st.DrawFn, depth: int) -> list[str]:
    """Draw the lines of a block."""
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        pieces = draw(st.sampled_from(_STATEMENT_FORMS if depth else _STATEMENT_FORMS[:20])).split("\n")
        for piece in pieces:
            if piece == "{}" and len(pieces) > 1:
                lines += [f"    {line}" for line in draw(blocks(depth - 1))]
            else:
                lines.append(piece.format(*(draw(expressions(2)) for _ in range(piece.count("{}")))))
    return lines


@settings(max_examples=400)
@given(st.lists(blocks(2), min_size=1, max_size=2), st.booleans())
@pytest.mark.filterwarnings("ignore::SyntaxWarning")
def test_random_python_compiles_or_is_refused_with_advice(parts: list[list[str]], in_helper: bool) -> None:
    body = "\n".join(line for part in parts for line in part)
    try:
        if in_helper:
            made = kernel_of(body, "def helper(a, b, c, s: f32, j):\n", "helper(a, b, c, s, 1)")
        else:
            made = kernel_of(body)
    except SyntaxError:
        assume(False)
    try:
        _ = made.ir
    except KernelError as error:
        check(error)
        return
    assert made.opencl_program().source
    from pytest_xdevice.kernel.llvm.entry import kernel_module

    assert kernel_module(made.ir, pointer_bits=64)
