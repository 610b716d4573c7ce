"""`private(...)` and `shared(...)`, arrays of an iteration and of a work-group, and how the front end reads them."""

from __future__ import annotations

import ast
from typing import Any
from typing import Final
from typing import Literal
from typing import TYPE_CHECKING

from .promote import Refusal
from .types import LocalArray
from .types import ScalarType

if TYPE_CHECKING:
    from .expressions import Expressions

# What the stack of an iteration, or the registers of a work-item, can be asked to hold.
LARGEST_PRIVATE: Final = 16 * 1024
# What every OpenCL device of the full profile has.
LARGEST_SHARED: Final = 32 * 1024
# On a CPU, the private arrays of all items of a work-group lie on the stack together where there are barriers.
LARGEST_GROUP: Final = 1 << 20
MOST_ITEMS: Final = 1024
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


def shared(element: ScalarType, *extents: int) -> Any:
    """Make an array that the items of a work-group share: ``tile = shared(f32, 16, 17)``; what it holds is undefined.

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
    raise TypeError(
        "shared(...) has a meaning only inside a @kernel: there, write 'tile = shared(f32, 256)' in a "
        "'parallel(..., block=...)' loop."
    )


def read_local_array(expressions: Expressions, call: ast.Call, space: Literal["private", "shared"]) -> LocalArray:
    """Return the array that ``private(...)`` or ``shared(...)`` makes.

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
    return LocalArray(element, extents, space)


def check_size(taken: int, array: LocalArray) -> int:
    """Return the bytes taken when `array` comes to those of the same iteration or work-group.

    Raises
    ------
    Refusal
        If they are too many.
    """
    taken += array.nbytes
    if array.space == "private" and taken > LARGEST_PRIVATE:
        raise Refusal(
            f"the private arrays of an iteration take {taken} bytes, and {LARGEST_PRIVATE} is the most.",
            "Use smaller ones, or an InOut array with a part for each iteration.",
        )
    if array.space == "shared" and taken > LARGEST_SHARED:
        raise Refusal(
            f"the shared arrays of a work-group take {taken} bytes, and {LARGEST_SHARED} is the most that every "
            f"device has.",
            "Use smaller ones.",
        )
    return taken


def check_group(items: int, private_bytes: int) -> None:
    """Refuse a work-group with barriers or shared memory that is too large.

    Raises
    ------
    Refusal
        If it has too many items, or their private arrays take too much.
    """
    if items > MOST_ITEMS:
        raise Refusal(
            f"a work-group of {items} items, and {MOST_ITEMS} is the most that share memory or wait for each other.",
            "Use a smaller block.",
        )
    if items * private_bytes > LARGEST_GROUP:
        raise Refusal(
            f"the private arrays of a work-group of {items} items take {items * private_bytes} bytes, and "
            f"{LARGEST_GROUP} is the most.",
            "Use smaller ones, or a smaller block.",
        )


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
