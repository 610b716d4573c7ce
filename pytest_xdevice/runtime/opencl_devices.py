"""The OpenCL devices that there are, and the one to use."""

from __future__ import annotations

import warnings
from typing import Any
from typing import Dict
from typing import List
from typing import Tuple

from .launch import DeviceProblem

_MISSING = (
    "no OpenCL there: {}. Install pyopencl on the device (pip install pyopencl, or Debian's python3-pyopencl), "
    "and a driver (pip install pocl-binary-distribution or Debian's pocl-opencl-icd for its CPU)"
)
_PROBE = "__kernel void xd_probe(__global float *a) { a[get_global_id(0)] += 1.0f; }"


def load_pyopencl() -> Any:
    """Return the module `pyopencl`.

    Raises
    ------
    DeviceProblem
        If it is not installed, or cannot be imported; the message says what to do.
    """
    try:
        import pyopencl
    except ImportError as error:
        raise DeviceProblem("NoOpenCL", _MISSING.format(error)) from None
    except Exception as error:  # noqa: BLE001 - as of one that is older than the NumPy beside it
        problem = f"pyopencl cannot be imported ({type(error).__name__}: {error})"
        raise DeviceProblem("NoOpenCL", _MISSING.format(problem)) from None
    # Some drivers say something about every build; what matters comes with a failed one.
    warnings.simplefilter("ignore", pyopencl.CompilerWarning)
    return pyopencl


def all_devices(cl: Any) -> List[Any]:
    """Return the devices of every platform.

    Raises
    ------
    DeviceProblem
        If there is none.
    """
    try:
        platforms = cl.get_platforms()
    except cl.Error:
        platforms = []  # no driver is installed; pyopencl says so by an error
    found: List[Any] = []
    for platform in platforms:
        try:
            found += platform.get_devices()
        except cl.Error:
            continue  # a platform without a device of its own
    if not found:
        raise DeviceProblem("NoOpenCL", _MISSING.format("pyopencl is there, but it finds no device"))
    return found


def candidates(devices: List[Any], choice: str) -> List[Any]:
    """Return those in whose name, or their platform's, `choice` occurs, GPUs first.

    Raises
    ------
    DeviceProblem
        If it occurs in none.
    """
    wanted = choice.lower()
    names = [f"{device.name} ({device.platform.name})" for device in devices]
    matching = [device for device, name in zip(devices, names) if wanted in name.lower()]
    if not matching:
        raise DeviceProblem("NoOpenCL", "no OpenCL device matches {!r}; there are: {}".format(choice, ", ".join(names)))
    return sorted(matching, key=lambda device: type_name(device.type) != "gpu")


def first_working(cl: Any, candidates: List[Any]) -> Tuple[Any, Any]:
    """Return the first device whose compiler works, and a context for it: a driver may not know its processor.

    Raises
    ------
    DeviceProblem
        If there is none; the message says why not.
    """
    problems = []
    for device in candidates:
        try:
            context = cl.Context([device])
            cl.Program(context, _PROBE).build()
            return device, context
        except cl.Error as error:
            problems.append(f"{device.name} ({device.platform.version}): {str(error).strip()}")
    raise DeviceProblem(
        "NoOpenCL", "no OpenCL device there can build a program; install another driver. " + "\n".join(problems)
    )


def type_name(bits: int) -> str:
    """Return the name of a device's type."""
    for bit, name in ((4, "gpu"), (8, "accelerator"), (2, "cpu")):  # CL_DEVICE_TYPE_* of cl.h
        if bits & bit:
            return name
    return "custom"


def facts_of(device: Any) -> Dict[str, Any]:
    """Return what the host should know of a device, as JSON values."""
    return {
        "name": device.name.strip(),
        "platform": device.platform.name.strip(),
        "version": device.version.split()[1],
        "c_version": device.opencl_c_version.split()[2],
        "driver": device.driver_version,
        "device_type": type_name(device.type),
        "extensions": device.extensions.split(),
        "memory": device.global_mem_size,
        "max_allocation": device.max_mem_alloc_size,
        "compute_units": device.max_compute_units,
        "max_work_group_size": device.max_work_group_size,
        "max_work_item_sizes": list(device.max_work_item_sizes),
    }
