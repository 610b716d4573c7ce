"""What Python has and kernels have not: the name of each construct, and what to write instead."""

from __future__ import annotations

import ast
from typing import Final

_ENTRIES: Final[dict[str, tuple[str, str]]] = {
    "Call": ("a call", "Compute it outside of the kernel."),
    "Subscript": ("an element", "Use a name."),
    "Attribute": ("an attribute", "Use a name."),
    "BinOp": ("an operation", "Use a name."),
    "Lambda": ("a lambda", "Write the expression where it is used."),
    "ListComp": ("a list comprehension", "Write a loop that stores each element in an array parameter."),
    "SetComp": ("a set comprehension", "Write a loop."),
    "DictComp": ("a dict comprehension", "Write a loop."),
    "GeneratorExp": ("a generator expression", "Write a loop that accumulates in a local."),
    "List": ("a list", "Use locals, or an array parameter."),
    "Tuple": ("a tuple", "Use one local for each value."),
    "Set": ("a set", "Use comparisons joined with 'or'."),
    "Dict": ("a dict", "Use locals, or an array parameter."),
    "JoinedStr": ("an f-string", "Kernels compute with numbers only."),
    "TemplateStr": ("a t-string", "Kernels compute with numbers only."),
    "NamedExpr": ("':='", "Assign on a line of its own."),
    "Await": ("'await'", "A kernel runs from start to end."),
    "Yield": ("'yield'", "Write results to an array parameter."),
    "YieldFrom": ("'yield from'", "Write results to an array parameter."),
    "Starred": ("'*'", "Write each value."),
    "Slice": ("a slice", "Write a loop over the elements."),
    "FunctionDef": ("a function definition", "Write its body where it is called."),
    "AsyncFunctionDef": ("an async function", "Write its body where it is called."),
    "ClassDef": ("a class definition", "Use locals and array parameters."),
    "With": ("'with'", "Manage resources in the test, around the launch."),
    "AsyncWith": ("'async with'", "Manage resources in the test, around the launch."),
    "AsyncFor": ("'async for'", "Use 'for i in range(n)'."),
    "Try": ("'try'", "A kernel raises no exceptions: test the values with 'if'."),
    "TryStar": ("'try'", "A kernel raises no exceptions: test the values with 'if'."),
    "Raise": ("'raise'", "Write a flag to an array parameter, and check it in the test."),
    "Assert": ("'assert'", "Write the value to an array parameter, and check it in the test."),
    "Import": ("'import'", "Import at the top of the file."),
    "ImportFrom": ("'import'", "Import at the top of the file."),
    "Global": ("'global'", "Write to an array parameter: a kernel cannot change its surroundings."),
    "Nonlocal": ("'nonlocal'", "Write to an array parameter: a kernel cannot change its surroundings."),
    "Delete": ("'del'", "Leave the local: it costs nothing."),
    "Match": ("'match'", "Use 'if' and 'elif'."),
    "TypeAlias": ("a type alias", "Define it outside of the kernel."),
}


def describe(node: ast.AST) -> str:
    """Return what a reader would call `node`."""
    name = type(node).__name__
    return _ENTRIES[name][0] if name in _ENTRIES else f"this syntax ({name})"


def advice_for(node: ast.AST) -> str:
    """Return what to write instead of `node`."""
    name = type(node).__name__
    return _ENTRIES[name][1] if name in _ENTRIES else "Use assignments, loops, 'if' and arithmetic."
