"""`private(...)`, an array of one iteration, and how the front end reads its arguments."""

from __future__ import annotations

import ast
import math
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from .promote import Refusal
from .types import LocalArray
from .types import ScalarType

if TYPE_CHECKING:
    from .expressions import Expressions

# What the stack of an iteration, or the registers of a work-item, can be asked to hold.
LARGEST_PRIVATE: Final = 16 * 1024
_LARGEST_RANK: Final = 3


def private(element: ScalarType, *extents: int) -> Any:
    """Make an array of zeros that belongs to one iteration of a parallel loop: ``acc = private(f32, 8)``.

    Parameters
    ----------
    element : ScalarType
        The type of its elements.
    *extents : int
        One to three constant extents, outermost first.

    Raises
    ------
    TypeError
        Whenever Python itself runs it: it has a meaning only in a kernel.
    """
    raise TypeError("private(...) has a meaning only inside a @kernel: there, write 'acc = private(f32, 8)'.")


def read_local_array(expressions: Expressions, call: ast.Call) -> LocalArray:
    """Return the array that ``private(...)`` makes.

    Raises
    ------
    KernelError
        If its arguments are not a type and constant extents.
    """
    name = ast.unparse(call.func)
    for keyword in call.keywords:
        raise expressions.text.error(keyword, f"{name}() takes no keyword.", f"Write {name}(f32, 8).")
    if not 1 <= len(call.args) - 1 <= _LARGEST_RANK:
        raise expressions.text.error(
            call, f"{name}() takes a type and 1 to {_LARGEST_RANK} extents.", f"Write {name}(f32, 8)."
        )
    element = _element(expressions, call.args[0])
    extents = tuple(_extent(expressions, node, name) for node in call.args[1:])
    return LocalArray(element, extents, "private")


def check_size(taken: int, array: LocalArray) -> int:
    """Return the bytes taken when `array` comes to those of the same iteration.

    Raises
    ------
    Refusal
        If they are too many.
    """
    taken += array.element.nbytes * math.prod(array.extents)
    if taken > LARGEST_PRIVATE:
        raise Refusal(
            f"the private arrays of an iteration take {taken} bytes, and {LARGEST_PRIVATE} is the most.",
            "Use smaller ones, or an InOut array with a part for each iteration.",
        )
    return taken


def _element(expressions: Expressions, node: ast.expr) -> ScalarType:
    known = isinstance(node, (ast.Name, ast.Attribute)) and not expressions.is_local(node)
    element = expressions.resolve(node) if known else None
    if not isinstance(element, ScalarType):
        raise expressions.text.error(node, "this is no type of an element.", "Write one such as f32 or i64.")
    return element


def _extent(expressions: Expressions, node: ast.expr, name: str) -> int:
    extent = getattr(expressions.visit(node), "value", None)
    if type(extent) is not int or extent < 1:
        raise expressions.text.error(
            node, f"an extent of {name}() is no constant integer above 0.", "Write a literal, or a name from outside."
        )
    return extent
