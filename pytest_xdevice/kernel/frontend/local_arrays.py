"""How the front end reads `private(...)` and `shared(...)`, arrays of an iteration and of a work-group."""

from __future__ import annotations

import ast
from typing import Final
from typing import Literal

from pytest_xdevice.kernel.types import LocalArray
from pytest_xdevice.kernel.types import ScalarType

from .names import Names

_LARGEST_RANK: Final = 3


def read_local_array(names: Names, call: ast.Call, space: Literal["private", "shared"]) -> LocalArray:
    """Return the array that ``private(...)`` or ``shared(...)`` makes.

    Raises
    ------
    KernelError
        If its arguments are not a type and constant extents.
    """
    name = ast.unparse(call.func)
    for keyword in call.keywords:
        raise names.text.error(keyword, f"{name}() takes no keyword.", f"Write {name}(f32, 8).")
    if not 1 <= len(call.args) - 1 <= _LARGEST_RANK:
        raise names.text.error(
            call, f"{name}() takes a type and 1 to {_LARGEST_RANK} extents.", f"Write {name}(f32, 8)."
        )
    element = _element(names, call.args[0])
    extents = tuple(_extent(names, node, name) for node in call.args[1:])
    return LocalArray(element, extents, space)


def _element(names: Names, node: ast.expr) -> ScalarType:
    known = isinstance(node, (ast.Name, ast.Attribute)) and not names.is_local(node)
    element = names.resolve(node) if known else None
    if not isinstance(element, ScalarType):
        raise names.text.error(node, "this is no type of an element.", "Write one such as f32 or i64.")
    return element


def _extent(names: Names, node: ast.expr, name: str) -> int:
    extent = getattr(names.visit(node), "value", None)
    if type(extent) is not int or extent < 1:
        raise names.text.error(
            node, f"an extent of {name}() is no constant integer above 0.", "Write a literal, or a name from outside."
        )
    return extent
