"""What a test has on a device: its arrays, the kernels that are loaded there, and what it launched and timed."""

from __future__ import annotations

import contextlib
import json
import operator
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import DTypeLike

from .artifact import Artifact
from .artifact import is_source
from .artifact import KernelSource
from .artifact import no_kernel
from .artifact import ShapedSource
from .client import Batch
from .client import bytes_of
from .command_queue import CommandQueue
from .connection import Connection
from .device_array import DeviceArray
from .device_array import host_array
from .device_info import DeviceKind
from .errors import ArgumentError
from .errors import XDeviceError
from .kept import KeptLaunches
from .kernel.errors import KernelError
from .kernel.launch_shape import LaunchShape
from .kernel.signature import Signature
from .kernel.types import scalar_of_dtype
from .loading import counts_small
from .loading import load_into
from .loading import load_kernel
from .poison import poison
from .timing import LaunchRecord
from .timing import TimingRecord
from .work_groups import check_blocks


class Context(CommandQueue):
    """What belongs to one test on a device.

    Attributes
    ----------
    records : list of LaunchRecord or TimingRecord
        What was launched and timed through this object, oldest first.
    kept : KeptLaunches or None
        The launches with their arguments, where failing tests are to leave them.
    """

    def __init__(self, session: Connection, kind: DeviceKind) -> None:
        super().__init__(session, kind)
        self.records: list[LaunchRecord | TimingRecord] = []
        self.kept = KeptLaunches() if session.settings.artifacts else None
        self._arrays: list[DeviceArray] = []

    # --- arrays -----------------------------------------------------------------------------------------

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
        source = host_array(values, "array()")
        array = self._new_array(source.shape, source.dtype)
        batch = Batch()
        batch.send("put", bytes_of(source), id=array.identity)
        self.request(batch)
        return array

    def empty(self, shape: int | Sequence[int], dtype: DTypeLike = np.float32) -> DeviceArray:
        """Allocate an array on the device; it holds poison (NaN, or 0xA5 bytes) until a kernel writes it."""
        __tracebackhide__ = True
        array = self._new_array(_extents(shape), np.dtype(dtype))
        batch = Batch()
        batch.add("new", id=array.identity, nbytes=array.nbytes, fill=poison(array.dtype))
        self.request(batch)
        return array

    def _new_array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> DeviceArray:
        __tracebackhide__ = True
        if scalar_of_dtype(dtype) is None:
            raise ArgumentError(f"arrays of {dtype} cannot live on a device: convert it, as with .astype(np.float32)")
        array = DeviceArray(self, self.worker(), shape, dtype)
        self._arrays.append(array)
        return array

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

    def release(self) -> None:
        """Free everything that was allocated through this object, and say how much output was left out."""
        for array in self._arrays:
            array.free()
        self._arrays.clear()
        self.session.output.end()

    # --- kernels ----------------------------------------------------------------------------------------

    def source(self, kernel: object) -> KernelSource:
        """Return a kernel, or what a plugin makes of an object that is none by itself.

        Raises
        ------
        ArgumentError
            If nothing makes one of it.
        """
        __tracebackhide__ = True
        try:
            source = kernel if is_source(kernel) else self.session.translate(kernel)
        except KernelError as mistake:  # Python before 3.12 looks whether there is a signature by reading it
            raise mistake.with_traceback(None) from None
        if not is_source(source):
            raise no_kernel(kernel)
        return source

    def build(self, kernel: KernelSource, threads: int) -> Artifact:
        """Build a kernel for this device; the errors are those of `Device.compile`."""
        __tracebackhide__ = True
        try:
            artifact = self.session.compiler.build(kernel, self.target, threads=threads)
        except XDeviceError as error:
            # How the compiler got there is nothing to a user: the message says where the mistake is.
            raise error.with_traceback(None) from None
        self._check_blocks(artifact)
        return artifact

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

    def described(self, artifact: Artifact) -> Artifact:
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

    def loaded(self, artifact: Artifact) -> Artifact:
        """Load a kernel on the device, and return it as `described` has it.

        Raises
        ------
        ArgumentError
            If it was built for the other kind of device.
        """
        __tracebackhide__ = True
        if artifact.kind != self.kind:
            raise ArgumentError(
                f"{artifact.name} was built for {artifact.kind}, but this test runs on {self.kind}: "
                f"mark the test with @pytest.mark.{artifact.kind}"
            )
        artifact = self.described(artifact)
        batch = Batch()
        worker = self.worker()
        # Most launches are small; another one brings what it needs along.
        built = artifact.small if counts_small(artifact, self.session) else artifact
        keys = load_kernel(batch, built, self.session, worker)
        if batch.operations:
            self.submit(batch, worker, artifact.name, self.session.settings.timeout)
            worker.loaded.update(keys)
        return artifact

    def _check_blocks(self, artifact: Artifact) -> None:
        __tracebackhide__ = True
        if artifact.kind == self.kind == "opencl" and any(phase.block for phase in artifact.phases):
            self.worker()  # which knows the device
            check_blocks(artifact, self.session.opencl_devices()[0])


def _extents(shape: object) -> tuple[int, ...]:
    """Return a shape as a tuple of extents."""
    __tracebackhide__ = True
    try:
        dims = tuple(map(operator.index, shape if isinstance(shape, Iterable) else (shape,)))
    except TypeError:
        dims = (-1,)
    if any(extent < 0 for extent in dims):
        raise ArgumentError(f"an array cannot have the shape {shape!r}: give integers of 0 or more, such as (2, 3)")
    return dims
