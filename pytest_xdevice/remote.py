"""The host's view of a device: a session with it, the device that a test sees, its arrays and its functions."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import DTypeLike

from .artifact import Artifact
from .artifact import KernelSource
from .client import Batch
from .client import bytes_of
from .client import Problem
from .client import WorkerClient
from .client import WorkerEnded
from .compare import assert_close
from .compile import Compiler
from .compile import default_compiler
from .config import DeviceConfig
from .config import Settings
from .device_info import DeviceInfo
from .errors import ArgumentError
from .errors import CompileError
from .errors import DeviceError
from .errors import DeviceLost
from .errors import KernelCrash
from .errors import KernelTimeout
from .errors import MemoryViolation
from .errors import XDeviceError
from .kernel.binding import bind
from .kernel.binding import Binding
from .kernel.signature import Signature
from .kernel.types import ArrayType
from .kernel.types import scalar_of_dtype
from .target import Target
from .timing import LaunchRecord
from .timing import Timing
from .timing import TimingRecord
from .transport import open_transport
from .transport import Transport
from .transport.gateway import Control
from .transport.spec import parse

DeviceKind = Literal["cpu", "opencl"]
NDArray = np.ndarray[Any, np.dtype[Any]]

_POISON_FLOAT: Final = 0xFF  # every byte of it: a NaN in any width
_POISON_OTHER: Final = 0xA5
_COMPILE_PROBLEMS: Final = {"LoadError", "BuildError", "LinkError", "NoLinker"}
_DEFAULT_BLOCKS: Final = {"gpu": ((256,), (8, 32), (1, 8, 32)), "cpu": ((64,), (4, 16), (1, 4, 16))}


@dataclass(frozen=True)
class OpenCLDevice:
    """An OpenCL device, as its driver describes it. `memory` is in bytes."""

    name: str
    platform: str
    version: str
    c_version: str
    driver: str
    device_type: str
    extensions: tuple[str, ...]
    memory: int
    compute_units: int
    max_work_group_size: int

    @classmethod
    def from_wire(cls, facts: dict[str, Any]) -> OpenCLDevice:
        """Make one of what the worker reported."""
        return cls(**{**facts, "extensions": tuple(facts["extensions"])})


class Session:
    """A connection to one device: its gateway, and a worker for each kind of execution.

    Attributes
    ----------
    name, address : str
        The device's name in reports, and its specification.
    info : DeviceInfo
    target : Target
        What CPU kernels are compiled for.
    opencl_problem : str or None
        Why the device has no OpenCL, once that has been looked at.
    """

    def __init__(
        self, config: DeviceConfig, settings: Settings, transport: Transport, control: Control, compiler: Compiler
    ) -> None:
        self.name = config.name
        self.address = config.address
        self.settings = settings
        self.compiler = compiler
        self.info = DeviceInfo.from_wire(control.info)
        self.target = _target(config.target or settings.target, self.info, compiler)
        self.opencl_problem: str | None = None
        self._opencl: tuple[OpenCLDevice, ...] | None = None
        self._transport = transport
        self._control = control
        self._workers: dict[DeviceKind, WorkerClient] = {}

    @classmethod
    def open(
        cls,
        config: DeviceConfig,
        settings: Settings | None = None,
        *,
        compiler: Compiler | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> Session:
        """Connect to a device.

        Parameters
        ----------
        config : DeviceConfig
        settings : Settings, optional
        compiler : Compiler, optional
            What builds kernels; the process's own by default.
        progress : callable, optional
            Told, in a few words, what is being waited for.

        Raises
        ------
        DeviceUnreachable, AuthenticationError
            If no session could be opened.
        TargetError
            If the target asked for is unknown, or the device cannot run it.
        """
        settings = settings or Settings()
        spec = parse(config.address)
        spec = replace(spec, python=spec.python or config.python)
        transport = open_transport(spec, token=_token(config, settings), progress=progress or _silent)
        control = transport.open()
        try:
            return cls(config, settings, transport, control, compiler or default_compiler())
        except BaseException:
            transport.close()
            raise

    def device(self, kind: DeviceKind) -> Device:
        """Return the device as one test sees it; `Device.release` frees what was allocated through it."""
        return Device(self, kind)

    def opencl_devices(self) -> tuple[OpenCLDevice, ...]:
        """Return the OpenCL devices there are, the one in use first; empty when there is none."""
        if self._opencl is None:
            try:
                self.worker("opencl")
            except DeviceError as error:
                self.opencl_problem, self._opencl = str(error), ()
        return self._opencl or ()

    def worker(self, kind: DeviceKind) -> WorkerClient:
        """Return the worker for `kind`, a fresh one when the last has died.

        Raises
        ------
        DeviceError
            If the device has no OpenCL.
        DeviceLost
            If the session is gone.
        """
        worker = self._workers.get(kind)
        if worker is None or not worker.alive:
            worker = self._workers[kind] = self._start_worker(kind)
        return worker

    def close(self) -> None:
        """End the session: its workers, its process and its files on the device."""
        for worker in self._workers.values():
            worker.close()
        self._workers.clear()
        self._transport.close()

    def _start_worker(self, kind: DeviceKind) -> WorkerClient:
        try:
            worker = self._attach_worker(kind)
        except DeviceLost:
            if self._transport.stream_way != "unix":
                raise
            # An sshd may refuse to forward sockets; the control connection itself gets through.
            self._transport.stream_way = "relay"
            worker = self._attach_worker(kind)
        batch = Batch()
        batch.add("open")
        try:
            description = worker.submit(batch)[0]
        except (Problem, WorkerEnded) as error:
            worker.close()
            raise DeviceError(str(error)) from None
        if kind == "opencl":
            self._opencl = tuple(OpenCLDevice.from_wire(facts) for facts in description["opencl"])
        return worker

    def _attach_worker(self, kind: DeviceKind) -> WorkerClient:
        way = self._transport.stream_way
        options = {
            "kind": kind, "stream": way, "guard": self.settings.guard, "opencl": self.settings.opencl or "",
        }  # fmt: skip
        started = self._control.request("start", options)
        if way == "relay":
            sock = self._control.relay(self._control.request("attach", started["worker"], way))
        else:
            sock = self._transport.stream(started["path"])
            self._control.request("attach", started["worker"], way)
        worker = WorkerClient(self._control, started["worker"], sock, _print)
        worker.greet()
        return worker


class Device:
    """The device that a test sees: the `xdevice` fixture.

    Attributes
    ----------
    session : Session
    kind : {"cpu", "opencl"}
        Whether kernels run on the device's CPU or on its OpenCL device.
    records : list of LaunchRecord or TimingRecord
        What was launched and timed through this object, oldest first.
    """

    def __init__(self, session: Session, kind: DeviceKind) -> None:
        self.session = session
        self.kind: DeviceKind = kind
        self.records: list[LaunchRecord | TimingRecord] = []
        self._arrays: list[DeviceArray] = []

    def __repr__(self) -> str:
        return f"<Device {self.name} {self.kind} ({self.target})>"

    @property
    def name(self) -> str:
        """The device's name in reports."""
        return self.session.name

    @property
    def address(self) -> str:
        """The specification that the device was reached by."""
        return self.session.address

    @property
    def info(self) -> DeviceInfo:
        """What the device is."""
        return self.session.info

    @property
    def target(self) -> Target | str:
        """What kernels are compiled for: a `Target`, or ``"opencl"``."""
        return self.session.target if self.kind == "cpu" else "opencl"

    def compile(self, kernel: KernelSource) -> Function:
        """Compile a kernel for this device, upload it and load it there.

        Raises
        ------
        KernelError, TargetError, CompileError
        """
        __tracebackhide__ = True
        return self._loaded(self._build(kernel))

    def load(self, path: str | os.PathLike[str]) -> Function:
        """Upload an artifact that `Artifact.save` wrote, and load it.

        Raises
        ------
        XDeviceError
            If the file is no artifact.
        TargetError
            If it was built for another kind of device.
        """
        __tracebackhide__ = True
        artifact = Artifact.load(Path(path))
        if artifact.kind == "cpu" and self.kind == "cpu":
            self.session.compiler.check(Target.parse(artifact.target), self.info)
        return self._loaded(artifact)

    def array(self, values: ArrayLike) -> DeviceArray:
        """Copy an array to the device.

        Parameters
        ----------
        values : array_like
            1 to 3 dimensions (or a size that a kernel's parameter takes), of a dtype that the language has.

        Returns
        -------
        DeviceArray
            Freed at the end of the test at the latest.
        """
        __tracebackhide__ = True
        source = np.ascontiguousarray(values)
        array = self._new_array(source.shape, source.dtype)
        batch = Batch()
        batch.send("put", bytes_of(source), id=array.identity)
        self._submit(batch)
        return array

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> DeviceArray:
        """Allocate an array on the device; it holds poison (NaN, or 0xA5 bytes) until a kernel writes it."""
        __tracebackhide__ = True
        dims = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        if any(extent < 0 for extent in dims):
            raise ArgumentError(f"an array cannot have the shape {dims}: extents are 0 or more")
        array = self._new_array(tuple(int(extent) for extent in dims), np.dtype(dtype))
        batch = Batch()
        batch.add("new", id=array.identity, nbytes=array.nbytes, fill=_poison(array.dtype))
        self._submit(batch)
        return array

    def run(self, kernel: KernelSource, *args: object, timeout: float | None = None, **kwargs: object) -> Any:
        """Run a kernel once, in one network round trip, and bring its results back.

        Parameters
        ----------
        kernel : Kernel
        *args, **kwargs
            Its arguments, NumPy arrays (which are never changed) or arrays on the device. `Out` arrays whose dims are
            bound by the others need not be given.
        timeout : float, optional
            Seconds that the launch may take (default: the ``--xdevice-timeout`` option).

        Returns
        -------
        numpy.ndarray, tuple of them, or None
            The `Out` and `InOut` arrays, in parameter order.

        Raises
        ------
        KernelError, TargetError, CompileError
            If the kernel cannot be built.
        ArgumentError
            If the arguments do not fit it.
        KernelCrash, KernelTimeout, MemoryViolation
            If it misbehaves on the device.
        """
        __tracebackhide__ = True
        artifact = self._build(kernel)
        binding = bind(artifact.signature, args, kwargs, allow_missing_out=True)
        return _Run(self, artifact, binding).execute(timeout)

    def assert_close(self, actual: Any, desired: Any, **tolerances: Any) -> None:
        """Compare like `compare.assert_close`; either side may live on the device."""
        __tracebackhide__ = True
        assert_close(actual, desired, **tolerances)

    def upload(self, source: str | os.PathLike[str] | bytes, name: str | None = None) -> None:
        """Store a file, or bytes, under `name` in the session's directory on the device.

        Raises
        ------
        DeviceError
            If the device cannot store it, or the name leads out of the directory.
        """
        __tracebackhide__ = True
        data = source if isinstance(source, bytes) else Path(source).read_bytes()
        if name is None:
            if isinstance(source, bytes):
                raise ArgumentError("upload() of bytes needs a name: upload(data, 'weights.bin')")
            name = Path(source).name
        batch = Batch()
        batch.send("upload", data, name=name)
        self._submit(batch)

    def download(self, name: str, destination: str | os.PathLike[str] | None = None) -> bytes:
        """Return the contents of a file in the session's directory; write them to `destination` as well, if given."""
        __tracebackhide__ = True
        batch = Batch()
        batch.fetch_file(name)
        self._submit(batch)
        data = batch.files[0]
        if destination is not None:
            Path(destination).write_bytes(data)
        return data

    def remove(self, name: str) -> None:
        """Remove a file, or a folder, from the session's directory."""
        __tracebackhide__ = True
        batch = Batch()
        batch.add("remove", name=name)
        self._submit(batch)

    def listdir(self) -> list[str]:
        """Return the names of the files in the session's directory, sorted."""
        __tracebackhide__ = True
        batch = Batch()
        batch.add("list")
        found: list[str] = self._submit(batch)[0]
        return found

    def release(self) -> None:
        """Free everything that was allocated through this object."""
        for array in self._arrays:
            array.free()
        self._arrays.clear()

    def worker(self) -> WorkerClient:
        """Return the worker that this device's operations go to."""
        return self.session.worker(self.kind)

    def submit(
        self,
        batch: Batch,
        worker: WorkerClient,
        kernel: str,
        seconds: float,
        *,
        samples: int = 1,
        signature: Signature | None = None,
    ) -> list[Any]:
        """Have `worker` carry out a batch in which `kernel` is launched, and turn what goes wrong into our errors."""
        __tracebackhide__ = True
        try:
            return worker.submit(batch, seconds * samples)
        except WorkerEnded as end:
            raise _misbehaviour(end, kernel, self, seconds) from None
        except Problem as problem:
            raise _translate(problem, kernel, signature) from None

    def _build(self, kernel: KernelSource) -> Artifact:
        __tracebackhide__ = True
        if not isinstance(kernel, KernelSource):
            raise ArgumentError(f"{kernel!r} is no kernel: decorate the function with @kernel")
        try:
            return self.session.compiler.build(kernel, self.target)
        except XDeviceError as error:
            # How the compiler got there is nothing to a user: the message says where the mistake is.
            raise error.with_traceback(None) from None

    def _submit(self, batch: Batch) -> list[Any]:
        __tracebackhide__ = True
        return self.submit(batch, self.worker(), "", self.session.settings.timeout)

    def _loaded(self, artifact: Artifact) -> Function:
        __tracebackhide__ = True
        if artifact.kind != self.kind:
            raise ArgumentError(
                f"{artifact.name} was built for {artifact.kind}, but this test runs on {self.kind}: "
                f"mark the test with @pytest.mark.{artifact.kind}"
            )
        function = Function(self, artifact)
        batch = Batch()
        function.load_into(batch, self.worker())
        if batch.operations:
            self.submit(batch, self.worker(), artifact.name, self.session.settings.timeout)
            self.worker().loaded.add(artifact.key)
        return function

    def _new_array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        __tracebackhide__ = True
        if scalar_of_dtype(dtype) is None:
            raise ArgumentError(f"arrays of {dtype} cannot live on a device: convert it, as with .astype(np.float32)")
        array = DeviceArray(self, self.worker(), shape, dtype)
        self._arrays.append(array)
        return array


class DeviceArray:
    """An array in a device's memory. It goes wherever NumPy takes an array, at the price of reading it back.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    nbytes : int
        Its size in bytes.
    """

    def __init__(self, device: Device, worker: WorkerClient, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape = shape
        self.dtype = dtype
        self.nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        self.worker = worker
        self.identity = worker.new_identity()
        self._device = device
        self._freed = False

    def __repr__(self) -> str:
        state = "freed" if self._freed else self._device.name
        return f"<DeviceArray {self.dtype}{list(self.shape)} on {state}>"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray:
        __tracebackhide__ = True
        if copy is False:
            raise ValueError("an array on a device cannot be used without a copy: leave copy=False out")
        values = self.numpy()
        return values if dtype is None else values.astype(dtype, copy=False)

    def numpy(self) -> NDArray:
        """Return a copy of the array's contents.

        Raises
        ------
        DeviceError
            If the array was freed, or was lost when a kernel crashed.
        """
        __tracebackhide__ = True
        self.check()
        values = np.empty(self.shape, self.dtype)
        batch = Batch()
        batch.fetch(self.identity, values)
        self._submit(batch)
        return values

    def copy_from(self, values: ArrayLike) -> None:
        """Overwrite the array's contents.

        Raises
        ------
        ArgumentError
            If `values` has another shape or dtype.
        """
        __tracebackhide__ = True
        self.check()
        source = np.ascontiguousarray(values)
        if source.shape != self.shape or source.dtype != self.dtype:
            raise ArgumentError(
                f"copy_from: {source.dtype}{list(source.shape)} does not fit {self.dtype}{list(self.shape)}: "
                "shape and dtype must be the same"
            )
        batch = Batch()
        batch.send("write", bytes_of(source), id=self.identity)
        self._submit(batch)

    def free(self) -> None:
        """Give the memory back now; by itself that happens at the end of the test."""
        if not self._freed:
            self._freed = True
            self.worker.discard(self.identity, self.nbytes)

    def check(self) -> None:
        """Raise DeviceError if the array is not there any more."""
        __tracebackhide__ = True
        if self._freed:
            raise DeviceError(f"{self!r}: the array was freed; arrays live until the end of the test that made them")
        if not self.worker.alive:
            raise DeviceError(f"{self!r}: the array was lost when the worker that held it ended; make it again")

    def _submit(self, batch: Batch) -> None:
        __tracebackhide__ = True
        self._device.submit(batch, self.worker, "", self._device.session.settings.timeout)


class Function:
    """A kernel that is loaded on a device.

    Attributes
    ----------
    artifact : Artifact
        What was made: IR, assembly, OpenCL source, object code.
    """

    def __init__(self, device: Device, artifact: Artifact) -> None:
        self._device = device
        self.artifact = artifact

    def __repr__(self) -> str:
        return f"<Function {self.artifact.signature} on {self._device.name}>"

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.artifact.name

    def __call__(self, *args: object, timeout: float | None = None, **kwargs: object) -> None:
        """Launch the kernel on arrays that live on the device, and wait for it.

        Parameters
        ----------
        *args, **kwargs
            One for each parameter. Arrays that are only read may be NumPy arrays; they are uploaded for the launch.
        timeout : float, optional
            Seconds that it may take.

        Raises
        ------
        ArgumentError, KernelCrash, KernelTimeout, MemoryViolation
        """
        __tracebackhide__ = True
        self._prepare(args, kwargs).execute(timeout)

    def time(
        self,
        *args: object,
        number: int | None = None,
        repeat: int | None = None,
        min_repeat_ms: float | None = None,
        timeout: float | None = None,
        **kwargs: object,
    ) -> Timing:
        """Measure the kernel on the device, without the network and without Python in the figure.

        Parameters
        ----------
        *args, **kwargs
            As for a launch.
        number : int, optional
            Calls in a sample; by default as many as take about 0.2 ms.
        repeat : int, optional
            Samples (default 31, fewer when they are long).
        min_repeat_ms : float, optional
            Milliseconds that a sample lasts at least; `number` is raised until it does.

        Returns
        -------
        Timing
            Seconds per call, one figure a sample.

        Raises
        ------
        ArgumentError
            If `number`, `repeat` or `min_repeat_ms` is not positive, or the arguments do not fit.
        """
        __tracebackhide__ = True
        for name, value in (("number", number), ("repeat", repeat), ("min_repeat_ms", min_repeat_ms)):
            if value is not None and value <= 0:
                raise ArgumentError(f"time: {name} must be positive; got {value}")
        return self._prepare(args, kwargs).time(number, repeat, min_repeat_ms, timeout)

    def load_into(self, batch: Batch, worker: WorkerClient) -> None:
        """Add what loads this kernel to `batch`, unless `worker` has it."""
        if self.artifact.key not in worker.loaded:
            data = self.artifact.object if self.artifact.kind == "cpu" else self.artifact.opencl_source.encode()
            batch.send("load", data, key=self.artifact.key, linked=self.artifact.is_linked)

    def _prepare(self, args: Sequence[object], kwargs: dict[str, object]) -> _Run:
        __tracebackhide__ = True
        binding = bind(self.artifact.signature, args, kwargs)
        for param, argument in zip(self.artifact.signature.params, binding.values, strict=True):
            if param.is_written and not isinstance(argument, DeviceArray):
                raise ArgumentError(
                    f"{self.name}: {param.name} is written by the kernel: pass an array that lives on the device "
                    "(xdevice.empty or xdevice.array), or use xdevice.run, which brings results back"
                )
        return _Run(self._device, self.artifact, binding)


class _Run:
    """One launch: what goes up with it, and what comes back."""

    def __init__(self, device: Device, artifact: Artifact, binding: Binding) -> None:
        __tracebackhide__ = True
        self._device = device
        self._artifact = artifact
        self._binding = binding
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
        Function(device, artifact).load_into(self._batch, self._worker)
        self._pack()
        self._described = tuple(_describe(binding, artifact))

    def execute(self, timeout: float | None) -> Any:
        """Launch once; return what the kernel wrote."""
        __tracebackhide__ = True
        self._device.records.append(LaunchRecord(self._artifact.name, self._artifact.target, self._described))
        seconds = self._seconds(timeout)
        self._batch.add("launch", **self._launch(seconds))
        for identity, values in self._fetches:
            self._batch.fetch(identity, values)
        self._submit(seconds, 1)
        return None if not self._results else self._results[0] if len(self._results) == 1 else tuple(self._results)

    def time(
        self, number: int | None, repeat: int | None, min_repeat_ms: float | None, timeout: float | None
    ) -> Timing:
        """Measure; return the samples."""
        __tracebackhide__ = True
        seconds = self._seconds(timeout)
        launch = self._launch(seconds)
        self._batch.add("time", number=number, repeat=repeat, min_repeat_ms=min_repeat_ms, **launch)
        position = len(self._batch.operations) - 1
        answers = self._submit(seconds, (repeat or 31) + 16)
        answer = answers[position]
        timing = Timing(tuple(answer["results"]), answer["number"], bytes=self._nbytes)
        self._device.records.append(TimingRecord(self._artifact.name, self._artifact.target, self._described, timing))
        return timing

    def _submit(self, seconds: float, samples: int) -> list[Any]:
        __tracebackhide__ = True
        if self._temporary:
            self._batch.add("free", ids=self._temporary)
        answers = self._device.submit(
            self._batch,
            self._worker,
            self._artifact.name,
            seconds,
            samples=samples,
            signature=self._artifact.signature,
        )
        self._worker.loaded.add(self._artifact.key)
        return answers

    def _seconds(self, timeout: float | None) -> float:
        seconds = self._device.session.settings.timeout if timeout is None else timeout
        if seconds <= 0:
            raise ArgumentError(f"timeout must be positive; got {seconds}")
        return seconds

    def _pack(self) -> None:
        """Turn the bound arguments into ids of arrays and slots of values."""
        __tracebackhide__ = True
        for param, argument, shape in zip(
            self._artifact.signature.params, self._binding.values, self._binding.shapes, strict=True
        ):
            if isinstance(param.type, ArrayType):
                self._arguments.append(self._pack_array(param.type, argument, shape or ()))
                self._sizes.append(0)
            else:
                self._pack_value(np.asarray(argument).tobytes())
        for dim in self._artifact.signature.dims:
            self._pack_value(struct.pack("<q", self._binding.dims[dim]))

    def _pack_value(self, data: bytes) -> None:
        self._arguments.append(-1 - len(self._values) // 8)
        self._values += data.ljust(8, b"\0")
        self._sizes.append(len(data))

    def _pack_array(self, kind: ArrayType, argument: object, shape: tuple[int, ...]) -> int:
        __tracebackhide__ = True
        if isinstance(argument, DeviceArray):
            argument.check()
            if argument.worker is not self._worker:
                raise ArgumentError(f"{argument!r} lives on another device than this launch ({self._device!r})")
            if kind.mode != "in":
                self._results.append(argument)
            self._nbytes += argument.nbytes
            return argument.identity
        identity = self._worker.new_identity()
        self._temporary.append(identity)
        if kind.mode == "out":
            values = np.empty(shape, kind.element.dtype)
            self._batch.add("new", id=identity, nbytes=values.nbytes, fill=_poison(values.dtype))
        else:
            source: NDArray = argument  # type: ignore[assignment]  # bind() accepts nothing else
            self._batch.send("put", bytes_of(source), id=identity)
            values = source if kind.mode == "in" else np.empty_like(source)
        self._nbytes += values.nbytes
        if kind.mode != "in":
            self._results.append(values)
            self._fetches.append((identity, values))
        return identity

    def _launch(self, seconds: float) -> dict[str, Any]:
        request: dict[str, Any] = {
            "key": self._artifact.key,
            "entry": self._artifact.entry,
            "arguments": self._arguments,
            "values": self._values.hex(),
            "timeout": seconds,
        }
        if self._artifact.kind == "opencl":
            request["sizes"] = self._sizes
            request["carry_bytes"] = self._artifact.carry_bytes
            request["phases"] = self._geometry()
        return request

    def _geometry(self) -> list[dict[str, Any]]:
        """Return every phase's global and local size, first dimension fastest, as OpenCL has them."""
        values = dict(self._binding.dims)
        for param, argument in zip(self._artifact.signature.params, self._binding.values, strict=True):
            if not param.is_array:
                values[param.name] = int(argument)
        in_use = self._device.session.opencl_devices()[0]
        defaults = _DEFAULT_BLOCKS["gpu" if in_use.device_type == "gpu" else "cpu"]
        phases = []
        for phase in self._artifact.phases:
            extents = phase.sizes(values)
            block = phase.block or (defaults[len(extents) - 1] if extents else ())
            rounded = [-(-extent // size) * size for extent, size in zip(extents, block, strict=True)]
            phases.append({"entry": phase.entry, "global": rounded[::-1] or [1], "local": list(block[::-1]) or [1]})
        return phases


def _check_aliases(artifact: Artifact, binding: Binding) -> None:
    """Refuse one array for two parameters of which one is written: the kernel was compiled to have them apart."""
    __tracebackhide__ = True
    seen: dict[int, str] = {}
    written = {param.name for param in artifact.signature.params if param.is_written}
    for param, argument in zip(artifact.signature.params, binding.values, strict=True):
        if not isinstance(argument, DeviceArray):
            continue
        other = seen.setdefault(id(argument), param.name)
        if other != param.name and {other, param.name} & written:
            raise ArgumentError(
                f"{artifact.name}: the same array is given for {other} and {param.name}, and one of them is written: "
                "declare one InOut parameter instead, or copy the array"
            )


def _describe(binding: Binding, artifact: Artifact) -> list[str]:
    described = []
    for param, argument, shape in zip(artifact.signature.params, binding.values, binding.shapes, strict=True):
        if isinstance(param.type, ArrayType):
            described.append(f"{param.name}: {param.type.element.dtype_name}{list(shape or ())}")
        else:
            described.append(f"{param.name}: {argument}")
    return described


def _poison(dtype: np.dtype[Any]) -> int:
    return _POISON_FLOAT if dtype.kind == "f" else _POISON_OTHER


def _misbehaviour(end: WorkerEnded, kernel: str, device: Device, seconds: float) -> XDeviceError:
    if not kernel:
        return DeviceLost(f"{device.name}: the worker on the device ended by {end.signal or f'exit status {end.code}'}")
    tail = f"\nThe last that it printed:\n{end.output}" if end.output.strip() else ""
    if end.signal == "SIGALRM":
        return KernelTimeout(
            f"{kernel} ran longer than {seconds:g} s on {device.name} and was ended there; "
            f"allow more with timeout= or --xdevice-timeout{tail}",
            kernel=kernel,
            seconds=seconds,
        )
    how = f"crashed with {end.signal}" if end.signal else f"left its process with exit status {end.code}"
    return KernelCrash(f"{kernel} {how} on {device.name} {device.kind}{tail}", kernel=kernel, signal=end.signal)


def _translate(problem: Problem, kernel: str, signature: Signature | None) -> XDeviceError:
    if problem.kind == "MemoryViolation" and signature is not None:
        return _violation(problem, signature)
    if problem.kind in _COMPILE_PROBLEMS:
        return CompileError(f"{kernel}: {problem}")
    return DeviceError(f"{kernel}: {problem}" if kernel else str(problem))


def _violation(problem: Problem, signature: Signature) -> MemoryViolation:
    """Name the argument and the element that a changed canary byte belongs to."""
    param = signature.params[problem.details["position"]]
    assert isinstance(param.type, ArrayType)
    offset, nbytes, width = problem.details["offset"], problem.details["nbytes"], param.type.element.nbytes
    index = offset // width
    where = f"{offset - nbytes + 1} bytes past the end" if offset >= 0 else f"{-offset} bytes before the start"
    return MemoryViolation(
        f"{signature.name} wrote {where} of argument {param.name} (index {index} of {nbytes // width})",
        kernel=signature.name,
        argument=param.name,
        index=index,
    )


def _target(text: str | None, info: DeviceInfo, compiler: Compiler) -> Target:
    if text is None:
        return Target.of_device(info)
    target = Target.parse(text).completed(info)
    compiler.check(target, info)
    return target


def _token(config: DeviceConfig, settings: Settings) -> str | None:
    path = config.token_file or settings.token_file
    return Path(path).read_text().strip() if path else settings.token


def _silent(message: str) -> None:
    """Progress that nobody follows."""


def _print(text: str) -> None:
    sys.stdout.write(text)
