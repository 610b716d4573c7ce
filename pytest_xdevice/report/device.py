"""Devices in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..timing import format_bytes

if TYPE_CHECKING:
    from ..connection import Connection
    from ..remote import Device
    from ..remote import OpenCLDevice


def device_line(session: Connection) -> str:
    """Return one line on a device: its triple, CPU, cores, memory and Python."""
    info = session.info
    parts = [
        session.target.triple,
        cpu_name(session),
        f"{info.cores} core{'s' if info.cores != 1 else ''}",
        format_bytes(info.memory),
        f"Python {info.python}",
    ]
    return f"xdevice {session.name}: {', '.join(part for part in parts if part)}"


def opencl_line(session: Connection) -> str:
    """Return one line on the OpenCL device that a session uses, or on why there is none."""
    devices = session.opencl_devices()
    if not devices:
        problem = (session.opencl_problem or "no device").removeprefix(f"{session.name}: ")
        return f"xdevice {session.name} OpenCL: {problem}"
    others = f" (and {len(devices) - 1} more)" if len(devices) > 1 else ""
    return f"xdevice {session.name} OpenCL: {opencl_text(devices[0])}{others}"


def opencl_text(device: OpenCLDevice) -> str:
    """Return an OpenCL device as a phrase: name, platform, version, type, compute units and memory."""
    return (
        f"{device.name}, {device.platform}, OpenCL {device.version}, {device.device_type}, "
        f"{device.compute_units} compute units, {format_bytes(device.memory)}"
    )


def processor_name(device: Device) -> str:
    """Return the name of what a test's kernels run on: a CPU, or an OpenCL device."""
    return device.session.opencl_devices()[0].name if device.kind == "opencl" else cpu_name(device.session)


def cpu_name(session: Connection) -> str:
    """Return the name of a device's CPU as it gives it itself, else as LLVM calls it, else its architecture."""
    for key in ("model_name", "cpu_model", "uarch", "hardware"):
        name = session.info.cpu.get(key, "")
        # Some kernels fill the line with a number.
        if name and not name.isdigit():
            return " ".join(name.split())
    return session.target.cpu or session.info.machine
