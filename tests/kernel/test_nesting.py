"""Expressions nest as deep as every step can follow, and deeper ones are refused where they are written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import KernelError
from pytest_xdevice.kernel.kernel import Kernel

from .test_errors import define
from .ways import Run
from .ways import WAYS

HEADER = "import math\nfrom pytest_xdevice import *\nn = dim('n')\n"
TERMS = 121  # as in an unrolled window of 11 by 11


def kernel_of(body: str, path: Path) -> Kernel:
    source = f"@kernel\ndef k(a: In[i32, n], b: Out[i32, n], c: Out[f64, n]):\n{body}"
    made: Kernel = define(HEADER + source, path / "kernels.py")["k"]
    return made


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_deep_expressions_work_in_every_way(way: Run, tmp_path: Path) -> None:
    terms = " + ".join(f"a[{number % 2}] * {number}" for number in range(TERMS))
    roots = "math.sqrt(" * 90 + "a[1]" + ")" * 90
    body = f"    b[0] = {terms}\n    c[0] = {roots}\n    b[1] = 0\n    c[1] = {'1.5 if a[1] else ' * 50}0.0\n"
    b, c = way(kernel_of(body, tmp_path), np.array([3, 1], np.int32))
    assert b[0] == sum((3, 1)[number % 2] * number for number in range(TERMS))
    assert list(c) == [1, 1.5]


@pytest.mark.parametrize(
    "expression",
    ["+".join(["a[0]"] * 130), " and ".join(["a[0]"] * 130), "max(" + ", ".join(["a[0]"] * 130) + ")",
     "1 if a[0] else " * 70 + "0", " < ".join(["a[0]"] * 70), "+".join(["a[0]"] * 2000)],
    ids=["sum", "and", "max", "ternary", "comparison", "beyond_recursion"],
)  # fmt: skip
def test_deeper_expression_is_refused_where_it_begins(expression: str, tmp_path: Path) -> None:
    with pytest.raises(KernelError) as caught:
        _ = kernel_of(f"    b[0] = 1\n    c[0] = {expression}\n", tmp_path).ir
    assert (caught.value.line, caught.value.column) == (7, 12)
    assert str(caught.value).startswith(f"{tmp_path}/kernels.py:7:12: this nests deeper than 128 levels.\n")
    assert str(caught.value).endswith("\nGive parts of it to locals, or write a loop.")


def test_longer_chain_of_elif_is_refused_where_it_goes_too_far(tmp_path: Path) -> None:
    chain = "".join(f"    {'elif' if case else 'if'} a[0] == {case}:\n        b[0] = {case}\n" for case in range(400))
    with pytest.raises(KernelError) as caught:
        _ = kernel_of(chain, tmp_path).ir
    assert str(caught.value) == (
        f"{tmp_path}/kernels.py:{6 + 2 * 160}:5: this stands in 160 other statements, each 'elif' counted.\n"
        "  elif a[0] == 160:\n"
        "  ^^^^^^^^^^^^^^^^^\n"
        "Divide the choices among helper functions, or compute an index of an array."
    )
