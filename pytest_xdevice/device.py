"""The device that a test sees: the ``xdevice`` fixture."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import DTypeLike

from .artifact import Artifact
from .artifact import is_source
from .artifact import KernelSource
from .artifact import ShapedSource
from .client import Batch
from .client import bytes_of
from .client import Problem
from .client import WorkerClient
from .client import WorkerEnded
from .compare import assert_close
from .crashes import error_of_end
from .device_array import DeviceArray
from .device_info import DeviceInfo
from .device_info import DeviceKind
from .errors import ArgumentError
from .errors import DeviceLost
from .errors import XDeviceError
from .function import Function
from .kept import KeptLaunches
from .kernel.binding import bind
from .kernel.errors import KernelError
from .kernel.launch_shape import LaunchShape
from .kernel.launch_shape import Sizes
from .kernel.signature import Signature
from .kernel.types import scalar_of_dtype
from .launch import check_blocks
from .launch import counts_small
from .launch import load_into
from .launch import load_kernel
from .launch import Run
from .misbehaviour import error_of_problem
from .ndrange import NDSize
from .ndrange import read_ndrange
from .poison import poison
from .target import Target
from .timing import LaunchRecord
from .timing import TimingRecord

if TYPE_CHECKING:
    from .session import Session


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
            raise error_of_problem(problem, kernel, artifact) from None

    def _source(self, kernel: object) -> KernelSource:
        """Return a kernel, or what a plugin makes of an object that is none by itself."""
        __tracebackhide__ = True
        try:
            source = kernel if is_source(kernel) else self.session.translate(kernel)
        except KernelError as mistake:  # Python before 3.12 looks whether there is a signature by reading it
            raise mistake.with_traceback(None) from None
        if not is_source(source):
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
        from .sources.opencl_places import place_of

        worker = self.worker()
        found = self.session.opencl_devices()[0]
        key = signature_key(artifact.key, artifact.name, (found.name, found.platform, found.driver))
        kept = self.session.compiler.recall(key)
        if kept is None:
            batch = Batch()
            loads = load_into(batch, artifact, worker)
            batch.add("arguments", key=artifact.key, entry=artifact.name)
            answers = self.submit(batch, worker, artifact.name, self.session.settings.timeout, artifact=artifact)
            worker.loaded.update(loads)
            place = place_of(artifact.opencl_source, artifact.name)
            kept = json.dumps(signature_of(artifact.name, answers[-1], place).to_json()).encode()
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
        worker = self.worker()
        # Most launches are small; another one brings what it needs along.
        built = artifact.small if counts_small(artifact, self.session) else artifact
        keys = load_kernel(batch, built, self.session, worker)
        if batch.operations:
            self.submit(batch, worker, artifact.name, self.session.settings.timeout)
            worker.loaded.update(keys)
        return Function(self, artifact, source)

    def _new_array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        __tracebackhide__ = True
        if scalar_of_dtype(dtype) is None:
            raise ArgumentError(f"arrays of {dtype} cannot live on a device: convert it, as with .astype(np.float32)")
        array = DeviceArray(self, self.worker(), shape, dtype)
        self._arrays.append(array)
        return array
