"""A device server on loopback, a session with it, and how often a step turns to it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_xdevice.client import WorkerClient
from pytest_xdevice.compile import Compiler
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session


@contextmanager
def loopback_session(compiler: Compiler) -> Iterator[Session]:
    """Have a session with a device server on loopback."""
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder, "token")
        command = [sys.executable, "-m", "pytest_xdevice.runtime", "--port", "0", "--token-file", str(token)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
            assert server.stdout is not None
            address = server.stdout.readline().removeprefix("bind to ").strip()
            session = Session.open(DeviceConfig("loopback", address), Settings(token_file=token), compiler=compiler)
            yield session
            session.close()
            server.terminate()


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
