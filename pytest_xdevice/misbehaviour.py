"""What a worker could not carry out, as the errors that a user sees."""

from __future__ import annotations

from typing import Final
from typing import TYPE_CHECKING

from .client import Problem
from .errors import ArgumentError
from .errors import CompileError
from .errors import DeviceError
from .errors import MemoryViolation
from .errors import XDeviceError
from .kernel.signature import Signature
from .kernel.types import ArrayType
from .kernel.types import PointerType
from .sources.opencl_places import place_of

if TYPE_CHECKING:
    from .artifact import Artifact

_COMPILE_PROBLEMS: Final = {"LoadError", "BuildError", "LinkError", "NoLinker", "NoEntry", "NoArguments"}
_UNLOCATED: Final = {"NoEntry", "NoArguments"}  # the others' logs name lines, or are of no source
_LAUNCH_PROBLEMS: Final = {"WorkGroup", "LocalMemory"}


def error_of_problem(problem: Problem, kernel: str, artifact: Artifact | None) -> XDeviceError:
    """Return the error for an operation that the worker could not carry out."""
    signature = artifact.signature if artifact else None
    if problem.kind == "MemoryViolation" and signature is not None:
        return _violation(problem, signature)
    if problem.kind == "KernelStatus" and signature is not None and signature.params:
        return _too_wide(problem, signature)
    if problem.kind in _COMPILE_PROBLEMS:
        place = _place(artifact) if problem.kind in _UNLOCATED else ""
        return CompileError(f"{place}{kernel}: {problem}")
    if problem.kind in _LAUNCH_PROBLEMS:
        return ArgumentError(f"{_place(artifact) or f'{kernel}: '}{problem}")
    return DeviceError(f"{kernel}: {problem}" if kernel else str(problem))


def _place(artifact: Artifact | None) -> str:
    """Say where a kernel in OpenCL C stands."""
    if artifact is None or not artifact.is_handwritten:
        return ""
    place = place_of(artifact.opencl_source, artifact.name)
    return f"{place}: " if place else ""


def _too_wide(problem: Problem, signature: Signature) -> ArgumentError:
    """Name the argument that does not fit in the type it has on the device, as the entry of a kernel in C found."""
    param = signature.params[min(problem.details["status"], len(signature.params)) - 1]
    return ArgumentError(
        f"{signature.name}: {param.name} does not fit in 32 bits, which its type has on this device, being as wide as "
        "a pointer: pass a smaller number, or take an int64_t in C"
    )


def _violation(problem: Problem, signature: Signature) -> MemoryViolation:
    """Name the argument and the element that a changed canary byte belongs to."""
    param = signature.params[problem.details["position"]]
    assert isinstance(param.type, (ArrayType, PointerType))
    offset, count, nbytes = (problem.details[name] for name in ("offset", "count", "nbytes"))
    width = param.type.element.nbytes if param.type.element else 1
    index = offset // width
    where = f"{count} byte{'s'[: count != 1]} {'past the end' if offset >= 0 else 'before the start'}"
    return MemoryViolation(
        f"{signature.name} wrote {where} of argument {param.name} (index {index} of {nbytes // width})",
        kernel=signature.name,
        argument=param.name,
        index=index,
    )
