"""The device that a test sees: the ``xdevice`` fixture."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .artifact import Artifact
from .artifact import KernelSource
from .checking import check
from .client import Batch
from .compare import assert_close
from .context import Context
from .errors import ArgumentError
from .function import compiled
from .function import Function
from .kernel.binding import bind
from .kernel.launch_shape import LaunchShape
from .kernel.sizes import Sizes
from .launch import Run
from .ndrange import read_ndrange
from .target import Target


class Device(Context):
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
        return compiled(self, kernel, threads)

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
        return Function(self, self.loaded(artifact))

    def run(
        self,
        kernel: KernelSource,
        *args: object,
        threads: int = 1,
        block: Sizes = None,
        grid: Sizes = None,
        global_size: Sizes = None,
        local_size: Sizes = None,
        offset: Sizes = None,
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
        source = self.source(kernel)
        if block is not None or grid is not None:
            source = self.shaped(source, LaunchShape.read(block, grid))
        artifact = self.described(self.build(source, threads))
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
        check(self, self.source(kernel), reference, max_examples, max_size, arguments, tolerances)

    def upload(
        self,
        source: str | os.PathLike[str] | bytes | bytearray | memoryview,
        name: str | os.PathLike[str] | None = None,
    ) -> None:
        """Store a file, or bytes, under `name` in the session's directory on the device.

        Raises
        ------
        DeviceError
            If the device cannot store it, or the name leads out of the directory.
        """
        __tracebackhide__ = True
        if not isinstance(source, (bytes, bytearray, memoryview)):
            name = Path(source).name if name is None else name
            source = Path(source).read_bytes()
        if name is None:
            raise ArgumentError("upload() of bytes needs a name: upload(data, 'weights.bin')")
        batch = Batch()
        batch.send("upload", bytes(source), name=_text(name))
        self.request(batch)

    def download(self, name: str | os.PathLike[str], destination: str | os.PathLike[str] | None = None) -> bytes:
        """Return the contents of a file in the session's directory; write them to `destination` as well, if given."""
        __tracebackhide__ = True
        batch = Batch()
        batch.fetch_file(_text(name))
        self.request(batch)
        data = batch.files[0]
        if destination is not None:
            Path(destination).write_bytes(data)
        return data

    def remove(self, name: str | os.PathLike[str]) -> None:
        """Remove a file, or a folder, from the session's directory."""
        __tracebackhide__ = True
        batch = Batch()
        batch.add("remove", name=_text(name))
        self.request(batch)

    def listdir(self) -> list[str]:
        """Return the names of the files in the session's directory, sorted."""
        __tracebackhide__ = True
        batch = Batch()
        batch.add("list")
        found: list[str] = self.request(batch)[0]
        return found


def _text(name: str | os.PathLike[str]) -> str:
    """Return the name of a file on the device, which may be given as a path."""
    return os.fspath(name) if isinstance(name, os.PathLike) else name
