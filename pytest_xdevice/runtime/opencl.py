"""The worker's OpenCL device, through pyopencl."""

from __future__ import annotations

import time
from typing import Any
from typing import Callable
from typing import Dict
from typing import List
from typing import Optional
from typing import Sequence
from typing import Tuple

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
from .opencl_devices import all_devices
from .opencl_devices import candidates
from .opencl_devices import facts_of
from .opencl_devices import first_working
from .opencl_devices import load_pyopencl
from .opencl_devices import type_name
from .opencl_memory import Buffer
from .opencl_memory import fill
from .opencl_memory import memory_of
from .opencl_programs import own_options
from .opencl_programs import Program
from .timing import check_clock
from .timing import measure
from .timing import Plan

_END = 1 << 20  # bytes at each end of a huge block that are filled on a CPU
_STRETCHES = ("queue", "submit", "run")  # of a launch, by the device's clock


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
        self._cl = load_pyopencl()
        self.devices = all_devices(self._cl)
        self._device, self._context = first_working(self._cl, candidates(self.devices, choice))
        profiling = self._cl.command_queue_properties.PROFILING_ENABLE
        self._queue = self._cl.CommandQueue(self._context, properties=profiling)
        self._memory = memory_of(self._cl, self._device, self._queue, guard)
        self._programs: Dict[str, Program] = {}
        self.reporter: Optional[FaultReporter] = None
        self._flush_cpu = CacheFlusher()
        self._scratch: Optional[List[Any]] = None

    def describe(self) -> Dict[str, Any]:
        """Return the facts of every OpenCL device there is, the chosen one first."""
        ordered = [self._device] + [device for device in self.devices if device != self._device]
        return {"opencl": [facts_of(device) for device in ordered]}

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
        sparse = array.nbytes >= SPARSE and type_name(self._device.type) == "cpu"
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
        options = [KEEP] if facts["by_hand"] else own_options(self._cl, self._device)
        source, options = bytes(data).decode(), [*options, *facts["build_options"]]
        self._programs[key] = Program(self._cl, self._context, self._device, source, options)

    def fenced(self, array: Buffer) -> Optional[Array]:
        """Return the array in this process's memory behind a buffer, or None where the device has its own."""
        return array.behind if isinstance(array.behind, Array) else None

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
        if type_name(self._device.type) == "cpu":
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

    def _check_local_memory(self, launch: Launch, program: Program, entry: str) -> None:
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
