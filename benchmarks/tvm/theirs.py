"""TVM's side: its Python RPC server in a process of its own, and a session with it."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tvm
from tvm import rpc
from tvm import te

from .side import LARGE
from .side import SIZE

VERSION = tvm.__version__
_numbers = itertools.count(1)


class Theirs:
    """A session of TVM's."""

    def __init__(self, port: int, folder: Path) -> None:
        self._folder = folder
        self._remote = rpc.connect("127.0.0.1", port)
        self._device = self._remote.cpu()
        self._values = np.arange(SIZE, dtype=np.float32)
        self._function = self._load("add_one", 1.0)
        self._a, self._b = self._array(self._values), self._array(np.zeros_like(self._values))
        self._large: Any = None

    def cold_test(self) -> None:
        number = next(_numbers)
        self._check(self._load(f"fresh_{os.getpid()}_{number}", float(number)), number)

    def warm_test(self) -> None:
        self._check(self._function, 1)

    def launch(self) -> None:
        self._function(self._a, self._b)

    def upload(self) -> None:
        if self._large is None:
            self._large = tvm.runtime.empty(LARGE.shape, "float32", self._device)
        self._large.copyfrom(LARGE)

    def download(self) -> None:
        self._large.numpy()

    def close(self) -> None:
        # Whatever lives on the device holds the session open.
        self._function = self._a = self._b = self._large = self._device = self._remote = None

    def _array(self, values: np.ndarray) -> Any:
        return tvm.runtime.tensor(values, self._device)

    def _load(self, name: str, increment: float) -> Any:
        """Compile and link a kernel unless that was done before, upload and load it."""
        path = self._folder / f"{name}.so"
        if not path.exists():
            _compile(increment).export_library(str(path))
        self._remote.upload(str(path))
        return self._remote.load_module(path.name)["kernel"]

    def _check(self, function: Any, increment: int) -> None:
        a, b = self._array(self._values), self._array(np.zeros_like(self._values))
        function(a, b)
        np.testing.assert_array_equal(b.numpy(), self._values + increment)


def _compile(increment: float) -> Any:
    a = te.placeholder((SIZE,), name="a")
    b = te.compute((SIZE,), lambda i: a[i] + increment, name="b")
    function = te.create_prim_func([a, b]).with_attr("global_symbol", "kernel")
    return tvm.compile(tvm.IRModule.from_expr(function), target="llvm")


@dataclass(frozen=True)
class TheirServer:
    """A server of TVM's."""

    port: int
    folder: Path

    def open(self, port: int) -> Theirs:
        return Theirs(port, self.folder)


@contextmanager
def their_server() -> Iterator[TheirServer]:
    """Have a server of TVM's."""
    with TemporaryDirectory() as folder, Path(folder, "log").open("wb+") as log:
        port = _free_port()
        command = [sys.executable, "-m", "tvm.exec.rpc_server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--port-end", str(port + 1)]
        with subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True) as process:
            try:
                _wait_for_line(Path(folder, "log"), process)
                yield TheirServer(port, Path(folder))
            finally:
                os.killpg(process.pid, signal.SIGKILL)  # it serves each session in a process of its own


def _wait_for_line(log: Path, process: subprocess.Popen[bytes]) -> None:
    # A connection, to see whether it is there, would count as a session.
    while "bind to" not in log.read_text():
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise RuntimeError(f"TVM's server did not start: {log.read_text()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
