"""Our OpenCL C against OpenCL C written by hand, on one device, by its own event times, in turns."""

from __future__ import annotations

import json
import math
import statistics
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final

import numpy as np
import pyopencl as cl

from pytest_xdevice.compile import build
from pytest_xdevice.kernel.kernel import Kernel
from pytest_xdevice.kernel.types import ArrayType
from pytest_xdevice.kernel.types import Dim
from pytest_xdevice.runtime.opencl_programs import own_options
from pytest_xdevice.work_groups import work_sizes

from .cases import Arguments
from .cases import Case
from .cases import cases
from .cases import Sizes
from .kernels import BLOCKS
from .kernels import make_add_one

PEERS: Final = Path(__file__).with_name("peers.cl")
_SIZES: Final = {
    "cpu": Sizes(1 << 20, 1 << 16, (1024, 1031), (512, 515), (128, 130), (128, 128, 131)),
    "gpu": Sizes(1 << 26, 1 << 14, (8192, 8192), (8192, 1024), (4096, 4096), (512, 512, 512)),
}
_CASE_SECONDS: Final = 2.0
_LEAST_ROUNDS: Final = 11
_RESERVED: Final = {"dot": "dot_"}  # a built-in function's name cannot be a kernel's


@dataclass(frozen=True)
class Comparison:
    """One kernel's figures on a device.

    Attributes
    ----------
    ours, theirs : float
        Nanoseconds a launch, the least of all rounds.
    median_ratio : float
        Median over the rounds of their time by ours.
    bandwidth : float
        Bytes read and written a second, by our code, for kernels that stream; else 0.
    of_copy : float
        `bandwidth` by that of the device's own copy of a buffer.
    agree : bool
        Whether both sides computed the same; a device that fuses multiplications and additions unasked may differ.
    """

    name: str
    ours: float
    theirs: float
    median_ratio: float
    bandwidth: float
    of_copy: float
    agree: bool

    @property
    def ratio(self) -> float:
        """Their least time by ours: above 1 where our code is the faster."""
        return self.theirs / self.ours


class Device:
    """An OpenCL device with a queue whose events are timed."""

    def __init__(self, chosen: str) -> None:
        self.device = _find(chosen)
        self.type = "gpu" if self.device.type & cl.device_type.GPU else "cpu"
        self.context = cl.Context([self.device])
        self.queue = cl.CommandQueue(self.context, properties=cl.command_queue_properties.PROFILING_ENABLE)
        self._options = own_options(cl, self.device) + (["-DXD_SMALL"] if self.type == "gpu" else [])

    def __str__(self) -> str:
        return f"{self.device.name.strip()} ({self.device.platform.name.strip()}, driver {self.device.driver_version})"

    def build(self, source: str) -> Any:
        """Return the program of `source`, built as the runtime builds it."""
        return cl.Program(self.context, source).build(options=self._options)

    def buffer(self, values: np.ndarray) -> Any:
        """Return a buffer with these contents."""
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        return cl.Buffer(self.context, flags, hostbuf=np.ascontiguousarray(values))

    def copy_bandwidth(self, nbytes: int) -> float:
        """Return the bytes read and written a second by the device's own copy of a buffer of `nbytes`."""
        source, target = self.buffer(np.zeros(nbytes, np.uint8)), self.buffer(np.zeros(nbytes, np.uint8))
        times = [_nanoseconds(cl.enqueue_copy(self.queue, target, source)) for _ in range(31)]
        return 2 * nbytes / min(times) * 1e9


@dataclass(frozen=True)
class Launch:
    """One ``__kernel`` with its arguments and sizes."""

    kernel: Any
    whole: Sequence[int]
    local: Sequence[int]

    def enqueue(self, device: Device) -> Any:
        """Enqueue it; return its event."""
        return cl.enqueue_nd_range_kernel(device.queue, self.kernel, self.whole, self.local)


class Side:
    """The launches of one side of a comparison, on buffers of its own."""

    def __init__(self, device: Device, launches: list[Launch], buffers: list[Any]) -> None:
        self._device = device
        self._launches = launches
        self._buffers = buffers

    def nanoseconds(self) -> float:
        """Run it once; return the device's time for it."""
        return sum(map(_nanoseconds, [launch.enqueue(self._device) for launch in self._launches]))

    def result(self, like: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Return what the buffers hold, in the shapes of `like`."""
        found = [np.empty_like(values) for values in like]
        for values, buffer in zip(found, self._buffers, strict=True):
            cl.enqueue_copy(self._device.queue, values, buffer)
        return found


def _nanoseconds(event: Any) -> float:
    event.wait()
    return float(event.profile.end - event.profile.start)


def _find(chosen: str) -> Any:
    devices = [device for platform in cl.get_platforms() for device in platform.get_devices()]
    for device in sorted(devices, key=lambda device: not device.type & cl.device_type.GPU):
        if chosen.lower() not in f"{device.name} {device.platform.name}".lower():
            continue
        try:
            cl.Program(cl.Context([device]), "__kernel void probe(__global int *x) { x[0] = 1; }").build()
        except cl.Error:
            continue  # a driver that does not know its processor
        return device
    raise SystemExit(f"no OpenCL device that can build a program matches {chosen!r}; there are: {devices}")


def compare_all(chosen_device: str, chosen_case: str, rounds: int, report: Path | None) -> None:
    """Print the table of every case whose name contains `chosen_case`; write it to `report` as JSON too."""
    warnings.simplefilter("ignore", cl.CompilerWarning)
    device = Device(chosen_device)
    sizes = _SIZES[device.type]
    copy = device.copy_bandwidth(4 * sizes.stream)
    print(f"{device}; its own copy: {copy / 1e9:.0f} GB/s; ratios above 1: ours is the faster")
    print(f"{'microseconds':<22}{'ours':>12}{'by hand':>12} {'ratio':>7} {'median':>7} {'GB/s':>7} {'of copy':>8}")
    peers = device.build(PEERS.read_text())
    found = []
    for case in [*_blocked_streams(sizes), *(case for case in cases(sizes) if not case.is_fast)]:
        if chosen_case in case.name or chosen_case in case.kernel.name:
            found.append(_compare(device, peers, case, rounds, copy))
            print(_line(found[-1]), flush=True)
    ratios = [comparison.ratio for comparison in found]
    print(f"geometric mean {math.exp(statistics.fmean(map(math.log, ratios))):.3f}, least {min(ratios):.3f}")
    if report is not None:
        rows = [{**asdict(comparison), "ratio": comparison.ratio} for comparison in found]
        report.write_text(json.dumps({"device": str(device), "copy": copy, "comparisons": rows}, indent=1) + "\n")


def _blocked_streams(sizes: Sizes) -> list[Case]:
    """Return add_one with work-group sizes that the kernel chooses."""
    plain = next(case for case in cases(sizes) if case.name == "add_one")
    return [Case(f"add_one, block={block}", make_add_one(block), plain.arguments, streams=True) for block in BLOCKS]


def _compare(device: Device, peers: Any, case: Case, rounds: int, copy: float) -> Comparison:
    arguments = case.arguments(np.random.default_rng(0))
    sides = [_ours(device, case.kernel, arguments), _theirs(device, peers, case.kernel, arguments)]
    arrays = [argument for argument in arguments if isinstance(argument, np.ndarray) and argument.ndim]
    for side in sides:
        side.nanoseconds()
    results = zip(*(side.result(arrays) for side in sides), strict=True)
    agree = all(np.allclose(ours, theirs, rtol=1e-6, atol=1e-6) for ours, theirs in results)
    samples = []
    end = time.monotonic() + _CASE_SECONDS
    while len(samples) < rounds and (len(samples) < _LEAST_ROUNDS or time.monotonic() < end):
        samples.append(tuple(side.nanoseconds() for side in sides))
    mine, others = zip(*samples, strict=True)
    bandwidth = _traffic(case.kernel, arguments) / min(mine) * 1e9 if case.streams else 0.0
    ratio = statistics.median(theirs / ours for ours, theirs in samples)
    return Comparison(case.name, min(mine), min(others), ratio, bandwidth, bandwidth / copy, agree)


def _traffic(kernel: Kernel, arguments: Arguments) -> int:
    """Return the bytes that a kernel reads and writes when it touches each element once."""
    pairs = zip(kernel.signature.params, arguments, strict=True)
    return sum(a.nbytes * (2 if p.type.mode == "inout" else 1) for p, a in pairs if isinstance(p.type, ArrayType))


def _values(kernel: Kernel, arguments: Arguments) -> dict[str, int]:
    """Return the dims and integer scalars of a launch by name."""
    values: dict[str, int] = {}
    for param, argument in zip(kernel.signature.params, arguments, strict=True):
        if isinstance(param.type, ArrayType):
            named = zip(param.type.extents, argument.shape, strict=True)
            values.update((extent.name, size) for extent, size in named if isinstance(extent, Dim))
        elif not param.type.is_float:
            values[param.name] = int(argument)
    return values


def _ours(device: Device, kernel: Kernel, arguments: Arguments) -> Side:
    artifact = build(kernel, "opencl")
    program = device.build(artifact.opencl_source)
    values = _values(kernel, arguments)
    buffers = [device.buffer(each) if isinstance(each, np.ndarray) else each for each in arguments]
    passed = [*buffers, *(np.int64(values[dim]) for dim in kernel.signature.dims)]
    if artifact.carry_bytes:
        passed.append(device.buffer(np.zeros(artifact.carry_bytes, np.uint8)))
    launches = []
    for phase in artifact.phases:
        entry = cl.Kernel(program, phase.entry)
        entry.set_args(*passed)
        launches.append(Launch(entry, *work_sizes(phase, values, device.type)))
    return Side(device, launches, [each for each in buffers if isinstance(each, cl.Buffer)])


def _theirs(device: Device, peers: Any, kernel: Kernel, arguments: Arguments) -> Side:
    """Return the hand-written namesake, with 32-bit sizes and the work-groups that ours has."""
    name = kernel.name
    values = _values(kernel, arguments)
    buffers = [device.buffer(each) if isinstance(each, np.ndarray) else _narrow(each) for each in arguments]
    entry = cl.Kernel(peers, _RESERVED.get(name, name))
    entry.set_args(*buffers, *(np.int32(values[dim]) for dim in kernel.signature.dims))
    (phase,) = build(kernel, "opencl").phases
    launches = [Launch(entry, *work_sizes(replace(phase, each=(), gpu_block=None), values, device.type))]
    return Side(device, launches, [each for each in buffers if isinstance(each, cl.Buffer)])


def _narrow(scalar: Any) -> Any:
    return np.int32(scalar) if np.issubdtype(scalar.dtype, np.integer) else scalar


def _line(figures: Comparison) -> str:
    columns = (
        f"{figures.ours / 1e3:>12.2f}{figures.theirs / 1e3:>12.2f} {figures.ratio:>7.3f} {figures.median_ratio:>7.3f}"
    )
    rate = f" {figures.bandwidth / 1e9:>7.0f} {figures.of_copy:>8.2f}" if figures.bandwidth else ""
    return f"{figures.name:<22}{columns}{rate}" + "  RESULTS DIFFER" * (not figures.agree)
