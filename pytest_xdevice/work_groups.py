"""How many work-items an OpenCL launch has and how they are grouped, and whether a device takes such groups."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from .artifact import Artifact
from .device_info import OpenCLDevice
from .errors import ArgumentError
from .kernel.geometry import Phase

# Work-group sizes where the kernel does not say one, by number of dimensions: few and fixed, since PoCL compiles a
# kernel again for each new size. A CPU runs a large group at twice the speed of many small ones, but needs several.
_GPU_BLOCKS: Final = ((256,), (8, 32), (1, 8, 32))
_CPU_BLOCKS: Final = ((64,), (4, 16), (1, 4, 16))
_LARGE_CPU_BLOCKS: Final = ((512,), (8, 64), (1, 8, 64))
_LARGE_LAUNCH: Final = 1 << 15  # work-items


def work_sizes(phase: Phase, values: Mapping[str, int], device_type: str) -> tuple[list[int], list[int]]:
    """Return the global and local size of one OpenCL launch, first dimension fastest, as OpenCL has them.

    Parameters
    ----------
    phase : Phase
    values : mapping of str to int
        The dims and integer scalars of the launch.
    device_type : str
        ``"gpu"``, ``"cpu"`` or another, which decides the local size where the kernel does not.
    """
    extents = phase.sizes(values)
    small_or_large = _LARGE_CPU_BLOCKS if math.prod(extents) >= _LARGE_LAUNCH else _CPU_BLOCKS
    is_gpu = device_type == "gpu"
    defaults = _GPU_BLOCKS if is_gpu else small_or_large
    block = phase.block or (is_gpu and phase.gpu_block) or (defaults[len(extents) - 1] if extents else ())
    each = phase.each if is_gpu and phase.each else (1,) * len(block)
    taken = [size * iterations for size, iterations in zip(block, each, strict=True)]
    groups = phase.grid or [-(-extent // size) for extent, size in zip(extents, taken, strict=True)]
    whole = [count * size for count, size in zip(groups, block, strict=True)] if 0 not in extents else [0]
    return whole[::-1] or [1], list(block[::-1]) or [1]


def check_blocks(artifact: Artifact, device: OpenCLDevice) -> None:
    """Check that an OpenCL device takes the work-groups that a kernel was built for.

    Raises
    ------
    ArgumentError
        If one is too large; it names the limit.
    """
    for phase in artifact.phases:
        block = phase.block or ()
        written = f"block={block[0] if len(block) == 1 else block}"
        if math.prod(block) > device.max_work_group_size:
            raise ArgumentError(
                f"{artifact.name}: {written} makes work-groups of {math.prod(block)} work-items, and {device.name} "
                f"takes at most {device.max_work_group_size}: give a smaller block"
            )
        for axis, (size, limit) in enumerate(zip(block[::-1], device.max_work_item_sizes, strict=False)):
            if size > limit:
                raise ArgumentError(
                    f"{artifact.name}: {written} has {size} work-items along variable {len(block) - 1 - axis}, and "
                    f"{device.name} takes at most {limit} there: give a smaller block"
                )
