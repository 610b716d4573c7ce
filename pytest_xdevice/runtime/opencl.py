"""The worker's OpenCL device, through pyopencl."""

from __future__ import annotations

import contextlib
import os
import re
import time
import warnings
from itertools import takewhile
from typing import Any
from typing import Callable
from typing import Dict
from typing import List
from typing import Optional
from typing import Sequence
from typing import Tuple

from .build_log import with_source_lines
from .caches import CacheFlusher
from .faults import FaultReporter
from .launch import deadline
from .launch import DeviceProblem
from .launch import Launch
from .launch import SLOT
from .memory import Array
from .memory import OutOfMemory
from .memory import SPARSE
from .opencl_arguments import arguments_of
from .opencl_arguments import KEEP
from .opencl_memory import Buffer
from .opencl_memory import fill
from .opencl_memory import memory_of
from .timing import check_clock
from .timing import measure
from .timing import Plan

_MISSING = (
    "no OpenCL there: {}. Install pyopencl on the device (pip install pyopencl, or Debian's python3-pyopencl), "
    "and a driver (pip install pocl-binary-distribution or Debian's pocl-opencl-icd for its CPU)"
)


_END = 1 << 20  # bytes at each end of a huge block that are filled on a CPU
_IN_AN_ERROR = re.compile(r"^Build on [^\n]*:\n\n(.*?)\n(?:\(options: |=+\n|\Z)", re.DOTALL | re.MULTILINE)
_SAVED = re.compile(r"^\(source saved as (\S+\.cl)\)$", re.MULTILINE)
_STRETCHES = ("queue", "submit", "run")  # of a launch, by the device's clock
_PROBE = "__kernel void xd_probe(__global float *a) { a[get_global_id(0)] += 1.0f; }"


class OpenCLBackend:
    """Builds OpenCL C programs on one device and launches their kernels.

    Parameters
    ----------
    choice : str
        Which device: a part of its name or its platform's, in any case; "" takes the first, a GPU before others.
    guard : bool
        Whether arrays have red zones.
    """

    def __init__(self, choice: str, guard: bool) -> None:
        self._cl = _import()
        self.devices = _devices(self._cl)
        if not self.devices:
            raise DeviceProblem("NoOpenCL", _MISSING.format("pyopencl is there, but it finds no device"))
        self._device, self._context = self._first_working(_candidates(self.devices, choice))
        profiling = self._cl.command_queue_properties.PROFILING_ENABLE
        self._queue = self._cl.CommandQueue(self._context, properties=profiling)
        self._memory = memory_of(self._cl, self._device, self._queue, guard)
        self._programs: Dict[str, _Program] = {}
        self.reporter: Optional[FaultReporter] = None
        self._flush_cpu = CacheFlusher()
        self._scratch: Optional[List[Any]] = None

    def describe(self) -> Dict[str, Any]:
        """Return the facts of every OpenCL device there is, the chosen one first."""
        ordered = [self._device] + [device for device in self.devices if device != self._device]
        return {"opencl": [_facts(self._cl, device) for device in ordered]}

    def allocate(self, nbytes: int) -> Buffer:
        """Return a block of device memory whose contents are undefined."""
        limit = self._device.max_mem_alloc_size
        if nbytes > limit:
            raise DeviceProblem(
                "OutOfMemory",
                f"{nbytes} bytes are more than this OpenCL device allocates at once ({limit} bytes of the "
                f"{self._device.global_mem_size} that it has)",
            )
        try:
            return self._memory.allocate(nbytes)
        except OutOfMemory as error:
            raise DeviceProblem("OutOfMemory", str(error)) from None
        except self._cl.Error as error:
            raise self._no_room(nbytes, error) from None

    def free(self, array: Buffer) -> None:
        """Give a block back."""
        self._memory.free(array)

    def fill(self, array: Buffer, byte: int) -> None:
        """Set every byte of a block; on a CPU those of a huge one at its ends alone, which costs no memory between."""
        whole = [(0, array.nbytes)]
        ends = [(0, _END), (array.nbytes - _END, _END)]
        sparse = array.nbytes >= SPARSE and _type_name(self._device.type) == "cpu"
        try:
            for start, length in ends if sparse else whole:
                if length:
                    fill(self._cl, self._queue, array.handle, byte, start, length)
        except self._cl.Error as error:
            raise self._no_room(array.nbytes, error) from None

    def writable(self, array: Buffer) -> memoryview:
        """Return memory of the host to be filled from the stream; `written` moves it to the device."""
        return memoryview(bytearray(array.nbytes))

    def written(self, array: Buffer, view: memoryview) -> None:
        """Copy `view` to the device."""
        if array.nbytes:
            self._cl.enqueue_copy(self._queue, array.handle, view, is_blocking=True)

    def readable(self, array: Buffer, start: int, length: int) -> memoryview:
        """Return a part of the block's contents."""
        view = memoryview(bytearray(length))
        if length:
            try:
                self._cl.enqueue_copy(self._queue, view, array.handle, src_offset=start, is_blocking=True)
            except self._cl.Error as error:
                raise DeviceProblem("OpenCLError", f"reading a result failed: {error}") from None
        return view

    def load(self, key: str, data: bytes, facts: Dict[str, Any]) -> None:
        """Build a program from its source, with the options that its kernels allow."""
        if key in self._programs:
            return
        source = bytes(data).decode()
        lacking = missing_extensions(source, self._device.extensions.split())
        if lacking:
            raise DeviceProblem(
                "BuildError",
                "{} has no {}, which this kernel needs for its types: use 32-bit ones, or mark the test with "
                "@pytest.mark.opencl(extensions={!r})".format(self._device.name, " and no ".join(lacking), lacking),
            )
        options = [KEEP] if facts["by_hand"] else own_options(self._cl, self._device)
        options = [*options, *facts["build_options"]]
        program = self._cl.Program(self._context, source)
        try:
            program.build(options=options)
        except self._cl.RuntimeError as error:
            _remove_saved_source(error)
            message = with_source_lines(self._log(program, error), source) or error
            raise DeviceProblem("BuildError", f"{self._device.name.strip()} says:\n{message}") from None
        self._programs[key] = _Program(self._cl, self._device, program, source, options)

    def fenced(self, array: Buffer) -> Optional[Array]:
        """Return the array in this process's memory behind a buffer, or None where the device has its own."""
        return array.behind if isinstance(array.behind, Array) else None

    def _log(self, program: Any, error: Exception) -> str:
        """Return what the compiler wrote; of a program that it refused, older versions of pyopencl know no more."""
        try:
            return str(program.get_build_info(self._device, self._cl.program_build_info.LOG))
        except self._cl.Error:
            found = _IN_AN_ERROR.search(str(error))
            return found[1] if found else str(error)

    def arguments(self, key: str, entry: str) -> List[Dict[str, Any]]:
        """Return what the arguments of a kernel in OpenCL C are, as the driver has it; see `arguments_of`."""
        program = self._programs[key]
        kernel = program.kernels.get(entry)
        if kernel is None:
            there = ", ".join(program.kernels) or "none"
            raise DeviceProblem("NoEntry", f"the program has no kernel {entry!r}; there are: {there}")
        try:
            return arguments_of(self._cl, kernel, program.source, program.options)
        except self._cl.Error as error:
            message = f"{self._device.name.strip()} does not tell what arguments {entry} takes: {error}"
            raise DeviceProblem("NoArguments", message) from None

    def launch(self, launch: Launch, arrays: Sequence[Optional[Buffer]]) -> None:
        """Enqueue every phase once and wait for the last."""
        with deadline(launch.timeout):
            events = self._enqueue(launch, arrays)
            self._memory.look(arrays)
            self._finish(events)
        self._check_zones(arrays)

    def time(self, launches: Sequence[Tuple[Launch, Sequence[Optional[Buffer]]]], plan: Plan) -> List[Dict[str, Any]]:
        """Measure, in turns, with the device's own profiling events: the time from a kernel's start to its end."""
        samples = [self._sampler(launch, arrays) for launch, arrays in launches]
        tick = self._device.profiling_timer_resolution * 1e-9
        figures = measure(samples, plan, tick, self._flush)
        check_clock(figures, lambda: any(sample.clock_moves for sample in samples))
        for _, arrays in launches:
            self._check_zones(arrays)
        return [
            {"number": number, "results": results, "events": sample.per_call(len(results))}
            for sample, (number, results) in zip(samples, figures)
        ]

    def _sampler(self, launch: Launch, arrays: Sequence[Optional[Buffer]]) -> _EventSampler:
        """Return what launches a kernel a number of times and tells the seconds; one launch is checked first."""
        self.launch(launch, arrays)
        return _EventSampler(launch.timeout, lambda: self._enqueue(launch, arrays), self._finish)

    def _flush(self) -> None:
        """Evict what the device's caches hold: a CPU's by reading, another's by a copy of more than they hold."""
        if _type_name(self._device.type) == "cpu":
            self._flush_cpu()
            return
        if self._scratch is None:
            nbytes = max(2 * self._device.global_mem_cache_size, 1 << 20)
            flags = self._cl.mem_flags.READ_WRITE
            self._scratch = [self._cl.Buffer(self._context, flags, nbytes) for _ in range(2)]
        self._cl.enqueue_copy(self._queue, self._scratch[1], self._scratch[0]).wait()

    def _no_room(self, nbytes: int, error: Exception) -> DeviceProblem:
        there = self._device.global_mem_size
        return DeviceProblem("OutOfMemory", f"no room for {nbytes} bytes of the {there} that the device has: {error}")

    def _first_working(self, candidates: List[Any]) -> Tuple[Any, Any]:
        """Return the first device whose compiler works, and a context for it: a driver may not know its processor."""
        problems = []
        for device in candidates:
            try:
                context = self._cl.Context([device])
                self._cl.Program(context, _PROBE).build()
                return device, context
            except self._cl.Error as error:
                problems.append(f"{device.name} ({device.platform.version}): {str(error).strip()}")
        raise DeviceProblem(
            "NoOpenCL", "no OpenCL device there can build a program; install another driver. " + "\n".join(problems)
        )

    def _enqueue(self, launch: Launch, arrays: Sequence[Optional[Buffer]]) -> List[Any]:
        carry_bytes = launch.options.get("carry_bytes", 0)
        carry = self._carry(carry_bytes) if carry_bytes else None
        events = []
        if self.reporter is not None:
            self.reporter.watch(arrays)
        for phase in launch.options["phases"]:
            if 0 in phase["global"]:
                continue
            program = self._programs[launch.key]
            kernel = program.kernels[phase["entry"]]
            self._check_local_memory(launch, program, phase["entry"])
            local = phase["local"] or program.group(phase["entry"])
            try:
                self._set_arguments(kernel, launch, arrays, carry)
                events.append(
                    self._cl.enqueue_nd_range_kernel(
                        self._queue, kernel, phase["global"], local, global_work_offset=phase.get("offset")
                    )
                )
            except self._cl.Error as error:
                raise self._refused(launch, kernel, phase, error) from None
        return events

    def _carry(self, nbytes: int) -> Any:
        """Return a buffer of zeros in which one phase leaves what the next needs."""
        handle = self._cl.Buffer(self._context, self._cl.mem_flags.READ_WRITE, nbytes)
        self._cl.enqueue_fill_buffer(self._queue, handle, bytes(1), 0, nbytes)
        return handle

    def _refused(self, launch: Launch, kernel: Any, phase: Dict[str, Any], error: Exception) -> DeviceProblem:
        """Return the problem of a launch that the driver refuses: often one kernel takes less than the device could."""
        message = "{} cannot be launched: {}".format(phase["entry"], error)
        wrong = _wrong_sizes(self._device, self._programs[launch.key].group(phase["entry"]), phase)
        if wrong:
            return DeviceProblem("WorkGroup", f"{phase['entry']} cannot be launched: {wrong}")
        count = 1
        for size in phase["local"] or ():
            count *= size
        limit = kernel.get_work_group_info(self._cl.kernel_work_group_info.WORK_GROUP_SIZE, self._device)
        if count <= limit:
            return DeviceProblem("OpenCLError", message)
        return DeviceProblem(
            "WorkGroup",
            f"{message}\nIts work-groups have {count} work-items, and {self._device.name.strip()} takes at most "
            f"{limit} for this kernel: give smaller ones",
        )

    def _set_arguments(self, kernel: Any, launch: Launch, arrays: Sequence[Optional[Buffer]], carry: Any) -> None:
        sizes = launch.options["sizes"]
        for position, (argument, array) in enumerate(zip(launch.arguments, arrays)):
            if array is not None:
                kernel.set_arg(position, array.handle)
            elif sizes[position] < 0:
                kernel.set_arg(position, self._cl.LocalMemory(-sizes[position]))
            else:
                start = (-1 - argument) * SLOT
                kernel.set_arg(position, launch.values[start : start + sizes[position]])
        if carry is not None:
            kernel.set_arg(len(launch.arguments), carry)

    def _check_local_memory(self, launch: Launch, program: _Program, entry: str) -> None:
        """Refuse a kernel that needs more than there is: drivers do so in ways of their own, PoCL by an abort."""
        if launch.prepared is not None:
            return
        own, given = program.local_memory[entry], -sum(size for size in launch.options["sizes"] if size < 0)
        limit = self._device.local_mem_size
        if own + given > limit:
            parts = f" ({own} of its own and {given} given as arguments)" if own and given else ""
            raise DeviceProblem(
                "LocalMemory",
                f"{entry} needs {own + given} bytes of local memory for each work-group{parts}, and "
                f"{self._device.name.strip()} has {limit}",
            )
        launch.prepared = True

    def _check_zones(self, arrays: Sequence[Optional[Buffer]]) -> None:
        violation = self._memory.violation(arrays)
        if violation is not None:
            raise DeviceProblem("MemoryViolation", "wrote outside of an array", **violation)

    def _finish(self, events: List[Any]) -> None:
        try:
            self._queue.finish()
            for event in events:
                event.wait()
        except self._cl.Error as error:
            raise DeviceProblem("OpenCLError", f"a kernel failed on the device: {error}") from None


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


class _Program:
    """A program that was built, and its kernels by name."""

    def __init__(self, cl: Any, device: Any, program: Any, source: str, options: List[str]) -> None:
        self.source = source
        self.options = options
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


def own_options(cl: Any, device: Any) -> List[str]:
    """Return the options with which a device builds the programs of kernels in Python."""
    # Correctly rounded / and sqrt is what the language promises; not every device can be asked for it.
    exact = device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
    rounded = ["-cl-fp32-correctly-rounded-divide-sqrt"] if exact else []
    gpu = ["-DXD_GPU"] if _type_name(device.type) == "gpu" else []
    return [*rounded, *gpu, *(["-DXD_EXTREMA"] if _has_extrema(device) else [])]


def _has_extrema(device: Any) -> bool:
    """Tell whether an NVIDIA GPU has instructions for a minimum and a maximum that keep NaN (PTX ISA, min.NaN)."""
    if "cl_nv_device_attribute_query" not in device.extensions.split():
        return False
    return bool(device.compute_capability_major_nv >= 8)


def _wrong_sizes(device: Any, demanded: Optional[List[int]], phase: Dict[str, Any]) -> Optional[str]:
    """Return what is wrong with the sizes of a launch, as far as that can be told."""
    whole, local = phase["global"], phase["local"] or demanded
    if local is None:
        return None
    for axis, (size, limit) in enumerate(zip(local, device.max_work_item_sizes)):
        if size > limit:
            return f"local_size {tuple(local)} has {size} work-items along axis {axis}, and this device takes {limit}"
    if demanded and phase["local"] and demanded != list(phase["local"]):
        return f"its source demands work-groups of {tuple(demanded)}, and local_size is {tuple(phase['local'])}"
    for size, group in zip(whole, local):
        if size % group:
            return (
                f"global_size {tuple(whole)} is no multiple of local_size {tuple(local)}; make it one, and have the "
                "kernel leave out the work-items beyond the end"
            )
    return None


class _EventSampler:
    """Launches a kernel a number of times, and keeps where the time went: see `runtime.timing.Sample`."""

    def __init__(self, timeout: float, enqueue: Callable[[], List[Any]], finish: Callable[[List[Any]], None]) -> None:
        self._timeout = timeout
        self._enqueue = enqueue
        self._finish = finish
        self._was_enqueued = False
        self._taken: List[Tuple[int, Dict[str, float]]] = []

    def __call__(self, calls: int) -> float:
        with deadline(self._timeout):
            began = time.perf_counter()
            events = [event for _ in range(calls) for event in self._enqueue()]
            self._finish(events)
            self._was_enqueued = bool(events)
            wall = time.perf_counter() - began
        profiles = [event.profile for event in events]
        spent: Dict[str, float] = {
            "queue": sum(profile.submit - profile.queued for profile in profiles) * 1e-9,
            "submit": sum(profile.start - profile.submit for profile in profiles) * 1e-9,
            "run": sum(profile.end - profile.start for profile in profiles) * 1e-9,
            "wall": wall,
        }
        self._taken.append((calls, spent))
        return spent["run"]

    @property
    def clock_moves(self) -> bool:
        """Whether the device's clock told of any time; true as well where there was nothing to launch."""
        return not self._was_enqueued or any(spent[name] for _, spent in self._taken for name in _STRETCHES)

    def per_call(self, samples: int) -> Dict[str, float]:
        """Return where the time of a call went, in seconds, on average over the last `samples`."""
        kept = self._taken[-samples:]
        calls = sum(number for number, _ in kept)
        return {name: sum(spent[name] for _, spent in kept) / calls for name in kept[0][1]}


def _import() -> Any:
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


def _devices(cl: Any) -> List[Any]:
    try:
        platforms = cl.get_platforms()
    except cl.Error:
        return []  # no driver is installed; pyopencl says so by an error
    found: List[Any] = []
    for platform in platforms:
        try:
            found += platform.get_devices()
        except cl.Error:
            continue  # a platform without a device of its own
    return found


def _candidates(devices: List[Any], choice: str) -> List[Any]:
    wanted = choice.lower()
    names = [f"{device.name} ({device.platform.name})" for device in devices]
    matching = [device for device, name in zip(devices, names) if wanted in name.lower()]
    if not matching:
        raise DeviceProblem("NoOpenCL", "no OpenCL device matches {!r}; there are: {}".format(choice, ", ".join(names)))
    return sorted(matching, key=lambda device: _type_name(device.type) != "gpu")


def _type_name(bits: int) -> str:
    for bit, name in ((4, "gpu"), (8, "accelerator"), (2, "cpu")):  # CL_DEVICE_TYPE_* of cl.h
        if bits & bit:
            return name
    return "custom"


def _facts(cl: Any, device: Any) -> Dict[str, Any]:
    return {
        "name": device.name.strip(),
        "platform": device.platform.name.strip(),
        "version": device.version.split()[1],
        "c_version": device.opencl_c_version.split()[2],
        "driver": device.driver_version,
        "device_type": _type_name(device.type),
        "extensions": device.extensions.split(),
        "memory": device.global_mem_size,
        "max_allocation": device.max_mem_alloc_size,
        "compute_units": device.max_compute_units,
        "max_work_group_size": device.max_work_group_size,
        "max_work_item_sizes": list(device.max_work_item_sizes),
    }
