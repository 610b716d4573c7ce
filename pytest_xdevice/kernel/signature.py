"""What a launch needs to know of a kernel: its parameters and dims, whatever language it was written in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .opencl_types import LocalType
from .opencl_types import RecordType
from .opencl_types import VectorType
from .types import ArrayType
from .types import Dim
from .types import PointerType
from .types import SCALARS
from .types import ScalarType


@dataclass(frozen=True)
class Param:
    """One parameter: an array, a bare scalar, or what only OpenCL C has."""

    name: str
    type: ArrayType | PointerType | ScalarType | VectorType | RecordType | LocalType

    @property
    def is_array(self) -> bool:
        return isinstance(self.type, (ArrayType, PointerType))

    @property
    def is_written(self) -> bool:
        return isinstance(self.type, (ArrayType, PointerType)) and self.type.mode != "in"


@dataclass(frozen=True)
class Signature:
    """A kernel's name, its parameters in order, and its dims in order of first appearance.

    The native entry of a CPU kernel is ``int64 xd_<name>(void **args)``: one pointer a parameter, in order
    (an array's data, or a scalar's value), then one pointer a dim (to an int64).
    """

    name: str
    params: tuple[Param, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dims, in order of first appearance among the parameters."""
        found: dict[str, None] = {}
        for param in self.params:
            if isinstance(param.type, ArrayType):
                found.update((extent.name, None) for extent in param.type.extents if isinstance(extent, Dim))
        return tuple(found)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{param.name}: {param.type!r}' for param in self.params)})"

    def to_json(self) -> dict[str, Any]:
        """Return the signature as plain JSON values, the form that artifacts carry."""
        params: list[dict[str, Any]] = []
        for param in self.params:
            if isinstance(param.type, ArrayType):
                extents = [extent.name if isinstance(extent, Dim) else extent for extent in param.type.extents]
                params.append(
                    {"name": param.name, "mode": param.type.mode, "type": param.type.element.name, "extents": extents}
                )
            elif isinstance(param.type, PointerType):
                element = param.type.element.name if param.type.element else None
                entry = {"name": param.name, "mode": param.type.mode, "type": element}
                params.append({**entry, "signless": True} if param.type.is_signless else entry)
            elif isinstance(param.type, VectorType):
                params.append({"name": param.name, "type": param.type.element.name, "lanes": param.type.lanes})
            elif isinstance(param.type, RecordType):
                params.append({"name": param.name, "type": None, "nbytes": param.type.nbytes})
            elif isinstance(param.type, LocalType):
                element = param.type.element.name if param.type.element else None
                params.append({"name": param.name, "type": element, "memory": "local"})
            else:
                params.append({"name": param.name, "type": param.type.name})
        return {"name": self.name, "params": params}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Signature:
        """Rebuild what `to_json` gave.

        Raises
        ------
        KeyError, TypeError
            If `data` does not have that form.
        """
        return cls(data["name"], tuple(_param_from_json(entry) for entry in data["params"]))


def _param_from_json(entry: Mapping[str, Any]) -> Param:
    name = entry["name"]
    element = None if entry["type"] is None else SCALARS[entry["type"]]
    if "nbytes" in entry:
        return Param(name, RecordType(int(entry["nbytes"])))
    if "memory" in entry:
        return Param(name, LocalType(element))
    if element is None or ("mode" in entry and "extents" not in entry):
        return Param(name, PointerType(element, entry["mode"], entry.get("signless", False)))
    if "lanes" in entry:
        return Param(name, VectorType(element, int(entry["lanes"])))
    if "mode" not in entry:
        return Param(name, element)
    extents = tuple(Dim(extent) if isinstance(extent, str) else int(extent) for extent in entry["extents"])
    return Param(name, ArrayType(element, extents, entry["mode"]))
