"""A device server on loopback, a session with it, and how often a step turns to it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pytest_xdevice.client import WorkerClient
from pytest_xdevice.compile import Compiler
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session


@dataclass(frozen=True)
class Server:
    """A device server on loopback that runs."""

    port: int
    token_file: Path

    def open(self, compiler: Compiler, port: int | None = None) -> Session:
        """Open a session with it, through another port that leads to it if one is given."""
        config = DeviceConfig("loopback", f"127.0.0.1:{port or self.port}")
        return Session.open(config, Settings(token_file=self.token_file), compiler=compiler)


@contextmanager
def loopback_server(token_file: Path | None = None) -> Iterator[Server]:
    """Have a device server on loopback, whose token is in a file of its own if none is given."""
    with tempfile.TemporaryDirectory() as folder:
        token = token_file or Path(folder, "token")
        command = [sys.executable, "-m", "pytest_xdevice.runtime", "--port", "0", "--token-file", str(token)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            try:
                yield Server(int(process.stdout.readline().rpartition(":")[2]), token)
            finally:
                process.terminate()


@contextmanager
def loopback_session(compiler: Compiler) -> Iterator[Session]:
    """Have a session with a device server on loopback."""
    with loopback_server() as server, contextlib.closing(server.open(compiler)) as session:
        yield session


def count_exchanges(step: Callable[[], object]) -> int:
    """Return how many request and answer turns `step` takes on the stream."""
    count = 0
    original = WorkerClient._exchange

    def counted(self: WorkerClient, *arguments: object) -> object:
        nonlocal count
        count += 1
        return original(self, *arguments)  # type: ignore[arg-type]

    WorkerClient._exchange = counted  # type: ignore[assignment, method-assign]
    try:
        step()
    finally:
        WorkerClient._exchange = original  # type: ignore[method-assign]
    return count
