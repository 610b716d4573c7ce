"""The section of a failed test's report that says where it ran."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .device import cpu_name
from .device import opencl_text

if TYPE_CHECKING:
    from ..remote import Device


def describe_run(device: Device) -> str:
    """Return what ran where in a test: device, kind, target, CPU, and the last kernel with its arguments."""
    session = device.session
    place = device.name if device.name == device.address else f"{device.name} at {device.address}"
    rows = [("device", place), ("kind", device.kind), ("target", device.target_summary), ("CPU", _cpu(device))]
    if device.kind == "opencl":
        rows += [("OpenCL", opencl_text(found)) for found in session.opencl_devices()[:1]]
    rows += _last_kernel(device)
    return "\n".join(f"{name:<11}{text}".rstrip() for name, text in rows)


def _cpu(device: Device) -> str:
    cores = device.session.info.cores
    return f"{cpu_name(device.session)}, {cores} core{'s' if cores != 1 else ''}"


def _last_kernel(device: Device) -> list[tuple[str, str]]:
    if not device.records:
        return [("kernel", "none was launched")]
    last = device.records[-1]
    count = len(device.records)
    rows = [("kernel", last.kernel + (f" (the last of {count} launches)" if count > 1 else ""))]
    first, *others = last.arguments or ("none",)
    return [*rows, ("arguments", first), *(("", argument) for argument in others)]
