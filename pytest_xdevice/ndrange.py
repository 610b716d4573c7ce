"""How large a launch of a kernel in OpenCL C is: its NDRange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final

from .artifact import Artifact
from .errors import ArgumentError
from .kernel.sizes import read_sizes
from .kernel.sizes import Sizes

NAMES: Final = ("global_size", "local_size", "offset")


@dataclass(frozen=True)
class NDRange:
    """Work-items of a launch, in OpenCL's order: the first dimension is that of ``get_global_id(0)``.

    Attributes
    ----------
    global_size : tuple of int
        How many there are.
    local_size : tuple of int or None
        How many make a work-group; None leaves that to the driver.
    offset : tuple of int or None
        The first one's global id; None for zeros.
    """

    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None = None
    offset: tuple[int, ...] | None = None

    def to_wire(self) -> dict[str, Any]:
        """Return what the device is told."""
        return {"global": self.global_size, "local": self.local_size, "offset": self.offset}


def read_ndrange(artifact: Artifact, given: Mapping[str, Sizes]) -> NDRange | None:
    """Return the NDRange that a launch gives, None where the kernel itself says how large it is.

    Parameters
    ----------
    artifact : Artifact
    given : mapping
        `global_size`, `local_size` and `offset`, each None where it was not given.

    Raises
    ------
    ArgumentError
        If the kernel takes none, or needs one, or it is of the wrong form.
    """
    named = [f"{name}={size!r}" for name, size in given.items() if size is not None]
    if not artifact.is_handwritten:
        if named:
            raise ArgumentError(
                f"{artifact.name}: {', '.join(named)} is for kernels in OpenCL C; this one says by itself how large it "
                "is, and takes block= and grid="
            )
        return None
    name = artifact.name
    whole = read_sizes(f"{name}: global_size", given["global_size"])
    if whole is None:
        raise ArgumentError(f"{name}: say how many work-items there are: global_size=(1024,) or global_size=(64, 64)")
    local = read_sizes(f"{name}: local_size", given["local_size"])
    offset = read_sizes(f"{name}: offset", given["offset"], least=0)
    for other, sizes in (("local_size", local), ("offset", offset)):
        if sizes is not None and len(sizes) != len(whole):
            raise ArgumentError(
                f"{name}: global_size={whole} and {other}={sizes} have different numbers of dimensions: give as many"
            )
    return NDRange(whole, local, offset)
