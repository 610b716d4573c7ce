"""The host's end of the stream to one worker: batches of operations out, results in.

Everything that a batch holds is one network round trip. See `runtime.wire` for the frames and `runtime.worker` for
what each operation does.
"""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field
from functools import partial
from typing import Any
from typing import Final

import numpy as np

from .errors import DeviceLost
from .errors import XDeviceError
from .runtime.wire import Buffer
from .runtime.wire import Connection
from .runtime.wire import encode
from .runtime.wire import STREAM_CLOSED
from .runtime.wire import StreamClosed
from .runtime.wire import WireError
from .timing import format_bytes
from .transport.control import Control

# Over a launch's own time-out, which the device keeps itself, until it counts as silent, and until that is reported.
GRACE_SECONDS: Final = 3.0
LIMIT_SECONDS: Final = 5.0
UPLOAD_SECONDS: Final = 30.0  # how long the stream may stand still while data is moving
Array = np.ndarray[Any, np.dtype[Any]]


class Problem(XDeviceError):
    """The worker answered that it could not carry out an operation.

    Attributes
    ----------
    kind : str
        The worker's word for it, such as ``"OutOfMemory"``.
    details : dict
        What else it said.
    """

    def __init__(self, details: dict[str, Any]) -> None:
        super().__init__(details["message"])
        self.kind: str = details["kind"]
        self.details = details


class WorkerEnded(XDeviceError):
    """The worker process ended while it carried out a batch.

    Attributes
    ----------
    signal : str or None
        The signal that ended it, or None.
    code : int or None
        Its exit status, or None.
    output : str
        The last that it printed.
    fault : dict or None
        Where it faulted, as `runtime.faults.read_report` has it.
    was_late : bool
        Whether it was ended since it did not answer in time.
    outlived_its_stream : bool
        Whether it was ended since it went on when its stream had broken.
    oom : dict or None
        What `runtime.oom.OomWatch.killed` says, where the device had run out of memory.
    """

    def __init__(self, end: dict[str, Any], *, was_late: bool = False) -> None:
        self.signal: str | None = end["signal"]
        self.code: int | None = end["code"]
        self.output: str = end["output"]
        self.fault: dict[str, Any] | None = end["fault"]
        self.was_late = was_late
        self.outlived_its_stream: bool = end["killed"]
        self.oom: dict[str, Any] | None = end["oom"]
        super().__init__(f"the worker ended by {self.signal or f'exit status {self.code}'}")


@dataclass
class Batch:
    """Operations that travel together, in order. Once it was submitted nothing is added; it may be submitted again.

    Attributes
    ----------
    timed : bool
        Whether the device takes timings meanwhile, so that nobody else should be at work.
    """

    operations: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    sinks: list[Array | None] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    timed: bool = False
    _head: bytes = b""

    def add(self, operation: str, **arguments: Any) -> None:
        """Append an operation that carries no data."""
        self.operations.append((operation, arguments))

    def send(self, operation: str, data: Buffer, **arguments: Any) -> None:
        """Append an operation that takes `data` along."""
        self.operations.append((operation, arguments))
        self.buffers.append(data)

    def fetch(self, identity: int, into: Array) -> None:
        """Append the reading of an array; its bytes land in `into`, which is C-contiguous."""
        self.operations.append(("get", {"id": identity}))
        self.sinks.append(into)

    def fetch_part(self, identity: int, into: Array, at: int) -> None:
        """Append the reading of a part of an array, from byte `at` on, as `fetch` does of a whole one."""
        self.operations.append(("get", {"id": identity, "at": at, "nbytes": into.nbytes}))
        self.sinks.append(into)

    def fetch_file(self, name: str) -> None:
        """Append the reading of a file; its contents land in `files`."""
        self.operations.append(("download", {"name": name}))
        self.sinks.append(None)

    def head(self) -> bytes:
        """Return the operations as they travel, encoded once however often they do."""
        if not self._head:
            self._head = encode({"do": self.operations})
        return self._head


class WorkerClient:
    """One worker on the device.

    Parameters
    ----------
    control : Control
    number : int
        The session's number for the worker.
    sock : socket
        The stream.
    output : callable
        Takes what the device printed.
    progress : callable
        Told, in a few words, what takes long; nothing when that is done.
    """

    def __init__(
        self,
        control: Control,
        number: int,
        sock: socket.socket,
        output: Callable[[str], None],
        progress: Callable[[str], None],
    ) -> None:
        self._control = control
        self._number = number
        self._connection = Connection(sock)
        self._output = output
        self._heard = b""  # of what the device prints in this batch, what has been shown
        self._identities = itertools.count()
        self._unwanted: list[int] = []
        self._unwanted_bytes = 0
        self._due = 0.0
        self._patience = 0.0
        self._is_computing = False  # all is sent, and nothing has come back
        self._progress = progress
        self._is_shown = False
        self.loaded: set[str] = set()
        self.alive = True

    def greet(self) -> dict[str, Any]:
        """Wait for the worker's first frame and return what it says of the device.

        Raises
        ------
        Problem
            If there is nothing on the device to run kernels on.
        WorkerEnded
            If the worker died before it was ready.
        DeviceLost
            If its stream does not open; the worker is ended.
        """
        try:
            self._connection.settimeout(UPLOAD_SECONDS)
            greeting, _ = self._connection.receive()
        except (StreamClosed, WireError, OSError) as error:
            end = self._post_mortem(kill=True)
            if not isinstance(end, WorkerEnded) or (end.signal != "SIGKILL" and end.code != STREAM_CLOSED):
                raise end from None
            raise DeviceLost(f"the worker's stream did not open: {error}") from None
        if "error" in greeting:
            _check_problem(greeting["error"])
            self.close()
            raise Problem(greeting["error"])
        description: dict[str, Any] = greeting["ok"]
        return description

    def new_identity(self) -> int:
        """Return a number for a new array."""
        return next(self._identities)

    def discard(self, identity: int, nbytes: int) -> None:
        """Free an array with the next batch, or at once when much has gathered."""
        self._unwanted.append(identity)
        self._unwanted_bytes += nbytes
        if self._unwanted_bytes > 64 << 20 and self.alive:
            self.submit(Batch())

    def submit(self, batch: Batch, seconds: float = UPLOAD_SECONDS) -> list[Any]:
        """Have the worker carry out `batch` and return its results, one an operation.

        Parameters
        ----------
        batch : Batch
        seconds : float
            How long the device may compute without a word.

        Raises
        ------
        Problem
            If an operation failed; those after it were not carried out.
        WorkerEnded
            If the worker process died of it.
        DeviceLost
            If the session or the device is gone.
        """
        try:
            return self._exchange(batch, seconds)
        except (StreamClosed, TimeoutError) as error:
            raise self._error_of(error) from None
        except Problem:
            raise
        except WireError as error:
            self._post_mortem(kill=True)
            raise DeviceLost(f"the worker sent what cannot be understood: {error}") from None
        except BaseException:
            # An interrupt, or a broken frame: what comes next on the stream belongs to nobody.
            self._post_mortem(kill=True)
            raise

    def look(self) -> None:
        """See whether the worker has died since it was last asked something; then it is not `alive` any more."""
        if self.alive and not self._connection.is_silent():
            self._post_mortem(kill=True)

    def close(self) -> None:
        """Close the stream; the worker leaves."""
        self.alive = False
        self._connection.close()

    def _head(self, batch: Batch) -> tuple[bytes, int]:
        """Return the head of a batch, with the freeing of what is unwanted in front, and how many results that has."""
        if not self._unwanted:
            return batch.head(), 0
        identities, self._unwanted, self._unwanted_bytes = self._unwanted, [], 0
        return encode({"do": [("free", {"ids": identities}), *batch.operations]}), 1

    def _exchange(self, batch: Batch, seconds: float) -> list[Any]:
        head, freed = self._head(batch)
        self._is_computing = False
        self._patience = seconds + GRACE_SECONDS
        self._connection.settimeout(self._patience)
        self._due = time.monotonic() + seconds + LIMIT_SECONDS
        self._connection.send_head(head, batch.buffers, partial(self._show, batch) if batch.buffers else None)
        self._show_no_more()
        self._due = time.monotonic() + seconds + LIMIT_SECONDS
        self._is_computing = True
        # A timing is not to be disturbed.
        answer, lengths = self._connection.receive(not batch.timed, None if batch.timed else self._listen)
        self._is_computing = False
        _check_answer(answer, len(batch.operations) + freed, len(batch.sinks), len(lengths))
        self._tell(answer.get("output", ""))
        if "error" in answer:
            raise Problem(answer["error"])
        self._receive(batch, lengths)
        results: list[Any] = answer["ok"]
        return results[freed:]

    def _receive(self, batch: Batch, lengths: Sequence[int]) -> None:
        for sink, length in itertools.zip_longest(batch.sinks, lengths):
            if sink is None:
                batch.files.append(self._read_file(length))
            elif sink.nbytes != length:
                raise WireError(f"a result of {length} bytes came where {sink.nbytes} belong")
            else:
                self._connection.read_into(bytes_of(sink))

    def _read_file(self, length: int) -> bytes:
        try:
            return bytes(self._connection.read(length))
        except MemoryError:
            raise WireError(f"a file of {length} bytes is announced, for which this host has no memory") from None

    def _listen(self) -> None:
        """Show what the device has printed so far: with -s a kernel is heard while it runs."""
        lines: bytes = self._control.request("printed", self._number, len(self._heard), timeout=self._patience)
        self._heard += lines
        if lines:
            self._output(lines.decode("utf-8", "replace"))

    def _tell(self, printed: str) -> None:
        """Show what the device printed, without what was shown before."""
        heard, self._heard = self._heard.decode("utf-8", "replace"), b""
        rest = printed[len(heard) :] if printed.startswith(heard) else printed
        if rest:
            self._output(rest)

    def _show(self, batch: Batch, sent: int) -> None:
        whole = sum(memoryview(buffer).nbytes for buffer in batch.buffers)
        self._is_shown = True
        self._progress(f"sending {format_bytes(whole)}: {min(100, 100 * sent // max(1, whole))} %")

    def _show_no_more(self) -> None:
        if self._is_shown:
            self._is_shown = False
            self._progress("")

    def _error_of(self, broken: StreamClosed | TimeoutError) -> XDeviceError:
        """Return why the stream broke: the worker's end, or, where the worker was well, the stream's own."""
        left = self._due - time.monotonic()
        end = self._post_mortem(kill=isinstance(broken, TimeoutError), seconds=min(max(left, 1.0), LIMIT_SECONDS))
        if isinstance(end, WorkerEnded) and (end.code == STREAM_CLOSED or end.outlived_its_stream):
            return DeviceLost(f"the stream to the worker broke: {broken}")
        if isinstance(end, WorkerEnded) and isinstance(broken, TimeoutError) and not self._is_computing:
            return DeviceLost(f"data stood still on its way for {self._patience:.3g} s, and the worker was ended")
        return end

    def _post_mortem(self, kill: bool, seconds: float = LIMIT_SECONDS) -> XDeviceError:
        """Ask the session how the worker ended, killing it first if it still runs; it may take `seconds` to answer."""
        self._show_no_more()
        self.close()
        try:
            end = self._control.request("ended", self._number, kill, timeout=seconds)
        except DeviceLost as lost:
            return lost
        self._tell(end["output"])
        return WorkerEnded(end, was_late=kill)


def _check_answer(answer: dict[str, Any], operations: int, sinks: int, buffers: int) -> None:
    """Check that a batch can have this answer.

    Raises
    ------
    WireError
        If it cannot.
    """
    if not isinstance(answer.get("output", ""), str):
        raise WireError("output that is no text")
    if "error" in answer:
        _check_problem(answer["error"])
    elif not isinstance(answer.get("ok"), list) or len(answer["ok"]) != operations or buffers != sinks:
        raise WireError(f"an answer that does not belong to {operations} operations, of which {sinks} fetch something")


def _check_problem(problem: Any) -> None:
    if not isinstance(problem, dict) or not all(isinstance(problem.get(key), str) for key in ("kind", "message")):
        raise WireError("an error that does not say what it is")


def bytes_of(array: Array) -> memoryview:
    """Return a C-contiguous array's memory as a one-dimensional view of bytes, without a copy."""
    return memoryview(np.asarray(array).reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # an array is a buffer
