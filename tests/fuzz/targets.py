"""Both ends of the handshake and of the frames, each fed with bytes: what comes must be taken or refused, never crash.

A target is called with a case of any bytes. It returns a word on the outcome, and lets out what should not happen.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import Any

import numpy as np

from pytest_xdevice.client import Batch
from pytest_xdevice.client import Problem
from pytest_xdevice.client import WorkerClient
from pytest_xdevice.errors import DeviceLost
from pytest_xdevice.runtime import handshake
from pytest_xdevice.runtime.wire import Connection
from pytest_xdevice.runtime.wire import StreamClosed
from pytest_xdevice.runtime.worker import Worker

TOKEN = "the token that no case knows"
NONCE = "5a" * handshake.NONCE_BYTES
REQUEST = {"purpose": "session", "client": "fuzz"}
MOST = 60_000  # bytes of a case: they fit into the buffers of a socket pair, so that one thread does
# Operations that run native code, which whoever has authenticated may do.
_NATIVE = ("load", "library", "arguments", "report_faults", "launch", "time")

Target = Callable[[bytes], str]


def _pair(data: bytes) -> tuple[socket.socket, socket.socket]:
    """Return two connected sockets; the first one receives `data` and then the end of the stream."""
    left, right = socket.socketpair()
    right.sendall(data[:MOST])
    right.shutdown(socket.SHUT_WR)
    return left, right


def handshake_of_server(data: bytes) -> str:
    """What a stranger says to a server. Nobody gets in who does not know the token."""
    left, right = _pair(data)
    with left, right:
        try:
            handshake.authenticate_client(left, TOKEN, 5.0)
        except handshake.HandshakeError:
            return "no handshake"
        except handshake.Refused:
            return "refused"
    raise AssertionError("a stranger was let in")


def handshake_of_host(data: bytes) -> str:
    """What an impostor says to a host. None is believed."""
    left, right = _pair(data)
    with left, right:
        try:
            handshake.authenticate_server(left, TOKEN, REQUEST, 5.0)
        except handshake.HandshakeError:
            return "no handshake"
        except handshake.Refused as refused:
            return "refused" if str(refused).isprintable() else "what a terminal obeys"
    raise AssertionError("an impostor was believed")


class _Silent:
    """A worker's output, where there is none: the real one empties the file that stdout is."""

    def fresh(self) -> str:
        return ""


class WorkerTarget:
    """What a host that makes mistakes sends to a worker: it answers, or leaves.

    Parameters
    ----------
    folder : str
        Where the worker keeps its files; nothing appears beside it.
    """

    def __init__(self, folder: str) -> None:
        self._outside = folder
        self._options = {
            "kind": "cpu", "guard": False, "opencl": "", "report": 2, "directory": os.path.join(folder, "session"),
            "files": os.path.join(folder, "session", "files"),
        }  # fmt: skip
        os.makedirs(str(self._options["files"]))
        left, right = socket.socketpair()
        with left, right:
            first = Worker(Connection(left), self._options)
            first._open()
        self._backend = first._backend  # its memory is for all cases

    def __call__(self, data: bytes) -> str:
        """Have a worker serve such a stream to its end."""
        left, right = _pair(data)
        with left, right:
            worker = Worker(Connection(left), self._options)
            worker._output = _Silent()  # type: ignore[assignment]
            worker._backend, worker._open = self._backend, dict  # type: ignore[method-assign]
            for name in _NATIVE:
                worker._operations[name] = _refuse
            worker.serve()
            answers = _drain(right)
            for array in worker._arrays.values():
                worker._backend.free(array)
        assert os.listdir(self._outside) == ["session"]
        assert os.listdir(self._options["directory"]) == ["files"]
        return f"{min(answers, 3)} answers"


def _refuse(request: Any) -> None:
    raise ValueError("not while fuzzing")


def _drain(sock: socket.socket) -> int:
    """Return how many whole frames there are to read."""
    sock.setblocking(False)
    connection, count = Connection(sock), 0
    sock.setblocking(False)
    try:
        while True:
            _, lengths = connection.receive(poll=False)
            for length in lengths:
                connection.discard(length)
            count += 1
    except (StreamClosed, TimeoutError):
        return count


class _NoControl:
    """A session that knows nothing of the worker."""

    def request(self, name: str, *arguments: object, **options: object) -> Any:
        raise DeviceLost("no session")


def _forget(text: str) -> None:
    """Take what is said, and do nothing with it."""


def answers_to_host(data: bytes) -> str:
    """What a worker that has gone wrong answers: results, a problem, or the end of it, as the package's own errors."""
    left, right = _pair(data)
    with left, right:
        client = WorkerClient(_NoControl(), 1, left, output=_forget, progress=_forget)  # type: ignore[arg-type]
        batch = Batch()
        batch.fetch(1, np.zeros(4, np.uint8))
        batch.fetch_file("file")
        batch.add("list")
        try:
            results = client.submit(batch)
        except Problem:
            return "problem"
        except DeviceLost:
            return "lost"
        finally:
            client.close()
    assert len(results) == 3
    assert len(batch.files) == 1
    return "results"


def seeds() -> dict[str, list[bytes]]:
    """Return for each target what it is meant to hear, for cases to be made of."""
    proof = {"request": REQUEST, "nonce": NONCE, "mac": "0" * 64}
    greeting = handshake.VERSION + b" " + NONCE.encode() + b"\n"
    answers = ({"ok": True, "mac": "0" * 64}, {"error": "the token does not match"})
    batches = [
        frame({"do": [["new", {"id": 1, "nbytes": 16, "fill": 255}], ["get", {"id": 1, "at": 4, "nbytes": 8}]]}),
        frame({"do": [["put", {"id": 2}], ["write", {"id": 2}], ["free", {"ids": [2, 3]}]]}, b"abcd", b"efgh"),
        frame({"do": [["upload", {"name": "a/b"}], ["download", {"name": "a/b"}], ["list", {}]]}, b"data"),
        frame({"do": [["upload", {"name": "../x"}], ["remove", {"name": "a"}]]}, b"data"),
        frame({"do": [["launch", {"key": "k", "entry": "e", "arguments": [1], "values": "00", "timeout": 1.0}]]}),
    ]
    return {
        "handshake_of_server": [json.dumps(proof).encode() + b"\n", b"GET / HTTP/1.1\r\n\r\n"],
        "handshake_of_host": [greeting + json.dumps(answer).encode() + b"\n" for answer in answers],
        "worker": [*batches, b"".join(batches)],
        "answers_to_host": [
            frame({"ok": [None, None, ["file"]], "output": "said"}, b"abcd", b"contents"),
            frame({"error": {"kind": "FileError", "message": "no such file", "at": 1}}),
        ],
    }


def frame(head: dict[str, Any], *buffers: bytes) -> bytes:
    """Return a frame as it travels."""
    left, right = socket.socketpair()
    with left, right:
        Connection(left).send(head, buffers)
        left.close()
        return b"".join(iter(lambda: right.recv(1 << 16), b""))


def targets(folder: str) -> dict[str, Target]:
    """Return all targets by name."""
    return {
        "handshake_of_server": handshake_of_server,
        "handshake_of_host": handshake_of_host,
        "worker": WorkerTarget(folder),
        "answers_to_host": answers_to_host,
    }
