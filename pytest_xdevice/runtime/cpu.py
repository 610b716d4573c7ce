"""The worker's CPU: loads shared libraries and calls their entries."""

from __future__ import annotations

import ctypes
import struct
import time
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from typing import Sequence
from typing import Tuple

from .caches import CacheFlusher
from .counters import Counted
from .counters import Counters
from .faults import FaultReporter
from .launch import deadline
from .launch import DeviceProblem
from .launch import Launch
from .launch import SLOT
from .libraries import Libraries
from .memory import Array
from .memory import Memory
from .memory import OutOfMemory
from .timing import check_clock
from .timing import measure
from .timing import monotonic_moves
from .timing import Plan
from .timing import Sample


class CpuBackend:
    """Runs kernels that were compiled to shared libraries with entries ``int64 entry(void **args)``.

    Attributes
    ----------
    reporter : FaultReporter or None
        What is told where the arrays of each launch are.
    """

    def __init__(self, libraries: Libraries, guard: bool) -> None:
        self._libraries = libraries
        self._memory = Memory(guard)
        self._flush = CacheFlusher()
        self.reporter: Optional[FaultReporter] = None

    def describe(self) -> Dict[str, Any]:
        """Return what the host should know of this backend: nothing beyond the device's own facts."""
        return {}

    def allocate(self, nbytes: int) -> Array:
        """Return a block of memory whose contents are undefined."""
        try:
            return self._memory.allocate(nbytes)
        except OutOfMemory as error:
            raise DeviceProblem("OutOfMemory", str(error)) from None

    def free(self, array: Array) -> None:
        """Give a block back."""
        self._memory.free(array)

    def fill(self, array: Array, byte: int) -> None:
        """Set every byte of a block."""
        array.fill(byte)

    def writable(self, array: Array) -> memoryview:
        """Return the block's memory, to be filled from the stream."""
        array.protect(False)
        return array.view

    def written(self, array: Array, view: memoryview) -> None:
        """Take note that `view` was filled: nothing to do, it is the array's own memory."""

    def readable(self, array: Array, start: int, length: int) -> memoryview:
        """Return a part of the block's contents."""
        return array.view[start : start + length]

    def load(self, key: str, data: bytes, facts: Dict[str, Any]) -> None:
        """Load a kernel's shared library."""
        self._libraries.load(key, data, facts["linked"], facts["callee"])

    def load_library(self, key: str, data: bytes, name: str) -> None:
        """Load a library that others made, with the libraries that it needs, which are the device's own."""
        self._libraries.load_named(key, data, name)

    def fenced(self, array: Array) -> Optional[Array]:
        """Return what has the fences of an array, where faults can be told to be in them: the array itself."""
        return array

    def launch(self, launch: Launch, arrays: Sequence[Optional[Array]]) -> None:
        """Call the entry once."""
        call = self._prepared(launch, arrays)
        with deadline(launch.timeout):
            status = call.entry(call.pointers)
        _check_status(launch, status)
        _check_fences(arrays)

    def time(self, launches: Sequence[Tuple[Launch, Sequence[Optional[Array]]]], plan: Plan) -> List[Dict[str, Any]]:
        """Measure entries, in turns, with the timing loop: native code, so that no Python is in the figures."""
        samples = [self._sampler(launch, arrays) for launch, arrays in launches]
        for launch, _ in launches[1:]:
            launch.prepared.share(launches[0][0].prepared)
        tick = time.get_clock_info("monotonic").resolution
        counters = Counters()  # of the threads that the first calls have started, too
        try:
            counted = [Counted(sample, counters) for sample in samples]
            figures = measure(counted, plan, tick, self._flush)
            check_clock(figures, monotonic_moves)
            for _, arrays in launches:
                _check_fences(arrays)
            return [
                {
                    "number": number,
                    "results": results,
                    "counters": of.per_call(len(results)),
                    "missing": counters.missing,
                }
                for of, (number, results) in zip(counted, figures)
            ]
        finally:
            counters.close()

    def _sampler(self, launch: Launch, arrays: Sequence[Optional[Array]]) -> Sample:
        """Return what calls an entry a number of times and tells the seconds; one call is checked first."""
        self.launch(launch, arrays)
        call = self._prepared(launch, arrays)
        entry = ctypes.cast(call.entry, ctypes.c_void_p)
        loop = self._libraries.symbol(launch.options["timing_loop"], "xd_time")
        loop.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
        loop.restype = ctypes.c_int64

        def sample(calls: int) -> float:
            self._watch(call)  # another launch may have been in between
            with deadline(launch.timeout):
                return int(loop(entry, call.pointers, calls)) * 1e-9

        return sample

    def _prepared(self, launch: Launch, arrays: Sequence[Optional[Array]]) -> _Call:
        call: Optional[_Call] = launch.prepared
        if call is None or call.arrays != arrays:
            call = launch.prepared = _Call(self._entry(launch), launch, arrays)
        self._watch(call)
        return call

    def _watch(self, call: _Call) -> None:
        """Have faults of a call be told by the arrays that it has."""
        call.protect()
        if self.reporter is not None:
            self.reporter.watch(call.arrays, call.address)

    def _entry(self, launch: Launch) -> Any:
        entry = self._libraries.symbol(launch.key, launch.entry)
        entry.argtypes = [ctypes.c_void_p]
        entry.restype = ctypes.c_int64
        return entry


class _Call:
    """An entry and its ``void **args``, for as long as the arrays are the same."""

    def __init__(self, entry: Any, launch: Launch, arrays: Sequence[Optional[Array]]) -> None:
        self.entry = entry
        self.address = ctypes.cast(entry, ctypes.c_void_p).value or 0
        self.arrays = arrays
        self._protection = _protection(arrays, launch.options["read_only"])
        self._arguments = (launch.arguments, launch.values)
        self._values = ctypes.create_string_buffer(launch.values, max(len(launch.values), SLOT))
        base = ctypes.addressof(self._values)
        addresses = [
            array.address if array is not None else base + (-1 - argument) * SLOT
            for argument, array in zip(launch.arguments, arrays)
        ]
        packed = struct.pack(f"@{len(addresses)}P", *addresses)
        self.pointers = ctypes.create_string_buffer(packed, max(len(packed), SLOT))

    def share(self, other: _Call) -> None:
        """Use another call's memory for the same arguments: where it lies in the caches can be seen in a figure."""
        if self.arrays == other.arrays and self._arguments == other._arguments:
            self._values, self.pointers = other._values, other.pointers

    def protect(self) -> None:
        """Have every write to an array fault that the kernel is only to read."""
        for array, read_only in self._protection:
            array.protect(read_only)


def _protection(arrays: Sequence[Optional[Array]], read_only: Sequence[int]) -> List[Tuple[Array, bool]]:
    """Return each array of a launch and whether it is only read: not where another parameter writes it."""
    written = [array for position, array in enumerate(arrays) if position not in read_only]
    return [(array, array not in written) for array in arrays if array is not None]


def _check_status(launch: Launch, status: int) -> None:
    if status:
        raise DeviceProblem("KernelStatus", f"{launch.entry} returned {status}", status=status)


def _check_fences(arrays: Sequence[Optional[Array]]) -> None:
    for position, array in enumerate(arrays):
        found = array.violation() if array is not None else None
        if array is not None and found is not None:
            where = {"position": position, "offset": found[0], "count": found[1], "nbytes": array.nbytes}
            raise DeviceProblem("MemoryViolation", "wrote outside of an array", **where)
