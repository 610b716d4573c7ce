"""The host's view of a device: a session with it, the device that a test sees, its arrays and its functions."""

from __future__ import annotations

import contextlib
import json
import operator
import os
import socket
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Literal
from typing import Union

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import DTypeLike

from .artifact import Artifact
from .artifact import KernelSource
from .artifact import ShapedSource
from .client import Batch
from .client import bytes_of
from .client import Problem
from .client import WorkerClient
from .client import WorkerEnded
from .compare import assert_close
from .comparison import Comparison
from .comparison import DEFAULT_SAMPLES as PAIRS
from .compile import Compiler
from .compile import default_compiler
from .config import DeviceConfig
from .config import Settings
from .crashes import error_of_end
from .device_array import DeviceArray
from .device_info import DeviceInfo
from .device_output import DeviceOutput
from .errors import ArgumentError
from .errors import DeviceError
from .errors import DeviceLost
from .errors import XDeviceError
from .kept import KeptLaunches
from .kernel.binding import bind
from .kernel.launch_shape import LaunchShape
from .kernel.signature import Signature
from .kernel.types import scalar_of_dtype
from .launch import check_blocks
from .launch import load_into
from .launch import load_kernel
from .launch import Run
from .measurement import Measurement
from .misbehaviour import error_of_problem
from .ndrange import NDSize
from .ndrange import read_ndrange
from .poison import poison
from .remote_function import call_remotely
from .target import Target
from .timing import LaunchRecord
from .timing import Timing
from .timing import TimingRecord
from .transport import Applicant
from .transport import open_transport
from .transport import Transport
from .transport.credentials import read_credentials
from .transport.gateway import Control
from .transport.spec import parse

DeviceKind = Literal["cpu", "opencl"]
Translate = Callable[[object], Union[KernelSource, None]]
Sizes = Union[int, "tuple[int, ...]", None]

__all__ = ["Device", "DeviceArray", "Function", "OpenCLDevice", "Session"]


@dataclass(frozen=True)
class OpenCLDevice:
    """An OpenCL device, as its driver describes it. `memory` and `max_allocation` are in bytes."""

    name: str
    platform: str
    version: str
    c_version: str
    driver: str
    device_type: str
    extensions: tuple[str, ...]
    memory: int
    max_allocation: int
    compute_units: int
    max_work_group_size: int
    max_work_item_sizes: tuple[int, ...]

    @classmethod
    def from_wire(cls, facts: dict[str, Any]) -> OpenCLDevice:
        """Make one of what the worker reported."""
        sizes = tuple(facts["max_work_item_sizes"])
        return cls(**{**facts, "extensions": tuple(facts["extensions"]), "max_work_item_sizes": sizes})


class Session:
    """A connection to one device: its gateway, and a worker for each kind of execution.

    Attributes
    ----------
    name, address : str
        The device's name in reports, and its specification.
    info : DeviceInfo
    target : Target
        What CPU kernels are compiled for.
    output : DeviceOutput
        What the device printed.
    opencl_problem : str or None
        Why the device has no OpenCL, once that has been looked at.
    translate : callable
        Makes a kernel of what a test gives that is none by itself, or returns None.
    progress : callable
        Told, in a few words, what takes long; nothing when that is done.
    """

    def __init__(
        self, config: DeviceConfig, settings: Settings, transport: Transport, control: Control, compiler: Compiler
    ) -> None:
        self._config = config
        self.name = config.name
        self.address = config.address
        self.settings = replace(settings, timeout=config.timeout or settings.timeout)
        self.compiler = compiler
        self.info = DeviceInfo.from_wire(control.info)
        self.target = _target(config.target or settings.target, self.info, compiler)
        self.opencl_problem: str | None = None
        self.output = DeviceOutput(self.name)
        self.translate: Translate = _nothing
        self.progress: Callable[[str], None] = _silent
        self._applicant = Applicant(settings.lease_timeout, _silent)
        self._opencl: tuple[OpenCLDevice, ...] | None = None
        self._transport = transport
        self._control = control
        self._workers: dict[DeviceKind, WorkerClient] = {}
        self._starting: dict[DeviceKind, WorkerClient] = {}

    @classmethod
    def open(
        cls,
        config: DeviceConfig,
        settings: Settings | None = None,
        *,
        compiler: Compiler | None = None,
        progress: Callable[[str], None] | None = None,
        translate: Translate | None = None,
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
        translate : callable, optional
            Makes a kernel of what a test gives that is none by itself, or returns None.

        Raises
        ------
        DeviceUnreachable, AuthenticationError
            If no session could be opened.
        TargetError
            If the target asked for is unknown, or the device cannot run it.
        """
        settings = settings or Settings()
        applicant = Applicant(settings.lease_timeout, progress or _silent)
        transport, control = _connect(config, settings, applicant)
        try:
            session = cls(config, settings, transport, control, compiler or default_compiler())
        except BaseException:
            transport.close()
            raise
        session._applicant = applicant
        session.translate = translate or _nothing
        return session

    @property
    def lost(self) -> DeviceLost | None:
        """Why the device is out of reach, as far as that has been noticed; else None."""
        return self._control.lost

    def reconnect(self, progress: Callable[[str], None] | None = None) -> None:
        """Open another connection in place of one that was lost. What was on the device is gone.

        Raises
        ------
        DeviceUnreachable, AuthenticationError
            If that cannot be done; the session is closed.
        """
        with contextlib.suppress(OSError):
            self.close()
        self._applicant = replace(self._applicant, progress=progress or _silent)
        self._transport, self._control = _connect(self._config, self.settings, self._applicant)

    def device(self, kind: DeviceKind) -> Device:
        """Return the device as one test sees it; `Device.release` frees what was allocated through it."""
        self.output.begin()
        self.prepare(kind)
        return Device(self, kind)

    def opencl_devices(self) -> tuple[OpenCLDevice, ...]:
        """Return the OpenCL devices there are, the one in use first; empty when there is none."""
        if self._opencl is None:
            try:
                self.worker("opencl")
            except DeviceError as error:
                self.opencl_problem, self._opencl = str(error), ()
        return self._opencl or ()

    @property
    def known_opencl_devices(self) -> tuple[OpenCLDevice, ...]:
        """Those of `opencl_devices`, if anybody has asked for them; nothing is started to find out."""
        return self._opencl or ()

    def conditions(self) -> dict[str, Any]:
        """Return what may disturb timings at this moment: see `runtime.conditions.conditions`.

        Raises
        ------
        DeviceLost
            If the session is gone.
        """
        answer: dict[str, Any] = self._control.request("conditions")
        return answer

    def remote(self, function: Callable[..., Any], *args: Any, timeout: float | None = None) -> Any:
        """Run a plain Python function on the device, in a process of its own, and return its result.

        What it prints is the test's captured output.

        Parameters
        ----------
        function : function
            Its source is sent: it imports what it needs itself, and uses nothing of its module or of a function
            around it. The device's Python may be 3.8.
        *args
            Made of builtins, as the result is.
        timeout : float, optional
            Seconds that it may take; those of a launch by default.

        Raises
        ------
        ArgumentError
            If the function needs more than its source, or an argument is no builtin.
        RemoteFunctionError
            If it raised an exception there, whose traceback the error has, or ended its process.
        RemoteFunctionTimeout
            If it took too long; it was killed, with what it had started.
        DeviceLost
            If the session is gone.
        """
        __tracebackhide__ = True
        seconds = self.settings.timeout if timeout is None else timeout
        return call_remotely(
            self._control, function, args, seconds=seconds, env=dict(self._config.env), show=self.output.show
        )

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
        for worker in (*self._workers.values(), *self._starting.values()):
            worker.close()
        self._workers.clear()
        self._starting.clear()
        self._transport.close()

    def prepare(self, kind: DeviceKind) -> None:
        """Have a worker for `kind` start, if there is none that lives, while something else is done."""
        worker = self._workers.get(kind)
        if worker is not None:
            worker.look()
        if (worker is None or not worker.alive) and kind not in self._starting:
            with contextlib.suppress(XDeviceError):  # whoever asks for the worker tries again and hears of it
                self._starting[kind] = self._attach_worker(kind)

    def _show_progress(self, text: str) -> None:
        self.progress(f"{self.name}: {text}" if text else "")

    def _start_worker(self, kind: DeviceKind) -> WorkerClient:
        try:
            worker = self._starting.pop(kind, None) or self._attach_worker(kind)
            description = worker.greet()
        except DeviceLost:
            if self._transport.stream_way != "unix" or self.lost:
                raise
            # An sshd may refuse to forward sockets; the control connection itself gets through.
            self._transport.stream_way = "relay"
            return self._start_worker(kind)
        except Problem as problem:
            raise DeviceError(str(problem)) from None
        except WorkerEnded as end:
            raise DeviceError(f"{end} before it was ready:\n{end.output}") from None
        if kind == "opencl":
            self._opencl = tuple(OpenCLDevice.from_wire(facts) for facts in description["opencl"])
        return worker

    def _attach_worker(self, kind: DeviceKind) -> WorkerClient:
        """Start a worker and open the stream to it."""
        way = self._transport.stream_way
        options = {
            "kind": kind, "stream": way, "guard": self.settings.guard, "opencl": self.settings.opencl or "",
            "env": dict(self._config.env),
        }  # fmt: skip
        if way == "unix":
            started = self._control.request("start", options)
            sock = self._transport.stream(started["path"])
        elif way == "passed":
            self._control.post("start", options)
            try:
                sock = self._transport.stream("")  # the worker starts meanwhile
            except XDeviceError:
                self._control.request("ended", self._control.answer("start")["worker"], True)
                raise
            with _closing_on_failure(sock):
                started = self._control.answer("start")
        else:
            sock, channel = self._control.relay()
            with _closing_on_failure(sock):
                started = self._control.request("start", options, channel)
        return WorkerClient(self._control, started["worker"], sock, self.output.show, self._show_progress)


class Device:
    """The device that a test sees: the `xdevice` fixture.

    Attributes
    ----------
    session : Session
    kind : {"cpu", "opencl"}
        Whether kernels run on the device's CPU or on its OpenCL device.
    records : list of LaunchRecord or TimingRecord
        What was launched and timed through this object, oldest first.
    kept : KeptLaunches or None
        The launches with their arguments, where failing tests are to leave them.
    """

    def __init__(self, session: Session, kind: DeviceKind) -> None:
        self.session = session
        self.kind: DeviceKind = kind
        self.records: list[LaunchRecord | TimingRecord] = []
        self.kept = KeptLaunches() if session.settings.artifacts else None
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

    def compile(self, kernel: KernelSource, *, threads: int = 1) -> Function:
        """Compile a kernel for this device, upload it and load it there.

        Parameters
        ----------
        kernel : Kernel
        threads : int
            How many threads of the device's CPU run its parallel loops, 1 to 256, the caller's included.

        Raises
        ------
        KernelError, TargetError, CompileError
            If it cannot be built.
        ArgumentError
            If `threads` is no such number, or more than 1 on an OpenCL device.
        """
        __tracebackhide__ = True
        source = self._source(kernel)
        return self._loaded(self._build(source, threads), source)

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
        batch.add("new", id=array.identity, nbytes=array.nbytes, fill=poison(array.dtype))
        self._submit(batch)
        return array

    def run(
        self,
        kernel: KernelSource,
        *args: object,
        threads: int = 1,
        block: Sizes = None,
        grid: Sizes = None,
        global_size: NDSize = None,
        local_size: NDSize = None,
        offset: NDSize = None,
        timeout: float | None = None,
        **kwargs: object,
    ) -> Any:
        """Run a kernel once, in one network round trip, and bring its results back.

        Parameters
        ----------
        kernel : Kernel
            In any language, or what a plugin makes one of.
        *args, **kwargs
            Its arguments, NumPy arrays (which are never changed) or arrays on the device. `Out` arrays whose dims are
            bound by the others need not be given.
        threads : int
            As for `compile`.
        block, grid, global_size, local_size, offset : int or tuple of int, optional
            As for a launch of a `Function`.
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
        source = self._source(kernel)
        if block is not None or grid is not None:
            source = self.shaped(source, LaunchShape.read(block, grid))
        artifact = self._described(self._build(source, threads))
        ndrange = read_ndrange(artifact, {"global_size": global_size, "local_size": local_size, "offset": offset})
        binding = bind(artifact.signature, args, kwargs, allow_missing_out=True)
        return Run(self, artifact, binding, ndrange).execute(timeout)

    def assert_close(self, actual: Any, desired: Any, **tolerances: Any) -> None:
        """Compare like `compare.assert_close`; either side may live on the device."""
        __tracebackhide__ = True
        assert_close(actual, desired, **tolerances)

    def check(
        self,
        kernel: KernelSource,
        reference: Callable[..., Any] | None = None,
        *,
        max_examples: int = 100,
        max_size: int | None = None,
        arguments: Any = None,
        **tolerances: Any,
    ) -> None:
        """Run a kernel on drawn arguments and compare it with a reference; a failure shows the simplest ones found.

        Parameters
        ----------
        kernel : Kernel
        reference : callable, optional
            Takes copies of the arguments and returns what `run` would: the `Out` and `InOut` arrays in parameter order;
            or it writes its `InOut` arguments and returns the others, or None. By default ``kernel.python``.
        max_examples : int
            How many arguments are drawn.
        max_size : int, optional
            The largest number of elements of an array.
        arguments : hypothesis.strategies.SearchStrategy, optional
            Draws a tuple of arguments; by default ``pytest_xdevice.strategies.arguments(kernel)``.
        **tolerances
            As for `assert_close`.

        Raises
        ------
        AssertionError
            If a result is not close to the reference.
        ArgumentError
            If `max_examples` is below 1, or the kernel has no reference of its own and none is given.
        ImportError
            If hypothesis is not installed.
        XDeviceError
            As of `run`; the message ends with the arguments.
        """
        __tracebackhide__ = True
        from .checking import check

        check(self, self._source(kernel), reference, max_examples, max_size, arguments, tolerances)

    @contextlib.contextmanager
    def freeing(self) -> Iterator[None]:
        """Free what is allocated within the block at its end, as at the end of a test."""
        kept = len(self._arrays)
        try:
            yield
        finally:
            for array in self._arrays[kept:]:
                array.free()
            del self._arrays[kept:]

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
        """Free everything that was allocated through this object, and say how much output was left out."""
        for array in self._arrays:
            array.free()
        self._arrays.clear()
        self.session.output.end()

    def worker(self) -> WorkerClient:
        """Return the worker that this device's operations go to."""
        __tracebackhide__ = True
        try:
            return self.session.worker(self.kind)
        except DeviceLost as lost:
            raise DeviceLost(f"{self.name}: {lost}") from None

    def submit(
        self,
        batch: Batch,
        worker: WorkerClient,
        kernel: str,
        seconds: float,
        *,
        samples: int = 1,
        artifact: Artifact | None = None,
    ) -> list[Any]:
        """Have `worker` carry out a batch in which `kernel` is launched, and turn what goes wrong into our errors."""
        __tracebackhide__ = True
        try:
            return worker.submit(batch, seconds * samples)
        except WorkerEnded as end:
            self.session.prepare(self.kind)
            raise error_of_end(end, kernel, artifact, self, seconds) from None
        except DeviceLost as lost:
            raise DeviceLost(f"{self.name}: {lost}") from None
        except Problem as problem:
            raise error_of_problem(problem, kernel, artifact.signature if artifact else None) from None

    def _source(self, kernel: object) -> KernelSource:
        """Return a kernel, or what a plugin makes of an object that is none by itself."""
        __tracebackhide__ = True
        source = kernel if isinstance(kernel, KernelSource) else self.session.translate(kernel)
        if not isinstance(source, KernelSource):
            raise ArgumentError(f"{kernel!r} is no kernel: decorate the function with @kernel")
        return source

    def _build(self, kernel: KernelSource, threads: int) -> Artifact:
        __tracebackhide__ = True
        try:
            artifact = self.session.compiler.build(kernel, self.target, threads=threads)
        except XDeviceError as error:
            # How the compiler got there is nothing to a user: the message says where the mistake is.
            raise error.with_traceback(None) from None
        self._check_blocks(artifact)
        return artifact

    def _described(self, artifact: Artifact) -> Artifact:
        """Return a kernel in OpenCL C with the parameters that this device finds in it, asked once for each program."""
        __tracebackhide__ = True
        if not artifact.is_handwritten:
            return artifact
        from .sources.opencl_parameters import signature_key
        from .sources.opencl_parameters import signature_of

        worker = self.worker()
        found = self.session.opencl_devices()[0]
        key = signature_key(artifact.key, artifact.name, (found.name, found.platform, found.driver))
        kept = self.session.compiler.recall(key)
        if kept is None:
            batch = Batch()
            loads = load_into(batch, artifact, worker)
            batch.add("arguments", key=artifact.key, entry=artifact.name)
            answers = self.submit(batch, worker, artifact.name, self.session.settings.timeout)
            worker.loaded.update(loads)
            kept = json.dumps(signature_of(artifact.name, answers[-1]).to_json()).encode()
            self.session.compiler.remember(key, kept)
        return replace(artifact, signature=Signature.from_json(json.loads(kept)))

    def _check_blocks(self, artifact: Artifact) -> None:
        __tracebackhide__ = True
        if artifact.kind == self.kind == "opencl" and any(phase.block for phase in artifact.phases):
            self.worker()  # which knows the device
            check_blocks(artifact, self.session.opencl_devices()[0])

    def _submit(self, batch: Batch) -> list[Any]:
        __tracebackhide__ = True
        return self.submit(batch, self.worker(), "", self.session.settings.timeout)

    def shaped(self, kernel: KernelSource, shape: LaunchShape) -> KernelSource:
        """Return a kernel with the work-groups of `shape`; on the CPU that kernel itself, if it has loops for them.

        Raises
        ------
        ArgumentError
            If it has no parallel loop for them.
        """
        __tracebackhide__ = True
        if not isinstance(kernel, ShapedSource):
            raise ArgumentError(f"{kernel.signature.name}: {shape}: only kernels in Python have loops that it is for")
        variant = kernel.with_shape(shape)
        return variant if self.kind == "opencl" else kernel

    def _loaded(self, artifact: Artifact, source: KernelSource | None = None) -> Function:
        __tracebackhide__ = True
        if artifact.kind != self.kind:
            raise ArgumentError(
                f"{artifact.name} was built for {artifact.kind}, but this test runs on {self.kind}: "
                f"mark the test with @pytest.mark.{artifact.kind}"
            )
        artifact = self._described(artifact)
        batch = Batch()
        keys = load_kernel(batch, artifact, self.session, self.worker())
        if batch.operations:
            self.submit(batch, self.worker(), artifact.name, self.session.settings.timeout)
            self.worker().loaded.update(keys)
        return Function(self, artifact, source)

    def _new_array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        __tracebackhide__ = True
        if scalar_of_dtype(dtype) is None:
            raise ArgumentError(f"arrays of {dtype} cannot live on a device: convert it, as with .astype(np.float32)")
        array = DeviceArray(self, self.worker(), shape, dtype)
        self._arrays.append(array)
        return array


class Function:
    """A kernel that is loaded on a device.

    Attributes
    ----------
    artifact : Artifact
        What was made: IR, assembly, OpenCL source, object code.
    """

    def __init__(self, device: Device, artifact: Artifact, source: KernelSource | None = None) -> None:
        self._device = device
        self.artifact = artifact
        self._source = source
        self._shaped: dict[LaunchShape, Function] = {}
        self._last: Run | None = None
        self._last_call: tuple[object, ...] = ()

    def __repr__(self) -> str:
        return f"<Function {self.artifact.signature} on {self._device.name}>"

    @property
    def name(self) -> str:
        """The kernel's name."""
        return self.artifact.name

    def __call__(
        self,
        *args: object,
        block: Sizes = None,
        grid: Sizes = None,
        global_size: NDSize = None,
        local_size: NDSize = None,
        offset: NDSize = None,
        timeout: float | None = None,
        **kwargs: object,
    ) -> None:
        """Launch the kernel on arrays that live on the device, and wait for it.

        Parameters
        ----------
        *args, **kwargs
            One for each parameter. Arrays that are only read may be NumPy arrays; they are uploaded for the launch.
        block : int or tuple of int, optional
            Iterations in a work-group, in the order of the variables of `parallel`, for the loops of that rank and
            instead of the kernel's own; on an OpenCL device one build for each. On a CPU it changes nothing.
        grid : int or tuple of int, optional
            Work-groups, in the same order, which then take iterations in turns until all are done.
        global_size, local_size, offset : int or tuple of int, optional
            For kernels in OpenCL C, in OpenCL's order: the number of work-items, which has to be given, of those in a
            work-group, and the first one's id.
        timeout : float, optional
            Seconds that it may take.

        Raises
        ------
        ArgumentError, KernelCrash, KernelTimeout, MemoryViolation
        """
        __tracebackhide__ = True
        if block is not None or grid is not None:
            self._with_shape(block, grid)(
                *args, block=None, grid=None, global_size=global_size, local_size=local_size, offset=offset,
                timeout=timeout, **kwargs,
            )  # fmt: skip
            return
        call = (timeout, global_size, local_size, offset, *args)
        if self._last is not None and not kwargs and self._is_last(call) and self._last.is_current:
            self._last.again()
            return
        run = self._prepare(args, kwargs, {"global_size": global_size, "local_size": local_size, "offset": offset})
        run.execute(timeout)
        self._last, self._last_call = (run, call) if run.is_repeatable and not kwargs else (None, ())

    def time(
        self,
        *args: object,
        number: int | None = None,
        repeat: int | None = None,
        min_repeat_ms: float | None = None,
        warmup: int = 1,
        flush_cache: bool = False,
        cooldown: float = 0.0,
        flops: float | None = None,
        bytes: float | None = None,
        block: Sizes = None,
        grid: Sizes = None,
        global_size: NDSize = None,
        local_size: NDSize = None,
        offset: NDSize = None,
        timeout: float | None = None,
        **kwargs: object,
    ) -> Timing:
        """Measure the kernel on the device, without the network and without Python in the figure.

        Parameters
        ----------
        *args, **kwargs
            As for a launch.
        number : int, optional
            Calls in a sample; by default as many as take about 0.2 ms and 100 ticks of the device's clock, and 1 with
            `flush_cache`.
        repeat : int, optional
            Samples (default 31, fewer when they are long).
        min_repeat_ms : float, optional
            Milliseconds that a sample lasts at least; `number` is raised until it does.
        warmup : int
            Calls that come first and do not count, 1 or more.
        flush_cache : bool
            Whether each sample starts with caches that hold nothing of the kernel's.
        cooldown : float
            Seconds of rest before each sample, for a device that gets hot.
        flops, bytes : float, optional
            Floating-point operations of one call, and the bytes it moves, by default those of its arrays: an `InOut`
            array is read and written. GFLOP/s and GB/s come of them.
        block, grid, global_size, local_size, offset : int or tuple of int, optional
            As for a launch.
        timeout : float, optional
            Seconds that a sample may take.

        Returns
        -------
        Timing
            Seconds per call, one figure a sample.

        Raises
        ------
        ArgumentError
            If an option has a value that it cannot have, or the arguments do not fit.
        KernelCrash, KernelTimeout, MemoryViolation
            If the kernel misbehaves while it is timed.
        """
        __tracebackhide__ = True
        measurement = Measurement.read(
            number=number, repeat=repeat, min_repeat_ms=min_repeat_ms, warmup=warmup, flush_cache=flush_cache,
            cooldown=cooldown, flops=flops, bytes=bytes,
        )  # fmt: skip
        function = self if block is None and grid is None else self._with_shape(block, grid)
        sizes = {"global_size": global_size, "local_size": local_size, "offset": offset}
        (timing,) = function._prepare(args, kwargs, sizes).time(measurement, timeout)
        return timing

    def compare(
        self,
        other: KernelSource | Function,
        *args: object,
        number: int | None = None,
        repeat: int | None = None,
        min_repeat_ms: float | None = None,
        warmup: int = 1,
        flush_cache: bool = False,
        cooldown: float = 0.0,
        global_size: NDSize = None,
        local_size: NDSize = None,
        offset: NDSize = None,
        timeout: float | None = None,
        **kwargs: object,
    ) -> Comparison:
        """Measure this kernel and another one in turns on the device, a sample of each after the other.

        What slows both, such as a clock that sinks or another program, does not look like a difference then. Both are
        launched once before, so that a mistake of either is told as one of its own.

        Parameters
        ----------
        other : Kernel or Function
            Takes the same arguments. A kernel is compiled first, for as many threads as this one.
        *args, **kwargs
            As for a launch; arrays that are written are written by both.
        number, repeat, min_repeat_ms, warmup, flush_cache, cooldown
            As for `time`; `repeat` is 101 by default, fewer when samples are long.
        global_size, local_size, offset, timeout
            As for a launch.

        Returns
        -------
        Comparison
            `ratio` with its `interval`, and the samples of both.

        Raises
        ------
        ArgumentError
            If an option has a value that it cannot have, or the arguments do not fit one of the kernels.
        KernelError, TargetError, CompileError, KernelCrash, KernelTimeout, MemoryViolation
        """
        __tracebackhide__ = True
        measurement = Measurement.read(
            number=number, repeat=repeat, min_repeat_ms=min_repeat_ms, warmup=warmup, flush_cache=flush_cache,
            cooldown=cooldown, most=PAIRS,
        )  # fmt: skip
        sizes = {"global_size": global_size, "local_size": local_size, "offset": offset}
        if not isinstance(other, Function):
            other = self._device.compile(other, threads=self.artifact.threads)
        if other._device is not self._device:
            raise ArgumentError(f"{other!r} is not on the device of {self!r}: load both with one xdevice")
        placed: dict[int, DeviceArray] = {}
        runs = []
        for function in (self, other):
            function._prepare(args, kwargs, sizes).execute(timeout)
            runs.append(function._prepare(function._place(args, kwargs, placed), {}, sizes))
        first, second = runs[0].time(measurement, timeout, runs[1:])
        return Comparison((self.name, other.name), first, second)

    def _place(self, args: Sequence[object], kwargs: dict[str, object], placed: dict[int, DeviceArray]) -> list[object]:
        """Return one argument a parameter, arrays copied to the device, each once."""
        arguments = []
        binding = bind(self.artifact.signature, args, kwargs)
        for param, value in zip(self.artifact.signature.params, binding.values, strict=True):
            if param.is_array and not isinstance(value, DeviceArray):
                if id(value) not in placed:
                    placed[id(value)] = self._device.array(value)
                value = placed[id(value)]
            arguments.append(value)
        return arguments

    def _with_shape(self, block: Sizes, grid: Sizes) -> Function:
        """Return the function with the work-groups of a launch: on the CPU this one."""
        __tracebackhide__ = True
        shape = LaunchShape.read(block, grid)
        if shape not in self._shaped:
            if self._source is None:
                raise ArgumentError(
                    f"{self.name}: {shape}: a kernel that was loaded from a file keeps its work-groups; "
                    "compile it from its source"
                )
            source = self._device.shaped(self._source, shape)
            self._shaped[shape] = self if source is self._source else self._device.compile(source)
        return self._shaped[shape]

    def _is_last(self, call: tuple[object, ...]) -> bool:
        """Whether these are the very objects of the last launch: arrays on the device, and numbers, do not change."""
        return len(call) == len(self._last_call) and all(map(operator.is_, call, self._last_call))

    def _prepare(self, args: Sequence[object], kwargs: dict[str, object], sizes: dict[str, NDSize]) -> Run:
        __tracebackhide__ = True
        ndrange = read_ndrange(self.artifact, sizes)
        binding = bind(self.artifact.signature, args, kwargs)
        for param, argument in zip(self.artifact.signature.params, binding.values, strict=True):
            if param.is_written and not isinstance(argument, DeviceArray):
                raise ArgumentError(
                    f"{self.name}: {param.name} is written by the kernel: pass an array that lives on the device "
                    "(xdevice.empty or xdevice.array), or use xdevice.run, which brings results back"
                )
        return Run(self._device, self.artifact, binding, ndrange)


def _target(text: str | None, info: DeviceInfo, compiler: Compiler) -> Target:
    if text is None:
        return Target.of_device(info)
    target = Target.parse(text).completed(info)
    compiler.check(target, info)
    return target


def _connect(config: DeviceConfig, settings: Settings, applicant: Applicant) -> tuple[Transport, Control]:
    """Reach a device and start a session there."""
    transport = transport_to(config, settings, applicant)
    return transport, transport.open()


def transport_to(config: DeviceConfig, settings: Settings, applicant: Applicant | None = None) -> Transport:
    """Return what leads to a device, not yet opened.

    Raises
    ------
    AuthenticationError
        If there is no token for a device that needs one.
    """
    spec = parse(config.address)
    spec = replace(spec, python=spec.python or config.python)
    credentials = read_credentials(config, settings)
    applicant = applicant or Applicant(settings.lease_timeout, _silent)
    return open_transport(spec, credentials=credentials, applicant=applicant)


@contextlib.contextmanager
def _closing_on_failure(sock: socket.socket) -> Iterator[None]:
    """Close a socket when the block fails."""
    try:
        yield
    except BaseException:
        sock.close()
        raise


def _nothing(kernel: object) -> None:
    """Make no kernels of other things."""


def _silent(message: str) -> None:
    """Progress that nobody follows."""
