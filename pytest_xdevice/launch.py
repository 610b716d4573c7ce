"""One launch, as the host prepares it: what goes up with it, its geometry, and what comes back."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from typing import Final

import numpy as np

from .artifact import Artifact
from .client import Batch
from .client import bytes_of
from .context import Context
from .counters import Counters
from .counters import Events
from .device_array import DeviceArray
from .device_array import NDArray
from .disturbances import Conditions
from .errors import ArgumentError
from .errors import XDeviceError
from .kernel.binding import Binding
from .kernel.opencl_types import LocalType
from .kernel.passes.small_integers import LIMIT
from .kernel.types import ArrayType
from .kernel.types import PointerType
from .kernel.types import ScalarType
from .loading import counts_small
from .loading import load_into
from .loading import load_kernel
from .measurement import Measurement
from .ndrange import NDRange
from .poison import poison
from .timing import LaunchRecord
from .timing import Timing
from .timing import TimingRecord
from .work_groups import work_sizes

_CALIBRATIONS: Final = 16  # samples beside those that count, which find how many calls one has
_FLUSH_SECONDS: Final = 2.0  # in which any device reads more than its caches hold


class Run:
    """One launch: what goes up with it, and what comes back.

    Attributes
    ----------
    is_repeatable : bool
        Whether nothing but the launch itself travels, so that `again` can do the same once more.
    """

    def __init__(self, context: Context, artifact: Artifact, binding: Binding, ndrange: NDRange | None = None) -> None:
        __tracebackhide__ = True
        self._context = context
        self._artifact = artifact
        self._binding = binding
        self._ndrange = ndrange
        self._worker = context.worker()
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
        self._loads = load_kernel(self._batch, self._built, context.session, self._worker)
        if artifact.key not in context.session.launched:
            context.session.launched[artifact.key] = artifact.built
        self._pack()
        if context.kept is not None:
            context.kept.note(artifact, binding, ndrange)
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
        self._context.records.append(self._record)
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
            self._context.records.append(self._record)  # for what is told of the failure
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
        self._context.records.append(record)
        return timing

    def _free_temporary(self) -> None:
        if self._temporary:
            self._batch.add("free", ids=self._temporary)

    def _submit(self, seconds: float, samples: int, between: float = 0.0) -> list[Any]:
        __tracebackhide__ = True
        answers = self._context.submit(
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
        session = self._context.session
        loop = session.compiler.timing_loop(session.target)
        self._loads += load_into(self._batch, loop, self._worker)
        return {"timing_loop": loop.key}

    def _allowed(self, timeout: float | None) -> float:
        __tracebackhide__ = True
        if timeout is None:
            return self._context.session.settings.timeout
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
                raise ArgumentError(f"{argument!r} lives on another device than this launch ({self._context!r})")
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
        device_type = self._context.session.opencl_devices()[0].device_type
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
        if not counts_small(self._artifact, self._context.session):
            return False
        sizes = list(self._binding.dims.values())
        sizes += [size for phase in self._artifact.phases for size in phase.sizes(self._integers)]
        sizes += [math.prod(shape) for shape in self._binding.shapes if shape is not None]
        return max(sizes, default=0) < LIMIT


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
