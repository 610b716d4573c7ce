"""OpenCL programs: built from source with the options that kernels allow, or refused with what the compiler says."""

from __future__ import annotations

import contextlib
import os
import re
from itertools import takewhile
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from typing import Sequence

from .build_log import with_source_lines
from .launch import DeviceProblem
from .opencl_devices import type_name

_IN_AN_ERROR = re.compile(r"^Build on [^\n]*:\n\n(.*?)\n(?:\(options: |=+\n|\Z)", re.DOTALL | re.MULTILINE)
_SAVED = re.compile(r"^\(source saved as (\S+\.cl)\)$", re.MULTILINE)


class Program:
    """A program that was built, and its kernels by name."""

    def __init__(self, cl: Any, context: Any, device: Any, source: str, options: List[str]) -> None:
        self.source = source
        self.options = options
        program = _built(cl, context, device, source, options)
        # `program.name` would make a new kernel at every use.
        self.kernels = {kernel.function_name: kernel for kernel in program.all_kernels()}
        info = cl.kernel_work_group_info
        self.local_memory: Dict[str, int] = {}
        self._groups: Dict[str, List[int]] = {}
        for name, kernel in self.kernels.items():
            self.local_memory[name] = kernel.get_work_group_info(info.LOCAL_MEM_SIZE, device)
            self._groups[name] = list(kernel.get_work_group_info(info.COMPILE_WORK_GROUP_SIZE, device))

    def group(self, entry: str) -> Optional[List[int]]:
        """Return the work-group size that the source of a kernel demands, first dimension fastest, or None."""
        sizes = self._groups[entry]
        while sizes and sizes[-1] == 1 and len(sizes) > 1:
            sizes = sizes[:-1]
        return sizes if sizes and sizes[0] else None


def _built(cl: Any, context: Any, device: Any, source: str, options: List[str]) -> Any:
    """Return a program that was built.

    Raises
    ------
    DeviceProblem
        If the device lacks what it needs, or the compiler refuses it.
    """
    lacking = missing_extensions(source, device.extensions.split())
    if lacking:
        raise DeviceProblem(
            "BuildError",
            "{} has no {}, which this kernel needs for its types: use 32-bit ones, or mark the test with "
            "@pytest.mark.opencl(extensions={!r})".format(device.name, " and no ".join(lacking), lacking),
        )
    program = cl.Program(context, source)
    try:
        return program.build(options=options)
    except cl.RuntimeError as error:
        _remove_saved_source(error)
        message = with_source_lines(_log(cl, device, program, error), source) or error
        raise DeviceProblem("BuildError", f"{device.name.strip()} says:\n{message}") from None


def _log(cl: Any, device: Any, program: Any, error: Exception) -> str:
    """Return what the compiler wrote; of a program that it refused, older versions of pyopencl know no more."""
    try:
        return str(program.get_build_info(device, cl.program_build_info.LOG))
    except cl.Error:
        found = _IN_AN_ERROR.search(str(error))
        return found[1] if found else str(error)


def missing_extensions(source: str, available: Sequence[str]) -> List[str]:
    """Return the extensions that the first lines of a program turn on, and that are not available."""
    heads = takewhile(lambda line: line.startswith("#pragma OPENCL "), source.splitlines())
    wanted = [line.split()[3] for line in heads if line.startswith("#pragma OPENCL EXTENSION ")]
    return [name for name in wanted if name not in available]


def _remove_saved_source(error: Exception) -> None:
    """Remove the copy of a refused program that pyopencl leaves in the folder for temporary files."""
    saved = _SAVED.search(str(error))
    if saved:
        with contextlib.suppress(OSError):
            os.unlink(saved[1])


def own_options(cl: Any, device: Any) -> List[str]:
    """Return the options with which a device builds the programs of kernels in Python."""
    # Correctly rounded / and sqrt is what the language promises; not every device can be asked for it.
    exact = device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
    rounded = ["-cl-fp32-correctly-rounded-divide-sqrt"] if exact else []
    gpu = ["-DXD_GPU"] if type_name(device.type) == "gpu" else []
    return [*rounded, *gpu, *(["-DXD_EXTREMA"] if _has_extrema(device) else [])]


def _has_extrema(device: Any) -> bool:
    """Tell whether an NVIDIA GPU has instructions for a minimum and a maximum that keep NaN (PTX ISA, min.NaN)."""
    if "cl_nv_device_attribute_query" not in device.extensions.split():
        return False
    return bool(device.compute_capability_major_nv >= 8)
