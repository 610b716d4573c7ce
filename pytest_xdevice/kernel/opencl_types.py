"""Types of parameters that only OpenCL C has: vectors and structures by value, and local memory of a chosen size."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .types import ScalarType


@dataclass(frozen=True)
class VectorType:
    """A few numbers that are passed by value, such as ``float4``."""

    element: ScalarType
    lanes: int

    @property
    def nbytes(self) -> int:
        """Bytes that it takes up: three lanes take the room of four."""
        return self.element.nbytes * (4 if self.lanes == 3 else self.lanes)

    def __repr__(self) -> str:
        return f"{self.element}x{self.lanes}"


@dataclass(frozen=True)
class RecordType:
    """The type of a structure that is passed by value: bytes that only the kernel can tell."""

    nbytes: int

    def __repr__(self) -> str:
        return f"{self.nbytes} bytes"


@dataclass(frozen=True)
class LocalType:
    """Memory that a work-group shares, as a parameter: the launch says how much."""

    element: ScalarType | None

    def __repr__(self) -> str:
        return f"local {self.element or 'void'} *"


@dataclass(frozen=True)
class LocalBytes:
    """How much local memory each work-group gets, as an argument."""

    nbytes: int

    def __repr__(self) -> str:
        return f"{self.nbytes} bytes of local memory"


def local(element: ScalarType, *extents: int) -> LocalBytes:
    """Give a ``__local`` parameter its memory: ``local(f32, 16, 16)``, which is 1024 bytes.

    Parameters
    ----------
    element : ScalarType
        The type of its elements.
    *extents : int
        Their number, or several that are multiplied.

    Raises
    ------
    TypeError
        If it is given anything else.
    """
    counts = [count for count in extents if isinstance(count, int) and not isinstance(count, bool) and count > 0]
    if not isinstance(element, ScalarType) or not counts or len(counts) != len(extents):
        raise TypeError(f"local() takes a type and how many, as local(f32, 16, 16); got {(element, *extents)}")
    return LocalBytes(element.nbytes * math.prod(counts))
