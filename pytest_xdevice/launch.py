"""One launch, as the host prepares it: what goes up with it, its geometry, and what comes back."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

import numpy as np

from .artifact import Artifact
from .client import Batch
from .client import bytes_of
from .client import WorkerClient
from .counters import Counters
from .counters import Events
from .device_array import DeviceArray
from .device_array import NDArray
from .disturbances import Conditions
from .errors import ArgumentError
from .errors import XDeviceError
from .kernel.binding import Binding
from .kernel.geometry import Phase
from .kernel.opencl_types import LocalType
from .kernel.small_integers import LIMIT
from .kernel.types import ArrayType
from .kernel.types import PointerType
from .kernel.types import ScalarType
from .measurement import Measurement
from .ndrange import NDRange
from .poison import poison
from .timing import LaunchRecord
from .timing import Timing
from .timing import TimingRecord

if TYPE_CHECKING:
    from .device import Device
    from .device_info import OpenCLDevice
    from .session import Session

# Work-group sizes where the kernel does not say one, by number of dimensions: few and fixed, since PoCL compiles a
# kernel again for each new size. A CPU runs a large group at twice the speed of many small ones, but needs several.
_GPU_BLOCKS: Final = ((256,), (8, 32), (1, 8, 32))
_CPU_BLOCKS: Final = ((64,), (4, 16), (1, 4, 16))
_LARGE_CPU_BLOCKS: Final = ((512,), (8, 64), (1, 8, 64))
_LARGE_LAUNCH: Final = 1 << 15  # work-items
_CALIBRATIONS: Final = 16  # samples beside those that count, which find how many calls one has
_FLUSH_SECONDS: Final = 2.0  # in which any device reads more than its caches hold


def work_sizes(phase: Phase, values: Mapping[str, int], device_type: str) -> tuple[list[int], list[int]]:
    """Return the global and local size of one OpenCL launch, first dimension fastest, as OpenCL has them.

    Parameters
    ----------
    phase : Phase
    values : mapping of str to int
        The dims and integer scalars of the launch.
    device_type : str
        ``"gpu"``, ``"cpu"`` or another, which decides the local size where the kernel does not.
    """
    extents = phase.sizes(values)
    small_or_large = _LARGE_CPU_BLOCKS if math.prod(extents) >= _LARGE_LAUNCH else _CPU_BLOCKS
    defaults = _GPU_BLOCKS if device_type == "gpu" else small_or_large
    block = phase.block or (defaults[len(extents) - 1] if extents else ())
    taken = (*block[:-1], block[-1] * phase.each) if device_type == "gpu" and block else block
    groups = phase.grid or [-(-extent // size) for extent, size in zip(extents, taken, strict=True)]
    whole = [count * size for count, size in zip(groups, block, strict=True)] if 0 not in extents else [0]
    return whole[::-1] or [1], list(block[::-1]) or [1]


def check_blocks(artifact: Artifact, device: OpenCLDevice) -> None:
    """Check that an OpenCL device takes the work-groups that a kernel was built for.

    Raises
    ------
    ArgumentError
        If one is too large; it names the limit.
    """
    for phase in artifact.phases:
        block = phase.block or ()
        written = f"block={block[0] if len(block) == 1 else block}"
        if math.prod(block) > device.max_work_group_size:
            raise ArgumentError(
                f"{artifact.name}: {written} makes work-groups of {math.prod(block)} work-items, and {device.name} "
                f"takes at most {device.max_work_group_size}: give a smaller block"
            )
        for axis, (size, limit) in enumerate(zip(block[::-1], device.max_work_item_sizes, strict=False)):
            if size > limit:
                raise ArgumentError(
                    f"{artifact.name}: {written} has {size} work-items along variable {len(block) - 1 - axis}, and "
                    f"{device.name} takes at most {limit} there: give a smaller block"
                )


def load_into(batch: Batch, artifact: Artifact, worker: WorkerClient) -> list[str]:
    """Add what loads `artifact` to `batch`, unless `worker` has it; return the keys of what will be loaded."""
    if artifact.key in worker.loaded:
        return []
    library = artifact.library
    if library is not None and library.key not in worker.loaded:
        batch.send("library", library.data, key=library.key, name=library.name)
    batch.send(
        "load",
        artifact.object if artifact.kind == "cpu" else artifact.opencl_source.encode(),
        key=artifact.key,
        linked=artifact.is_linked,
        build_options=list(artifact.build_options),
        by_hand=artifact.is_handwritten,
        callee=[library.key, artifact.symbol] if library else [],
    )
    return [artifact.key, *([library.key] if library else [])]


def load_kernel(batch: Batch, artifact: Artifact, session: Session, worker: WorkerClient) -> list[str]:
    """Add what loads a kernel to `batch`, and before the first one what reports its faults; return all their keys."""
    if artifact.kind == "opencl" and session.opencl_devices()[0].device_type != "cpu":
        return load_into(batch, artifact, worker)  # it faults elsewhere, if at all
    reporter = session.compiler.fault_reporter(session.target)
    if reporter.key in worker.loaded:
        return load_into(batch, artifact, worker)
    batch.send("report_faults", reporter.object, key=reporter.key, linked=reporter.is_linked)
    return [reporter.key, *load_into(batch, artifact, worker)]


class Run:
    """One launch: what goes up with it, and what comes back.

    Attributes
    ----------
    is_repeatable : bool
        Whether nothing but the launch itself travels, so that `again` can do the same once more.
    """

    def __init__(self, device: Device, artifact: Artifact, binding: Binding, ndrange: NDRange | None = None) -> None:
        __tracebackhide__ = True
        self._device = device
        self._artifact = artifact
        self._binding = binding
        self._ndrange = ndrange
        self._worker = device.worker()
        self._batch = Batch()
        self._temporary: list[int] = []
        self._results: list[Any] = []
        self._fetches: list[tuple[int, NDArray]] = []
        self._nbytes = 0
        self._arguments: list[int] = []
        self._values = bytearray()
        self._sizes: list[int] = []
        _check_aliases(artifact, binding)
        self._phases = [] if artifact.kind == "cpu" else self._geometry()
        self._built = artifact.small if self._is_small() else artifact
        self._loads = load_kernel(self._batch, self._built, device.session, self._worker)
        if artifact.key not in device.session.launched:
            device.session.launched[artifact.key] = artifact.built
        self._pack()
        if device.kept is not None:
            device.kept.note(artifact, binding, ndrange)
        self._described = tuple(_describe(binding, artifact))
        self._record = LaunchRecord(artifact.name, artifact.target, self._described, artifact.threads)
        self._seconds = 0.0
        self.is_repeatable = not self._batch.operations
        self._residents = [value for value in binding.values if isinstance(value, DeviceArray)]

    @property
    def is_current(self) -> bool:
        """Whether all that it was prepared with is still on the device."""
        return self._worker.alive and all(array.is_there for array in self._residents)

    def execute(self, timeout: float | None) -> Any:
        """Launch once; return what the kernel wrote."""
        __tracebackhide__ = True
        self._seconds = self._allowed(timeout)
        self._batch.add("launch", **self._launch(self._seconds))
        for identity, values in self._fetches:
            self._batch.fetch(identity, values)
        self._free_temporary()
        return self.again()

    def again(self) -> Any:
        """Submit what `execute` put together; return what the kernel wrote."""
        __tracebackhide__ = True
        self._device.records.append(self._record)
        self._submit(self._seconds, 1)
        return None if not self._results else self._results[0] if len(self._results) == 1 else tuple(self._results)

    def time(self, measurement: Measurement, timeout: float | None, others: Sequence[Run] = ()) -> list[Timing]:
        """Measure this launch, and `others` in turns with it, in one request; return the samples of each.

        All that the others need has to be on the device already.
        """
        __tracebackhide__ = True
        seconds = self._allowed(timeout)
        runs = (self, *others)
        launches = [run._timed(seconds) for run in runs]
        self._batch.timed = True
        self._batch.add("time", launches=launches, plan=measurement.to_wire())
        position = len(self._batch.operations) - 1
        self._free_temporary()
        samples = (measurement.samples + _CALIBRATIONS) * len(runs)
        between = measurement.cooldown + (_FLUSH_SECONDS if measurement.flush_cache else 0.0)
        try:
            answers = self._submit(seconds, samples, between)
        except XDeviceError:
            self._device.records.append(self._record)  # for what is told of the failure
            raise
        return [run._took(answer, measurement) for run, answer in zip(runs, answers[position], strict=True)]

    def _timed(self, seconds: float) -> dict[str, Any]:
        return {**self._launch(seconds), **self._timing_loop()}

    def _took(self, answer: dict[str, Any], measurement: Measurement) -> Timing:
        """Return, and keep among the test's records, what the device measured."""
        nbytes = self._nbytes if measurement.bytes is None else measurement.bytes
        timing = Timing(
            tuple(answer["results"]),
            answer["number"],
            bytes=nbytes,
            flops=measurement.flops,
            conditions=Conditions.from_wire(answer["conditions"]),
            counters=Counters.from_wire(answer.get("counters", {})),
            counters_missing=answer.get("missing", "they are a CPU's; this was timed by OpenCL's events"),
            events=Events(**answer["events"]) if "events" in answer else None,
        )
        made = self._artifact
        record = TimingRecord(made.name, made.target, self._described, timing, made.threads, made.key)
        self._device.records.append(record)
        return timing

    def _free_temporary(self) -> None:
        if self._temporary:
            self._batch.add("free", ids=self._temporary)

    def _submit(self, seconds: float, samples: int, between: float = 0.0) -> list[Any]:
        __tracebackhide__ = True
        answers = self._device.submit(
            self._batch,
            self._worker,
            self._artifact.name,
            seconds,
            samples=samples,
            between=between,
            artifact=self._artifact,
        )
        self._worker.loaded.update(self._loads)
        return answers

    def _timing_loop(self) -> dict[str, str]:
        """Have what times a CPU's kernels go up as well, and return how the request names it."""
        if self._artifact.kind != "cpu":
            return {}
        session = self._device.session
        loop = session.compiler.timing_loop(session.target)
        self._loads += load_into(self._batch, loop, self._worker)
        return {"timing_loop": loop.key}

    def _allowed(self, timeout: float | None) -> float:
        __tracebackhide__ = True
        if timeout is None:
            return self._device.session.settings.timeout
        try:
            seconds = float(timeout)
        except (TypeError, ValueError):
            seconds = math.nan
        if not 0 < seconds < math.inf:
            raise ArgumentError(f"timeout must be positive, a number of seconds; got {timeout!r}")
        return seconds

    def _pack(self) -> None:
        """Turn the bound arguments into ids of arrays and slots of values."""
        __tracebackhide__ = True
        for param, argument, shape in zip(
            self._artifact.signature.params, self._binding.values, self._binding.shapes, strict=True
        ):
            if isinstance(param.type, (ArrayType, PointerType)):
                self._arguments.append(self._pack_array(param.type, argument, shape or ()))
                self._sizes.append(0)
            elif isinstance(param.type, LocalType):
                self._arguments.append(-1)
                self._sizes.append(-argument.nbytes)
            else:
                self._pack_value(np.asarray(argument).tobytes().ljust(param.type.nbytes, b"\0"))
        for dim in self._artifact.signature.dims:
            self._pack_value(struct.pack("<q", self._binding.dims[dim]))

    def _pack_value(self, data: bytes) -> None:
        self._arguments.append(-1 - len(self._values) // 8)
        self._values += data + bytes(-len(data) % 8)
        self._sizes.append(len(data))

    def _pack_array(self, kind: ArrayType | PointerType, argument: object, shape: tuple[int, ...]) -> int:
        __tracebackhide__ = True
        if isinstance(argument, DeviceArray):
            argument.check()
            if argument.worker is not self._worker:
                raise ArgumentError(f"{argument!r} lives on another device than this launch ({self._device!r})")
            if kind.mode != "in":
                self._results.append(argument)
            self._nbytes += _moved(kind, argument.nbytes)
            return argument.identity
        identity = self._worker.new_identity()
        self._temporary.append(identity)
        if kind.mode == "out":
            assert isinstance(kind, ArrayType)  # a pointer says nothing of how much is written
            values = np.empty(shape, kind.element.dtype)
            self._batch.add("new", id=identity, nbytes=values.nbytes, fill=poison(values.dtype))
        else:
            source: NDArray = argument  # type: ignore[assignment]  # bind() accepts nothing else
            self._batch.send("put", bytes_of(source), id=identity)
            values = source if kind.mode == "in" else np.empty_like(source)
        self._nbytes += _moved(kind, values.nbytes)
        if kind.mode != "in":
            self._results.append(values)
            self._fetches.append((identity, values))
        return identity

    def _launch(self, seconds: float) -> dict[str, Any]:
        request: dict[str, Any] = {
            "key": self._built.key,
            "entry": self._artifact.entry,
            "arguments": self._arguments,
            "values": self._values.hex(),
            "timeout": seconds,
        }
        if self._artifact.kind == "cpu":
            params = enumerate(self._artifact.signature.params)
            request["read_only"] = [i for i, param in params if param.is_array and not param.is_written]
        else:
            request["sizes"] = self._sizes
            request["carry_bytes"] = self._artifact.carry_bytes
            request["phases"] = self._phases
        return request

    def _geometry(self) -> list[dict[str, Any]]:
        """Return every phase's global and local size, first dimension fastest, as OpenCL has them."""
        if self._ndrange is not None:
            return [{"entry": self._artifact.name, **self._ndrange.to_wire()}]
        device_type = self._device.session.opencl_devices()[0].device_type
        phases = []
        for phase in self._artifact.phases:
            whole, local = work_sizes(phase, self._integers, device_type)
            phases.append({"entry": phase.entry, "global": whole, "local": local})
        return phases

    @cached_property
    def _integers(self) -> dict[str, int]:
        """The dims and integer scalars of the launch by name."""
        values = dict(self._binding.dims)
        for param, argument in zip(self._artifact.signature.params, self._binding.values, strict=True):
            if isinstance(param.type, ScalarType) and not param.type.is_float:
                values[param.name] = int(argument)
        return values

    def _is_small(self) -> bool:
        """Whether a GPU may count and compute indices with 32 bits."""
        if not counts_small(self._artifact, self._device.session):
            return False
        sizes = list(self._binding.dims.values())
        sizes += [size for phase in self._artifact.phases for size in phase.sizes(self._integers)]
        sizes += [math.prod(shape) for shape in self._binding.shapes if shape is not None]
        return max(sizes, default=0) < LIMIT


def counts_small(artifact: Artifact, session: Session) -> bool:
    """Tell whether a kernel is built anew for small launches: one of our own programs on a GPU."""
    ours = artifact.kind == "opencl" and not artifact.is_handwritten
    return ours and session.opencl_devices()[0].device_type == "gpu"


def _check_aliases(artifact: Artifact, binding: Binding) -> None:
    """Refuse one array for two parameters of which one is written: the kernel was compiled to have them apart."""
    __tracebackhide__ = True
    seen: dict[int, str] = {}
    written = {param.name for param in artifact.signature.params if param.is_written}
    if any(isinstance(param.type, PointerType) for param in artifact.signature.params):
        return  # in other languages it is the kernel's to allow
    for param, argument in zip(artifact.signature.params, binding.values, strict=True):
        if not isinstance(argument, DeviceArray):
            continue
        other = seen.setdefault(id(argument), param.name)
        if other != param.name and {other, param.name} & written:
            raise ArgumentError(
                f"{artifact.name}: the same array is given for {other} and {param.name}, and one of them is written: "
                "declare one InOut parameter instead, or copy the array"
            )


def _moved(kind: ArrayType | PointerType, nbytes: int) -> int:
    """Return how many bytes of an array a kernel moves: of a pointer nobody knows whether what it names is read."""
    return 2 * nbytes if isinstance(kind, ArrayType) and kind.mode == "inout" else nbytes


def _describe(binding: Binding, artifact: Artifact) -> list[str]:
    described = []
    for param, argument, shape in zip(artifact.signature.params, binding.values, binding.shapes, strict=True):
        if isinstance(param.type, ArrayType):
            described.append(f"{param.name}: {param.type.element.dtype_name}{list(shape or ())}")
        elif param.is_array:
            described.append(f"{param.name}: {argument.dtype}{list(shape or ())}")
        else:
            described.append(f"{param.name}: {argument}")
    return described
