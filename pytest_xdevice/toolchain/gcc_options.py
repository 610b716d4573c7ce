"""What GCC calls the processors and features that LLVM has names for."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from typing import Final
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_xdevice.target import Target

Accepts = Callable[["tuple[str, ...]"], bool]

_AARCH64: Final = {
    "neon": "simd", "crc": "crc", "aes": "aes", "sha2": "sha2", "sha3": "sha3", "lse": "lse", "rdm": "rdma",
    "fullfp16": "fp16", "fp16fml": "fp16fml", "dotprod": "dotprod", "i8mm": "i8mm", "bf16": "bf16", "sve": "sve",
    "sve2": "sve2", "rcpc": "rcpc",
}  # fmt: skip
# The best floating-point unit of which all features are there.
_ARM_FPU: Final = (
    ("neon-fp-armv8", {"neon", "fp-armv8"}),
    ("neon-vfpv4", {"neon", "vfp4d16"}),
    ("neon", {"neon"}),
    ("vfpv4-d16", {"vfp4d16"}),
    ("vfpv3-d16", {"vfp3d16"}),
    ("vfp", {"vfp2"}),
)
_ARM_ARCHES: Final = {"armv5te": "armv5te", "armv6l": "armv6", "armv7l": "armv7-a", "armv8l": "armv8-a"}


def processor_options(target: Target, accepts: Accepts) -> list[str]:
    """Return the options that make GCC use the processor and the features of a target, as far as it knows them.

    Parameters
    ----------
    target : Target
    accepts : callable
        Tells whether this GCC knows some options.
    """
    return list(_BY_ARCH[target.arch](target, accepts))


def _x86(target: Target, accepts: Accepts) -> Iterator[str]:
    if target.cpu and accepts((f"-march={target.cpu}",)):
        yield f"-march={target.cpu}"
    for feature in target.features:
        option = f"-m{'no-' if feature.startswith('-') else ''}{feature[1:]}"
        if accepts((option,)):
            yield option


def _aarch64(target: Target, accepts: Accepts) -> Iterator[str]:
    chosen = "-march=armv8-a"
    if target.cpu and accepts((f"-mcpu={target.cpu}",)):
        chosen = f"-mcpu={target.cpu}"
    for feature in target.features:
        name = _AARCH64.get(feature[1:])
        longer = f"{chosen}+{'no' if feature.startswith('-') else ''}{name}"
        if name and accepts((longer,)):
            chosen = longer
    yield chosen


def _arm(target: Target, accepts: Accepts) -> Iterator[str]:
    if target.cpu and accepts((f"-mcpu={target.cpu}",)):
        yield f"-mcpu={target.cpu}"
    else:
        yield f"-march={_ARM_ARCHES[target.triple.split('-')[0]]}"
    has = {feature[1:] for feature in target.features if feature.startswith("+")}
    fpu = next((name for name, needed in _ARM_FPU if needed <= has), "")
    if fpu:
        yield f"-mfpu={fpu}"
    yield f"-mfloat-abi={'hard' if target.float_abi == 'hard' else 'soft'}"


def _riscv64(target: Target, accepts: Accepts) -> Iterator[str]:
    vector = "v" if "+v" in target.features else ""
    yield f"-march=rv64gc{vector}"


_BY_ARCH: Final = {"x86_64": _x86, "i686": _x86, "aarch64": _aarch64, "arm": _arm, "riscv64": _riscv64}
