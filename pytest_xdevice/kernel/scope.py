"""Where a function stands in the kernel that it is a part of: what its names are there, and which calls lead to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from types import FunctionType
from typing import Any

from .nesting import check_nesting
from .signature import Signature
from .source import KernelText
from .source import read_source
from .types import AnyArray
from .types import ArrayType
from .types import Dim
from .types import Extent
from .types import ScalarType


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


@dataclass(frozen=True)
class Calls:
    """The calls that lead from a kernel to the function that is being read.

    Attributes
    ----------
    dims : mapping of str to Extent
        The dims of the kernel.
    stack : tuple of FunctionType
        The kernel's function, and each helper that the one before it calls.
    level : int
        How many expressions stand around the last call, each in the next.
    """

    dims: Mapping[str, Extent]
    stack: tuple[FunctionType, ...]
    level: int = 0
    _texts: dict[FunctionType, KernelText] = field(default_factory=dict)

    def text(self, helper: FunctionType) -> KernelText:
        """Return the source of a helper function, read once for a kernel.

        Raises
        ------
        KernelError
            If it cannot be read, or has an expression that nests too deep.
        """
        if helper not in self._texts:
            text = read_source(helper, "helper")
            check_nesting(text)
            self._texts[helper] = text
        return self._texts[helper]

    def entering(self, helper: FunctionType, level: int) -> Calls:
        """Return the calls that lead to the body of `helper`, which is called here within `level` expressions."""
        return replace(self, stack=(*self.stack, helper), level=level)
