"""Arrays that live in a device's memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from numpy.typing import DTypeLike

from .client import Batch
from .client import bytes_of
from .client import WorkerClient
from .command_queue import CommandQueue
from .errors import ArgumentError
from .errors import DeviceError

NDArray = np.ndarray[Any, np.dtype[Any]]


def host_array(values: ArrayLike, where: str) -> NDArray:
    """Return `values` as a C-contiguous array, of their shape also where that is ``()``.

    Raises
    ------
    ArgumentError
        If they are a masked array: there are no masks on a device.
    """
    __tracebackhide__ = True
    if isinstance(values, np.ma.MaskedArray):
        raise ArgumentError(f"{where}: a masked array has elements to skip: pass values.filled(...)")
    return np.asarray(values, order="C")


class DeviceArray:
    """An array in a device's memory. It goes wherever NumPy takes an array, at the price of reading it back.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    nbytes : int
        Its size in bytes.
    is_there : bool
        Whether it still is on the device: it was not freed, and the worker that holds it lives.
    """

    def __init__(self, queue: CommandQueue, worker: WorkerClient, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._shape = shape
        self._dtype = dtype
        self.nbytes = math.prod(shape) * dtype.itemsize
        self.worker = worker
        self.identity = worker.new_identity()
        self._queue = queue
        self._freed = False

    def __repr__(self) -> str:
        state = "freed" if self._freed else self._queue.name
        return f"<DeviceArray {self.dtype}{list(self.shape)} on {state}>"

    def __eq__(self, other: object) -> bool:
        """Return whether all elements equal those of another array of its shape: one answer, for ``assert``."""
        __tracebackhide__ = True
        return bool(np.array_equal(self.numpy(), np.asarray(other)))

    __hash__ = None  # type: ignore[assignment]  # what is equal may change, as with NumPy's arrays

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array of shape (), which has one element")
        return self.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._dtype

    @property
    def is_there(self) -> bool:
        return not self._freed and self.worker.alive

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    def __getitem__(self, key: Any) -> Any:
        """Return a copy of a part, as NumPy would give it; of a row, or of rows in a row, nothing else is read.

        Raises
        ------
        IndexError
            If it is outside of the array.
        DeviceError
            As of `numpy`.
        """
        __tracebackhide__ = True
        if not self.shape:
            return self.numpy()[key]
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) and key else (key, ())
        if isinstance(first, slice):
            start, stop, step = first.indices(len(self))
            if step == 1:
                inside = (slice(None), *rest)
                return self._read_rows(start, max(start, stop))[inside]
        elif isinstance(first, (int, np.integer)) and not isinstance(first, bool):
            if not -len(self) <= first < len(self):
                raise IndexError(f"index {first} is out of bounds for axis 0 with size {len(self)}")
            row = int(first) % len(self)
            inside = (0, *rest)
            return self._read_rows(row, row + 1)[inside]
        return self.numpy()[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.numpy())

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

    def _read_rows(self, start: int, stop: int) -> NDArray:
        __tracebackhide__ = True
        self.check()
        values = np.empty((stop - start, *self.shape[1:]), self.dtype)
        batch = Batch()
        batch.fetch_part(self.identity, values, start * math.prod(self.shape[1:]) * self.dtype.itemsize)
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
        source = host_array(values, "copy_from()")
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
        self._queue.submit(batch, self.worker, "", self._queue.session.settings.timeout)
