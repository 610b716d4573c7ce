"""Launch geometry: how large each phase of an OpenCL kernel is, as data that can be stored with an artifact.

An extent is a JSON value: an integer, the name of a dim or scalar parameter, or ``[operation, operand...]``.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import Union

ExtentExpr = Union[int, str, "list[Any]"]

_OPERATIONS: Final[dict[str, Callable[..., int]]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "floordiv": lambda a, b: a // b if b else 0,
    "mod": lambda a, b: a % b if b else 0,
    "neg": lambda a: -a,
    "min": min,
    "max": max,
}
OPERATIONS: Final = frozenset(_OPERATIONS)


@dataclass(frozen=True)
class Phase:
    """One ``__kernel`` of an OpenCL program, in launch order.

    Attributes
    ----------
    entry : str
        Its symbol.
    extents : tuple of ExtentExpr
        Iterations in each dimension, outermost first; empty for a phase of a single work-item.
    block : tuple of int or None
        Work-group size in the same order, or None where the device may choose.
    grid : tuple of int or None
        Number of work-groups in the same order, or None for as many as the iterations fill.
    each : tuple of int
        How many iterations in each dimension a work-item of a GPU takes; empty for one.
    gpu_block : tuple of int or None
        Work-group size that suits a GPU, where the device may choose.
    """

    entry: str
    extents: tuple[ExtentExpr, ...]
    block: tuple[int, ...] | None = None
    grid: tuple[int, ...] | None = None
    each: tuple[int, ...] = ()
    gpu_block: tuple[int, ...] | None = None

    def sizes(self, values: Mapping[str, int]) -> tuple[int, ...]:
        """Return the number of iterations in each dimension for the dims and scalars in `values`."""
        return tuple(max(0, evaluate(extent, values)) for extent in self.extents)

    def to_json(self) -> dict[str, Any]:
        """Return the phase as plain JSON values."""
        facts: dict[str, Any] = {
            "entry": self.entry,
            "extents": list(self.extents),
            "block": self.block and list(self.block),
        }
        chosen = {"grid": self.grid, "each": self.each, "gpu_block": self.gpu_block}
        return {**facts, **{name: list(sizes) for name, sizes in chosen.items() if sizes}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Phase:
        """Rebuild what `to_json` gave."""
        block, grid, gpu_block = (_sizes(data.get(name)) for name in ("block", "grid", "gpu_block"))
        return cls(data["entry"], tuple(data["extents"]), block, grid, tuple(data.get("each", ())), gpu_block)


def _sizes(found: list[int] | None) -> tuple[int, ...] | None:
    return tuple(found) if found else None


def evaluate(extent: ExtentExpr, values: Mapping[str, int]) -> int:
    """Return the value of `extent` with names looked up in `values`.

    Raises
    ------
    KeyError
        If a name or an operation is unknown.
    """
    if isinstance(extent, int):
        return extent
    if isinstance(extent, str):
        return int(values[extent])
    operation, *operands = extent
    return _OPERATIONS[operation](*(evaluate(operand, values) for operand in operands))
