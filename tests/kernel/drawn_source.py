"""Random expressions as the Python text that a kernel's author would write, and kernels of them."""

from __future__ import annotations

import linecache
import re
from typing import Any
from typing import Final

from hypothesis import strategies as st

import pytest_xdevice as xd
from pytest_xdevice import KernelError
from pytest_xdevice.kernel.kernel import Kernel
from pytest_xdevice.kernel.types import ScalarType

from .drawn import TYPES

# What each kind of expression is stored as: a type that holds every value of the kind.
RESULTS: Final[dict[str, ScalarType]] = {"whole": xd.i64, "real": xd.f64, "truth": xd.bool_}
FUNCTIONS: Final = ("sqrt", "floor", "ceil", "trunc", "fmod", "isnan", "isinf", "isfinite")
_FILE: Final = "<drawn kernel>"
_WHOLE: Final = [scalar.name for scalar in TYPES if scalar.is_integer]
_REAL: Final = [scalar.name for scalar in TYPES if scalar.is_float]

# A form names the kinds of its parts in braces. Those with "if", "and", "or", "not", "min", "max" or a chain of
# comparisons are the language's own; the others mean to NumPy scalars what they mean in a kernel.
_ARITHMETIC: Final[dict[str, list[str]]] = {
    "whole": [
        *(f"({{whole}} {operator} {{whole}})" for operator in ("+", "-", "*", "//", "%", "<<", ">>", "&", "|", "^")),
        "(-{whole})", "(~{whole})", "abs({whole})",
        *(f"{name}({{{kind}}})" for name in _WHOLE for kind in RESULTS),
    ],
    "real": [
        *(f"({left} {operator} {right})" for operator in ("+", "-", "*", "/", "//", "%")
          for left, right in (("{real}", "{real}"), ("{real}", "{whole}"), ("{whole}", "{real}"))),
        "(-{real})", "abs({real})", "sqrt({real})", "floor({real})", "ceil({real})", "trunc({real})",
        *(f"{name}({{{kind}}})" for name in _REAL for kind in RESULTS),
    ],
    "truth": [
        *(f"({{{kind}}} {operator} {{{kind}}})" for operator in ("==", "!=", "<", "<=", ">", ">=") for kind in RESULTS),
        "({truth} & {truth})", "({truth} | {truth})", "({truth} ^ {truth})",
        "bool_({whole})", "bool_({real})", "isnan({real})", "isinf({real})", "isfinite({real})",
    ],
}  # fmt: skip
_CONTROL: Final[dict[str, list[str]]] = {
    "whole": [
        "min({whole}, {whole})", "max({whole}, {whole}, {whole})", "({whole} if {truth} else {whole})",
        "({whole} if {whole} else {whole})", *(f"({{whole}} ** {power})" for power in range(6)),
    ],
    "real": [
        "min({real}, {real}, {whole})", "max({real}, {real})", "({real} if {truth} else {real})",
        "({real} if {real} else {whole})", "({real} ** 2)", "({real} ** 5)", "fmod({real}, {real})",
    ],
    "truth": [
        "(not {truth})", "(not {real})", "({truth} and {truth})", "({truth} or {whole})", "({real} < {real} <= {real})",
        "({whole} >= {whole} != {whole})", "({truth} if {truth} else {truth})",
    ],
}  # fmt: skip
_LITERALS: Final = {
    "whole": [*range(-3, 12), 31, 33, 63, 64, 100, 127, 1000],
    "real": [0.0, 1.0, 0.1, 2.5, -1.5, 3e5, 7, 1e-40],
    "truth": [True, False],
}


@st.composite
def texts(draw: st.DrawFn, kind: str, depth: int, *, control: bool) -> str:
    """Draw the text of an expression of a kind over the elements at ``i`` of the arrays ``a_T`` and ``b_T``.

    Without `control` the text means the same to NumPy scalars.
    """
    if depth == 0 or draw(st.integers(0, 6)) == 0:
        if draw(st.integers(0, 3)) == 0:
            return f"({draw(st.sampled_from(_LITERALS[kind]))})"
        names = {"whole": _WHOLE, "real": _REAL, "truth": ["bool_"]}[kind]
        return f"{draw(st.sampled_from('ab'))}_{draw(st.sampled_from(names))}[i]"
    form = draw(st.sampled_from(_ARITHMETIC[kind] + _CONTROL[kind] * control))
    return re.sub(r"\{(\w+)\}", lambda part: draw(texts(part[1], depth - 1, control=control)), form)


def accepted(depth: int, *, control: bool) -> st.SearchStrategy[tuple[str, str]]:
    """Draw an expression that the language has, after its kind."""
    kinds = st.sampled_from(list(RESULTS))
    pairs = kinds.flatmap(lambda kind: st.tuples(st.just(kind), texts(kind, depth, control=control)))
    return pairs.filter(_is_accepted)


def _is_accepted(chosen: tuple[str, str]) -> bool:
    """Say whether the language has an expression: no ``u64 + i8``, for example, and no literal that does not fit."""
    try:
        kernel_of([chosen])
    except KernelError:
        return False
    return True


def kernel_of(chosen: list[tuple[str, str]]) -> Kernel:
    """Return a kernel that stores each expression, given after its kind, into an array ``r<k>``.

    Raises
    ------
    KernelError
        If the language does not have one of them.
    """
    params = [f"{side}_{scalar.name}: In[{scalar.name}, n]" for scalar in TYPES for side in "ab"]
    params += [f"r{number}: Out[{RESULTS[kind].name}, n]" for number, (kind, _) in enumerate(chosen)]
    lines = ["@kernel", f"def drawn({', '.join(params)}):", "    for i in parallel(n):"]
    lines += [f"        r{number}[i] = {RESULTS[kind].name}({text})" for number, (kind, text) in enumerate(chosen)]
    source = "\n".join(lines) + "\n"
    linecache.cache[_FILE] = (len(source), None, source.splitlines(keepends=True), _FILE)
    names = namespace() | {name: getattr(xd, name) for name in ("kernel", "parallel", "In", "Out")} | {"n": xd.dim("n")}
    exec(compile(source, _FILE, "exec", dont_inherit=True), names)
    made: Kernel = names["drawn"]
    _ = made.ir  # while its source is there
    return made


def namespace() -> dict[str, Any]:
    """Return what the names in an expression mean, except for the arrays."""
    return {name: getattr(xd, name) for name in (*FUNCTIONS, *(scalar.name for scalar in TYPES))}
