"""A session's start and whole tests on a device that is 20 ms away: what counts is the number of round trips."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator

from pytest_xdevice.compile import Compiler

from .cold import cold_test
from .delay import far_away
from .figures import Figure
from .figures import median_seconds
from .launches import warm_test
from .plain_socket import echo_process
from .sessions import count_exchanges
from .sessions import loopback_server
from .sessions import Server

ROUND_TRIP = 0.020  # seconds
AT = f"{ROUND_TRIP * 1e3:.0f} ms"


def distance_figures(compiler: Compiler) -> Iterator[Figure]:
    """Measure over a relay that delays, beside a socket's echo over the same relay."""
    with echo_process(ROUND_TRIP) as echo:

        def turn() -> None:
            echo.sendall(b"x" * 200)
            echo.recv(4096)

        turn()  # a connection that is new is slower
        peer = median_seconds(turn, 50)
    with loopback_server() as server, far_away(server.port, ROUND_TRIP) as port:
        yield _start(server, compiler, port)
        with contextlib.closing(server.open(compiler, port)) as session:
            test = warm_test(session)
            exchanges = count_exchanges(test)
            seconds = median_seconds(test, 50)
            yield _figure("test, warm", seconds, peer, f"{exchanges} round trip")
            seconds, exchanges = cold_test(session)
            yield _figure("test, new kernel", seconds, peer, f"{exchanges} round trip")


def _start(server: Server, compiler: Compiler, port: int) -> Figure:
    """Measure from nothing to a worker that takes work, here and from afar in turns."""
    samples = [[_seconds_to_start(server, compiler, each) for each in (server.port, port)] for _ in range(9)]
    near, far = (statistics.median(side) for side in zip(*samples, strict=True))
    return Figure(f"session's start, {AT} away", f"{far * 1e3:.0f} ms", f"{near * 1e3:.0f} ms on loopback")


def _seconds_to_start(server: Server, compiler: Compiler, port: int) -> float:
    start = time.perf_counter()
    with contextlib.closing(server.open(compiler, port)) as session:
        session.worker("cpu")
        return time.perf_counter() - start


def _figure(what: str, seconds: float, peer: float, note: str) -> Figure:
    return Figure(
        f"{what}, {AT} away",
        f"{seconds * 1e3:.1f} ms, {note}",
        f"{peer * 1e3:.1f} ms socket echo: {seconds / peer:.2f}x",
    )
