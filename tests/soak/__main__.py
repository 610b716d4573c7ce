"""``python -m tests.soak --tests 10000`` in one session, ``--sessions 1000`` on one server, beside a stranger.

A stranger fails to authenticate ten times a second meanwhile. Prints what the server has of the machine before, during
and after, and fails when it has more at the end than at the beginning.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from pytest_xdevice import dim
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from tests.faults.kernels import add_one
from tests.harness.certificate import make_certificate
from tests.harness.server import DeviceServer
from tests.harness.server import module_command
from tests.harness.server import running_server
from tests.soak.stranger import Stranger
from tests.soak.usage import Usage
from tests.soak.usage import usage

SETTLE_SECONDS = 20.0  # in which connections of strangers that say nothing are closed, and refusals are over
WARM_UP = 5  # sessions, before what a server has counts
n = dim("n")


def main() -> int:
    """Run; return 1 when something is left."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--tests", type=int, default=0, help="tests in one session")
    parser.add_argument("--sessions", type=int, default=0, help="sessions, one after the other")
    parser.add_argument("--strangers", type=float, default=10.0, metavar="RATE", help="attempts a second, 0 for none")
    parser.add_argument("--tls", action="store_true", help="speak TLS")
    options = parser.parse_args()
    if not options.tests and not options.sessions:
        parser.error("give --tests, --sessions or both")
    with tempfile.TemporaryDirectory(prefix="xdevice-soak-") as folder:
        return run(Path(folder), options)


def run(folder: Path, options: argparse.Namespace) -> int:
    """Start a server with a folder of its own for temporary files, and put it through what was asked for."""
    temporary = folder / "tmp"
    temporary.mkdir()
    os.environ["TMPDIR"] = str(temporary)  # the server's; this process has chosen its own already
    certificate = make_certificate(folder) if options.tls else None
    with running_server(module_command(), folder, *(certificate.options if certificate else [])) as server:
        fingerprint = certificate.fingerprint if certificate else None
        settings = Settings(token_file=server.token_file, tls_fingerprint=fingerprint)

        def connect() -> Session:
            return Session.open(DeviceConfig("soak", server.address), settings)

        for _ in range(WARM_UP):
            one_session(connect)
        before = settled(server, temporary, None)
        print(f"before: {before}", flush=True)
        with strangers(server, options.strangers):
            many_tests(connect, options.tests, lambda: usage(server, temporary))
            many_sessions(connect, options.sessions, lambda: usage(server, temporary))
        after = settled(server, temporary, before)
        print(f"after:  {after}; the log has {len(server.service.output.splitlines())} lines", flush=True)
        return int(after.exceeds(before))


def many_tests(connect: Callable[[], Session], count: int, look: Callable[[], Usage]) -> None:
    """Run tests in one session as the fixture does: a device each, whose arrays are freed."""
    if not count:
        return
    session = connect()
    values, began = np.arange(1000, dtype=np.float32), time.perf_counter()
    for number in range(1, count + 1):
        device = session.device("cpu")
        np.testing.assert_array_equal(device.run(add_one, values), values + 1)
        device.upload(b"data", "file")
        device.array(values)
        device.remove("file")
        device.release()
        if number % max(1, count // 4) == 0:
            print(f"  {number} tests, {time.perf_counter() - began:.0f} s: {look()}", flush=True)
    session.close()


def many_sessions(connect: Callable[[], Session], count: int, look: Callable[[], Usage]) -> None:
    """Open sessions one after the other, each with a test."""
    began = time.perf_counter()
    for number in range(1, count + 1):
        one_session(connect)
        if number % max(1, count // 4) == 0:
            print(f"  {number} sessions, {time.perf_counter() - began:.0f} s: {look()}", flush=True)


def one_session(connect: Callable[[], Session]) -> None:
    """Open a session, run a test, close it."""
    session = connect()
    try:
        device = session.device("cpu")
        np.testing.assert_array_equal(device.run(add_one, np.zeros(8, np.float32)), np.ones(8, np.float32))
    finally:
        session.close()


@contextmanager
def strangers(server: DeviceServer, rate: float) -> Iterator[None]:
    """Have a stranger fail at the server meanwhile, from the same address as the host."""
    if not rate:
        yield
        return
    stranger = Stranger(server.address, rate)
    stranger.start()
    try:
        yield
    finally:
        stranger.stop()
        print(f"  a stranger failed {stranger.attempts} times", flush=True)


def settled(server: DeviceServer, temporary: Path, before: Usage | None) -> Usage:
    """Return what the server has once it has nothing more to give back, or after a while."""
    deadline = time.monotonic() + SETTLE_SECONDS
    now = usage(server, temporary)
    while time.monotonic() < deadline:
        time.sleep(0.5)
        last, now = now, usage(server, temporary)
        if last == now and now.processes == 0 and (before is None or not now.exceeds(before)):
            break
    return now


if __name__ == "__main__":
    sys.exit(main())
