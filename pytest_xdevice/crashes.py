"""How a worker ended under a kernel, as the error that a user sees."""

from __future__ import annotations

from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from .client import WorkerEnded
from .errors import DeviceError
from .errors import DeviceLost
from .errors import KernelCrash
from .errors import KernelTimeout
from .errors import MemoryViolation
from .errors import XDeviceError
from .kernel.signature import Param
from .kernel.signature import Signature
from .kernel.types import ArrayType
from .kernel.types import PointerType
from .timing import format_bytes
from .toolchain.symbolise import line_of

if TYPE_CHECKING:
    from .artifact import Artifact
    from .device_info import NamedDevice

# What mostly is behind a signal that no address explains.
_LIKELY: Final = {
    "SIGSEGV": "no address was reported: the stack of one of its threads may have overflowed",
    "SIGILL": "an instruction that this CPU does not have: was it built for another one?",
    "SIGTRAP": "code that is not to be reached, or a check of the compiler's",
    "SIGFPE": "an integer was divided by zero, or the least one by -1",
    "SIGABRT": "abort() was called, by the code itself, by an assertion, or by a library that found damage",
    "SIGKILL": "signal 9, from outside: a device whose memory runs short may end processes like that",
}
_TAIL_LINES: Final = 20
_SAMPLE: Final = "it was timed, and each sample, of `number` calls, may take that long: "


def error_of_end(
    end: WorkerEnded,
    kernel: str,
    artifact: Artifact | None,
    device: NamedDevice,
    seconds: float,
    *,
    timed: bool = False,
) -> XDeviceError:
    """Return the error for a worker that ended while it ran, or timed, `kernel` ("" for none), allowed `seconds`."""
    signature = artifact.signature if artifact else None
    if not kernel:
        reason = f"{device.name}: the worker on the device ended by {end.signal or f'exit status {end.code}'}"
        return DeviceError(f"{reason}: {_out_of_memory(end.oom)}") if end.oom else DeviceLost(reason)
    tail = _tail(end.output)
    was_ended_from_here = end.was_late and end.signal == "SIGKILL"
    if end.signal == "SIGALRM" or was_ended_from_here:
        doubt = ", or the link to it stood still," if was_ended_from_here else ""
        return KernelTimeout(
            f"{kernel} ran longer than {seconds:g} s on {device.name}{doubt} and was ended there; "
            f"{_SAMPLE if timed else ''}allow more with timeout= or --xdevice-timeout{tail}",
            kernel=kernel,
            seconds=seconds,
        )
    place = f"on {device.name} {device.kind}"
    if end.signal is None:
        text = f"{kernel} left its process with exit status {end.code} {place}"
        why = "exit() was called, by the code itself or by a library"
        return KernelCrash(f"{text}: {why}{tail}", kernel=kernel, signal=None)
    fault = end.fault or {}
    place = f"{_line(fault, artifact)}{place}"
    if signature is not None and fault.get("place") == "argument":
        violation = _violation(fault, signature, f"{place}: {end.signal}{tail}")
        if violation is not None:
            return violation
    why = _out_of_memory(end.oom) if end.oom else _describe(fault, signature) or _LIKELY.get(end.signal, "")
    text = f"{kernel} crashed with {end.signal} {place}" + (f": {why}" if why else "")
    return KernelCrash(text + tail, kernel=kernel, signal=end.signal)


def _out_of_memory(oom: dict[str, Any]) -> str:
    """Say that the device's kernel ended a worker for want of memory."""
    limit = f", of which its control group may have {format_bytes(oom['limit'])}" if oom["limit"] else ""
    return f"signal 9, from the device's kernel, which had run out of memory{limit}"


def _line(fault: dict[str, Any], artifact: Artifact | None) -> str:
    """Say on which line of the source a kernel faulted, where its library was compiled with that information."""
    if artifact is None or artifact.kind != "cpu" or not artifact.is_linked or "instruction" not in fault:
        return ""
    line = line_of(artifact.object, artifact.entry, fault["instruction"])
    return f"at {line} " if line else ""


def distance(param: Param, offset: int, nbytes: int) -> tuple[str, int]:
    """Return in words where an element outside of an array lies, and its index.

    Parameters
    ----------
    param : Param
        An array.
    offset : int
        Of a byte of the element, from the array's start.
    nbytes : int
        The array's size.
    """
    width = _width(param)
    index = offset // width
    outside = (index + 1) * width - nbytes if offset >= nbytes else -index * width
    side = "past the end" if offset >= nbytes else "before the start"
    plural = "" if outside == 1 else "s"
    return f"{outside} byte{plural} {side} of argument {param.name} (index {index} of {nbytes // width})", index


def _violation(fault: dict[str, Any], signature: Signature, place: str) -> MemoryViolation | None:
    """Return the error for a fault in the guards of an argument, or in one that must not be written; else None."""
    param = signature.params[fault["position"]]
    offset, nbytes, access = fault["offset"], fault["nbytes"], fault["access"]
    if not 0 <= offset < nbytes:
        # A kernel does not write what it only reads, as a rule; where the processor knows better it said so.
        verb = "read" if access == "touched" and not param.is_written else access
        words, index = distance(param, offset, nbytes)
        text = f"{signature.name} {verb} {words}"
    elif access != "read" and not param.is_written:
        width = _width(param)
        index = offset // width
        where = f"(index {index} of {nbytes // width})"
        text = f"{signature.name} wrote to argument {param.name}, which is In: to be read only {where}"
    else:
        return None
    return MemoryViolation(f"{text} {place}", kernel=signature.name, argument=param.name, index=index)


def _width(param: Param) -> int:
    assert isinstance(param.type, (ArrayType, PointerType))
    return param.type.element.nbytes if param.type.element else 1


def _describe(fault: dict[str, Any], signature: Signature | None) -> str:
    """Say what a faulting address is, or that there was no fault; nothing where no address has to do with it."""
    if fault.get("place", "code") == "code":
        return ""
    if fault["place"] == "sent":
        return "no fault: raise() or kill() sent it, in the code itself or from another process"
    if fault["address"] is None:
        return "it used an address that no memory can have"
    access, address = fault["access"], f"address {fault['address']:#x}"
    if fault["place"] == "null":
        return f"it {access} {address}: a null pointer"
    if fault["place"] == "stack":
        return "its stack overflowed, by recursion or by large local arrays"
    if signature is None or "position" not in fault:
        return f"it {access} {address}"
    param = signature.params[fault["position"]]
    if fault["place"] == "argument":
        return f"it {access} {address}, in argument {param.name}"
    words, _ = distance(param, fault["offset"], fault["nbytes"])
    return f"it {access} {address}, {words}, which is the nearest"


def _tail(output: str) -> str:
    lines = output.rstrip()[-_TAIL_LINES * 120 :].splitlines()
    return "\n".join(["\nThe last that it printed:", *lines[-_TAIL_LINES:]]) if lines else ""
