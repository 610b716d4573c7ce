"""Where a function stands in the kernel that it is a part of: what its names are there, and which calls lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any

from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.kernel.types import AnyArray
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.kernel.types import Extent
from pytest_xdevice.kernel.types import ScalarType


@dataclass(frozen=True)
class Scope:
    """The names that a function has without assigning them.

    Attributes
    ----------
    params : mapping of str to ArrayType, LocalArray or ScalarType
        Parameters that cannot be assigned: arrays, with extents of the kernel, and a kernel's own scalars.
    arrays : mapping of str to str
        The kernel's array that each array parameter is.
    dims : mapping of str to Extent
        What each dim of its parameters is in the kernel.
    constants : mapping of str to object
        Parameters of a helper that were given something known when the kernel is read.
    """

    params: Mapping[str, AnyArray | ScalarType]
    arrays: Mapping[str, str]
    dims: Mapping[str, Extent]
    constants: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_kernel(cls, signature: Signature) -> Scope:
        """Return the names of a kernel, each of which is itself."""
        ours = (ArrayType, ScalarType)
        params = {param.name: param.type for param in signature.params if isinstance(param.type, ours)}
        arrays = {param.name: param.name for param in signature.params if param.is_array}
        return cls(params, arrays, {name: Dim(name) for name in signature.dims})
