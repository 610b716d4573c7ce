"""The worker's CPU: loads shared libraries and calls their entries."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import time
from typing import Any
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
from .memory import Memory
from .memory import OutOfMemory
from .timing import measure
from .timing import Plan
from .timing import Sample

_LINK_SECONDS = 60.0


class CpuBackend:
    """Runs kernels that were compiled to shared libraries with entries ``int64 entry(void **args)``."""

    def __init__(self, directory: str, guard: bool, report: int) -> None:
        self._directory = directory
        self._memory = Memory(guard)
        self._libraries: Dict[str, Any] = {}
        self._report = report
        self._flush = CacheFlusher()
        self._reporter: Optional[FaultReporter] = None

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
        """Load a shared library, after linking it here when it comes as a relocatable object."""
        if key in self._libraries:
            return
        if not facts["linked"]:
            data = self._link(key, data)
        try:
            library = _load_library(data, os.path.join(self._directory, key[:16] + ".so"))
        except OSError as error:
            raise DeviceProblem("LoadError", f"the device cannot load the kernel: {error}{_advice(error)}") from None
        if facts["callee"]:
            _connect(library, self._symbol(*facts["callee"]))
        self._libraries[key] = library

    def load_library(self, key: str, data: bytes, name: str) -> None:
        """Load a library that others made, with the libraries that it needs, which are the device's own."""
        if key in self._libraries:
            return
        folder = os.path.join(self._directory, key[:16])
        os.makedirs(folder, exist_ok=True)
        try:
            self._libraries[key] = _load_library(data, os.path.join(folder, name))
        except OSError as error:
            raise DeviceProblem("LoadError", f"the device cannot load {name}: {error}{_advice(error)}") from None

    def report_faults(self, key: str) -> None:
        """Have the library of that key report the addresses at which kernels fault."""
        if self._reporter is None:
            self._reporter = FaultReporter(self._libraries[key], self._report)

    def launch(self, launch: Launch, arrays: Sequence[Optional[Array]]) -> None:
        """Call the entry once."""
        call = self._prepared(launch, arrays)
        with deadline(launch.timeout):
            status = call.entry(call.pointers)
        _check_status(launch, status)
        _check_fences(arrays)

    def time(
        self, launches: Sequence[Tuple[Launch, Sequence[Optional[Array]]]], plan: Plan
    ) -> List[Tuple[int, List[float]]]:
        """Measure entries, in turns, with the timing loop: native code, so that no Python is in the figures."""
        samples = [self._sampler(launch, arrays) for launch, arrays in launches]
        tick = time.get_clock_info("monotonic").resolution
        figures = measure(samples, plan, tick, self._flush)
        for _, arrays in launches:
            _check_fences(arrays)
        return figures

    def _sampler(self, launch: Launch, arrays: Sequence[Optional[Array]]) -> Sample:
        """Return what calls an entry a number of times and tells the seconds; one call is checked first."""
        self.launch(launch, arrays)
        call = self._prepared(launch, arrays)
        entry = ctypes.cast(call.entry, ctypes.c_void_p)
        loop = self._symbol(launch.options["timing_loop"], "xd_time")
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
        if self._reporter is not None:
            self._reporter.watch(call.arrays)

    def _entry(self, launch: Launch) -> Any:
        entry = self._symbol(launch.key, launch.entry)
        entry.argtypes = [ctypes.c_void_p]
        entry.restype = ctypes.c_int64
        return entry

    def _symbol(self, key: str, name: str) -> Any:
        try:
            return getattr(self._libraries[key], name)
        except AttributeError:
            raise DeviceProblem("LoadError", f"the library has no symbol {name}") from None

    def _link(self, key: str, data: bytes) -> bytes:
        source = os.path.join(self._directory, key[:16] + ".o")
        target = os.path.join(self._directory, key[:16] + ".linked.so")
        with open(source, "wb") as file:
            file.write(data)
        command = [os.environ.get("CC", "cc"), "-shared", "-o", target, source, "-lm", "-lpthread"]
        try:
            done = subprocess.run(
                command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_LINK_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DeviceProblem("NoLinker", f"the device's own compiler cannot link: {error}") from None
        if done.returncode:
            raise DeviceProblem(
                "LinkError", "{} said:\n{}".format(" ".join(command), done.stdout.decode(errors="replace"))
            )
        with open(target, "rb") as file:
            return file.read()


def _advice(error: OSError) -> str:
    """Return what to do about a library that is missing on the device."""
    if "libgcc_s" not in str(error):
        missing = "cannot open shared object file" in str(error) or "Error loading shared library" in str(error)
        return "; install that library on the device" if missing else ""
    return (
        "; 32-bit processors divide integers by functions of libgcc_s: install it on the device (Debian's "
        "libgcc-s1, Alpine's libgcc), or name a CPU that divides and keep to 32-bit integers"
    )


def _load_library(data: bytes, path: str) -> Any:
    """Load a library through a file, or from memory where the folder for temporary files is read-only or noexec."""
    mode = os.RTLD_NOW | os.RTLD_LOCAL
    try:
        with open(path, "wb") as file:
            file.write(data)
        return ctypes.CDLL(path, mode=mode)
    except OSError:
        if not hasattr(os, "memfd_create"):
            raise
    # The descriptor stays open: the loader knows libraries by their path, and a number that is used again is one path.
    descriptor = os.memfd_create(os.path.basename(path))
    os.write(descriptor, data)
    return ctypes.CDLL(f"/proc/self/fd/{descriptor}", mode=mode)


def _connect(library: Any, function: Any) -> None:
    """Store a function's address where the entry in `library` finds it."""
    ctypes.c_void_p.in_dll(library, "xd_callee").value = ctypes.cast(function, ctypes.c_void_p).value


class _Call:
    """An entry and its ``void **args``, for as long as the arrays are the same."""

    def __init__(self, entry: Any, launch: Launch, arrays: Sequence[Optional[Array]]) -> None:
        self.entry = entry
        self.arrays = arrays
        self._protection = _protection(arrays, launch.options["read_only"])
        self._values = ctypes.create_string_buffer(launch.values, max(len(launch.values), SLOT))
        base = ctypes.addressof(self._values)
        addresses = [
            array.address if array is not None else base + (-1 - argument) * SLOT
            for argument, array in zip(launch.arguments, arrays)
        ]
        packed = struct.pack(f"@{len(addresses)}P", *addresses)
        self.pointers = ctypes.create_string_buffer(packed, max(len(packed), SLOT))

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
