"""Run the back end's OpenCL C on the first OpenCL device there is."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from pytest_xdevice.artifact import OpenCLProgram
from pytest_xdevice.kernel.signature import Signature
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.work_groups import work_sizes


class NoDevice(LookupError):
    """There is no OpenCL device here on which a program can be built."""


@functools.cache
def context() -> Any:
    """Return an OpenCL context on the first device that can build a program.

    Raises
    ------
    NoDevice
        If there is none.
    """
    problems = []
    try:
        import pyopencl as cl
    except ImportError as error:
        raise NoDevice(f"needs pyopencl: pip install 'pytest-xdevice[opencl]' ({error})") from None
    try:
        for device in (device for platform in cl.get_platforms() for device in platform.get_devices()):
            try:
                made = cl.Context([device])
                cl.Program(made, "__kernel void probe(__global int *x) { x[0] = 1; }").build(cache_dir=False)
            except cl.Error as error:
                problems.append(f"{device.name}: {error}")
            else:
                return made
    except cl.Error as error:  # no platform at all
        problems.append(str(error))
    raise NoDevice(f"needs an OpenCL device that can build a program: install pocl-opencl-icd. {' '.join(problems)}")


def _options() -> list[str]:
    """Return the build options that the language's promises need on this device."""
    import pyopencl as cl

    exact = context().devices[0].single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
    # The device tests run programs as they are for CPUs; here they are what a GPU gets for a small launch.
    return ["-cl-std=CL1.2", "-DXD_GPU", "-DXD_SMALL", *(["-cl-fp32-correctly-rounded-divide-sqrt"] if exact else [])]


class Built:
    """A program on the device, with the signatures of the kernels in it."""

    def __init__(self, source: str, programs: dict[str, tuple[Signature, OpenCLProgram]]) -> None:
        import pyopencl as cl

        self._queue = cl.CommandQueue(context())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", cl.CompilerWarning)
            allowed = [option for _, each in programs.values() for option in each.build_options]
            program = cl.Program(context(), source).build(options=[*_options(), *allowed], cache_dir=False)
        self._programs = programs
        self._kernels = {
            phase.entry: cl.Kernel(program, phase.entry) for _, each in programs.values() for phase in each.phases
        }

    def run(self, name: str, *arguments: Any) -> None:
        """Launch every phase on NumPy arrays, changed in place, and scalars, in parameter order."""
        import pyopencl as cl

        signature, program = self._programs[name]
        values, buffers, passed = _values(signature, arguments), {}, []
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        for param, argument in zip(signature.params, arguments, strict=True):
            if isinstance(param.type, ArrayType):
                buffers[param.name] = cl.Buffer(context(), flags, hostbuf=argument if argument.size else np.zeros(8))
                passed.append(buffers[param.name])
            else:
                passed.append(np.asarray(argument, dtype=param.type.dtype)[()])
        passed += [np.int64(values[dim]) for dim in signature.dims]
        if program.carry_bytes:
            passed.append(cl.Buffer(context(), flags, hostbuf=np.full(program.carry_bytes, 0xAA, np.uint8)))
        for phase in program.phases:
            whole, local = work_sizes(phase, values, "gpu")
            if 0 in whole:
                continue
            kernel = self._kernels[phase.entry]
            kernel.set_args(*passed)
            cl.enqueue_nd_range_kernel(self._queue, kernel, whole, local)
        for param, argument in zip(signature.params, arguments, strict=True):
            if param.is_written and argument.size:
                cl.enqueue_copy(self._queue, argument, buffers[param.name])
        self._queue.finish()


def build(signature: Signature, program: OpenCLProgram) -> Built:
    return Built(program.source, {signature.name: (signature, program)})


def _values(signature: Signature, arguments: tuple[Any, ...]) -> dict[str, int]:
    """Return the dims and integer scalars of a launch by name."""
    values: dict[str, int] = {}
    for param, argument in zip(signature.params, arguments, strict=True):
        if isinstance(param.type, ArrayType):
            names = (extent.name if isinstance(extent, Dim) else None for extent in param.type.extents)
            values.update((name, size) for name, size in zip(names, argument.shape, strict=True) if name)
        elif not param.type.is_float:
            values[param.name] = int(argument)
    return values
