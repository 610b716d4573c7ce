"""The worker: a process that owns arrays and programs, and carries out the batches that the host sends.

It is started by the session, is handed its stream over a socket pair, and may die of any kernel it runs: the session
tells the host how, and starts another.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import struct
import sys
import traceback
from functools import lru_cache
from typing import Any
from typing import Callable
from typing import Dict
from typing import List
from typing import Optional
from typing import Sequence
from typing import Tuple

from .conditions import conditions
from .conditions import throttle_count
from .conditions import throttled_since
from .cpu import CpuBackend
from .faults import FaultReporter
from .files import FileStore
from .handover import receive_socket
from .launch import DeviceProblem
from .launch import Launch
from .libraries import Libraries
from .oom import be_the_first_to_go
from .output import Output
from .timing import Plan
from .wire import Buffer
from .wire import Connection
from .wire import decode
from .wire import STREAM_CLOSED
from .wire import StreamClosed
from .wire import WireError

_NO_ROOM = "the device has no memory left to pass the data on in one piece: use smaller arrays"
_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>
_SIGKILL = 9
_STREAM_SECONDS = 30.0
_FILLS = (None, *range(256))
_REMEMBERED, _REMEMBERED_BYTES = 64, 4096  # batches, and the longest one
Operation = Callable[[Any], Any]
# What a request raises that is not of the form it should be; not a kernel's doing, which runs outside of Python.
_MALFORMED = (
    ArithmeticError, AttributeError, BufferError, LookupError, RecursionError, TypeError, ValueError, struct.error,
    ctypes.ArgumentError,
)  # fmt: skip


class Worker:
    """Carries out batches until the stream ends.

    Parameters
    ----------
    connection : Connection
    options : dict
        ``kind`` ("cpu" or "opencl"), ``directory``, ``files``, ``guard``, ``opencl``, ``pin``, the cores to keep to, if
        any, and as ``report`` the descriptor that takes the report of a fault.
    """

    def __init__(self, connection: Connection, options: Dict[str, Any]) -> None:
        self._connection = connection
        self._options = options
        self._backend: Any = None
        self._libraries = Libraries(options["directory"])
        self._files = FileStore(options["files"])
        self._arrays: Dict[int, Any] = {}
        self._lengths: List[int] = []
        self._replies: List[Buffer] = []
        self._dropped: List[Any] = []
        self._output = Output()
        self._operations: Dict[str, Operation] = {
            "load": self._load,
            "library": lambda request: self._backend.load_library(request["key"], self._take(), request["name"]),
            "put": self._put,
            "new": self._new,
            "write": self._write,
            "get": self._get,
            "free": self._free,
            "arguments": lambda request: self._backend.arguments(request["key"], request["entry"]),
            "report_faults": self._report_faults,
            "launch": self._launch,
            "time": self._time,
            "upload": lambda request: self._files.write(request["name"], self._take()),
            "download": lambda request: self._replies.append(self._files.read(request["name"])),
            "remove": lambda request: self._files.remove(request["name"]),
            "list": lambda request: self._files.list(),
        }

    def serve(self) -> None:
        """Say what there is to run kernels on, then carry out batches until the host closes the stream."""
        try:
            description = self._open()
        except DeviceProblem as problem:
            self._connection.send({"error": problem.answer()})
            return
        self._connection.send({"ok": description})
        while True:
            try:
                text, self._lengths = self._connection.receive_head()
                answer = self._carry_out(_recall(text) if len(text) <= _REMEMBERED_BYTES else _read(text))
                self._connection.send(answer, self._replies)
            except StreamClosed:
                return
            except WireError as error:
                # Where the next frame begins nobody knows.
                sys.stderr.write(f"the host sent what is no batch: {error}\n")
                return
            self._replies = []
            for block in self._dropped:
                self._backend.free(block)
            self._dropped = []

    def _carry_out(self, batch: List[Any]) -> Dict[str, Any]:
        """Carry out a batch in order. After a failure only arrays are freed."""
        results: List[Any] = []
        failure: Optional[Dict[str, Any]] = None
        for position, (name, request) in enumerate(batch):
            if failure is not None and name != "free":
                continue
            try:
                results.append(self._operations[name](request))
            except DeviceProblem as problem:
                failure = dict(problem.answer(), at=position)
            except _MALFORMED as error:
                traceback.print_exc()
                text = f"{name!r:.80} failed: {type(error).__name__}: {error}"
                failure = dict(DeviceProblem("BadRequest", text).answer(), at=position)
            except MemoryError:
                failure = dict(DeviceProblem("OutOfMemory", _NO_ROOM).answer(), at=position)
        for length in self._lengths:
            self._connection.discard(length)
        answer: Dict[str, Any] = {"ok": results}
        if failure is not None:
            self._replies = []
            answer = {"error": failure}
        output = self._output.fresh()
        if output:
            answer["output"] = output
        return answer

    def _take(self) -> memoryview:
        """Read the next buffer of the batch."""
        return memoryview(self._connection.read(self._lengths.pop(0)))

    def _array(self, identity: int) -> Any:
        try:
            return self._arrays[identity]
        except KeyError:
            raise DeviceProblem("NoArray", f"array {identity} is not on the device any more") from None

    def _open(self) -> Dict[str, Any]:
        pin(self._options.get("pin", ()))
        if self._options["kind"] == "opencl":
            # Which a worker for the CPU can start without.
            from .opencl import OpenCLBackend
            from .user_cache import ensure_cache

            ensure_cache(self._options["directory"])
            self._backend = OpenCLBackend(self._options["opencl"], self._options["guard"])
        else:
            self._backend = CpuBackend(self._libraries, self._options["guard"])
        description: Dict[str, Any] = self._backend.describe()
        return description

    def _load(self, request: Dict[str, Any]) -> None:
        self._backend.load(request["key"], self._take(), request)

    def _put(self, request: Dict[str, Any]) -> None:
        self._check_new(request["id"])
        block = self._backend.allocate(self._lengths[0])
        self._arrays[request["id"]] = block
        self._receive_into(block)

    def _write(self, request: Dict[str, Any]) -> None:
        block = self._array(request["id"])
        if block.nbytes != self._lengths[0]:
            raise DeviceProblem("BadRequest", f"{self._lengths[0]} bytes for an array of {block.nbytes}")
        self._receive_into(block)

    def _receive_into(self, block: Any) -> None:
        view = self._backend.writable(block)
        self._lengths.pop(0)
        self._connection.read_into(view)
        self._backend.written(block, view)

    def _new(self, request: Dict[str, Any]) -> None:
        self._check_new(request["id"])
        nbytes, fill = request["nbytes"], request["fill"]
        if type(nbytes) is not int or nbytes < 0 or fill not in _FILLS:
            raise DeviceProblem("BadRequest", f"an array of {nbytes!r} bytes, filled with {fill!r}")
        block = self._backend.allocate(nbytes)
        self._arrays[request["id"]] = block
        if fill is not None:
            self._backend.fill(block, fill)

    def _check_new(self, identity: int) -> None:
        if type(identity) is not int or identity in self._arrays:
            raise DeviceProblem("BadRequest", f"{identity!r} cannot name a new array")

    def _get(self, request: Dict[str, Any]) -> None:
        block = self._array(request["id"])
        start, length = request.get("at", 0), request.get("nbytes", block.nbytes)
        if not 0 <= start <= start + length <= block.nbytes:
            raise DeviceProblem("BadRequest", f"bytes {start} to {start + length} of an array of {block.nbytes}")
        self._replies.append(self._backend.readable(block, start, length))

    def _free(self, request: Dict[str, Any]) -> None:
        # The memory goes when the answer is out: it may hold results. The host may also name arrays that a failed
        # batch never made.
        blocks = [self._arrays.pop(identity, None) for identity in request["ids"]]
        self._dropped += [block for block in blocks if block is not None]

    def _report_faults(self, request: Dict[str, Any]) -> None:
        """Have faults reported from now on; where that is not to be had they go without an address."""
        data = bytes(self._take())
        if self._backend.reporter is None:
            with contextlib.suppress(DeviceProblem):
                library = self._libraries.load(request["key"], data, request["linked"])
                self._backend.reporter = FaultReporter(library, self._options["report"], self._backend.fenced)

    def _launch(self, launch: Launch) -> None:
        self._backend.launch(launch, self._arrays_of(launch))

    def _time(self, request: Dict[str, Any]) -> List[Dict[str, Any]]:
        launches = [(launch, self._arrays_of(launch)) for launch in request["launches"]]
        before = {"throttled": throttle_count()}
        figures = self._backend.time(launches, request["plan"])
        found = throttled_since(before, conditions())
        return [dict(figure, conditions=found) for figure in figures]

    def _arrays_of(self, launch: Launch) -> List[Any]:
        return [self._array(argument) if argument >= 0 else None for argument in launch.arguments]


def _read(text: bytes) -> List[Tuple[str, Any]]:
    """Return the operations of a batch and their requests; what is launched or timed is read already.

    Raises
    ------
    WireError
        If it is no batch.
    """
    try:
        return [(name, _READERS.get(name, _as_it_is)(request)) for name, request in decode(text)["do"]]
    except _MALFORMED as error:
        raise WireError(f"{type(error).__name__}: {error}") from None


def _as_it_is(request: Any) -> Any:
    return request


def _read_time(request: Dict[str, Any]) -> Dict[str, Any]:
    return {"launches": [Launch(launch) for launch in request["launches"]], "plan": Plan(request["plan"])}


_READERS: Dict[str, Operation] = {"launch": Launch, "time": _read_time}


# A launch that is done again and again comes as the same bytes each time. Nobody changes what is read here.
_recall = lru_cache(_REMEMBERED)(_read)


def pin(cpus: Sequence[int]) -> None:
    """Keep this process, and the threads that it starts from now on, to some cores; none leave it free.

    Raises
    ------
    DeviceProblem
        If it cannot be.
    """
    if not cpus:
        return
    try:
        os.sched_setaffinity(0, cpus)
    except (OSError, ValueError, OverflowError, AttributeError) as error:
        listed = ", ".join(map(str, cpus))
        raise DeviceProblem("Pin", f"cannot keep to CPU {listed}: {error}") from None


def open_stream(given: socket.socket, way: str) -> socket.socket:
    """Return the stream to the host.

    Parameters
    ----------
    given : socket
        What the session handed over: a listener on a Unix socket, which is removed ("unix"), the socket over which the
        device server passes on connections ("passed"), or the stream itself ("relay").
    way : str

    Raises
    ------
    EOFError, socket.timeout
        If no stream comes.
    """
    if way == "relay":
        return given
    with given:
        given.settimeout(_STREAM_SECONDS)
        if way == "passed":
            return receive_socket(given)
        stream, _ = given.accept()
        os.unlink(given.getsockname())
    stream.setblocking(True)
    return stream


def main(arguments: List[str]) -> None:
    """Run a worker: the descriptor of the hand-over socket and the options as JSON come as arguments."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() == 1:
        sys.exit(0)  # the session died before that took effect
    be_the_first_to_go()
    options = json.loads(arguments[1])
    try:
        stream = open_stream(receive_socket(socket.socket(fileno=int(arguments[0]))), options["stream"])
    except (EOFError, socket.timeout):
        sys.exit(STREAM_CLOSED)  # the session ended before the host connected, or the host never did
    Worker(Connection(stream), options).serve()
    os._exit(STREAM_CLOSED)  # no interpreter clean-up: a library's destructors have no say in how a test ends
