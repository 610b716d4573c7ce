"""A whole test with everything warm, and a launch on arrays that are on the device."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from collections.abc import Iterator

import numpy as np

from pytest_xdevice.compile import Compiler
from pytest_xdevice.remote import Session

from .figures import Figure
from .figures import median_seconds
from .kernels import add_one
from .placement import placements
from .plain_socket import echo_process
from .sessions import count_exchanges
from .sessions import loopback_server


def warm_figure(session: Session) -> Figure:
    """Measure a whole test, and the round trips that it takes."""
    values = np.ones(1024, np.float32)
    test = warm_test(session)
    reference = median_seconds(lambda: np.testing.assert_array_equal(values + 1, values + 1), 300)
    exchanges = count_exchanges(test)
    return Figure(
        "test: run and compare, warm",
        f"{median_seconds(test, 500) * 1e3:.2f} ms, {exchanges} round trip",
        f"{reference * 1e3:.2f} ms the comparison alone",
    )


def warm_test(session: Session) -> Callable[[], None]:
    """Return what a test does with a kernel that was compiled and loaded before."""
    device = session.device("cpu")
    values = np.ones(1024, np.float32)

    def test() -> None:
        np.testing.assert_array_equal(device.run(add_one, values), values + 1)

    test()
    return test


def launch_figures(compiler: Compiler) -> Iterator[Figure]:
    """Measure a launch beside a socket's echo, both ends of both pinned alike."""
    for placement in placements():
        with contextlib.ExitStack() as stack:
            with placement.of_device():
                server = stack.enter_context(loopback_server())
                echo = stack.enter_context(echo_process())
            stack.enter_context(placement.of_host())
            session = stack.enter_context(contextlib.closing(server.open(compiler)))
            launch, peer = _interleaved(session, echo)
        yield Figure(
            f"launch on resident arrays, {placement.name}",
            f"{launch * 1e6:.0f} µs",
            f"{peer * 1e6:.0f} µs socket echo: {launch / peer:.1f}x",
        )


def _interleaved(session: Session, echo: socket.socket) -> tuple[float, float]:
    """Return the seconds of a launch and of an echo: of many short batches, taken in turns, the best medians."""
    device = session.device("cpu")
    function = device.compile(add_one)
    a, b = device.array(np.ones(1024, np.float32)), device.empty(1024)

    def turn() -> None:
        echo.sendall(b"x" * 200)
        echo.recv(4096)

    steps = (lambda: function(a, b), turn)
    batches = [[median_seconds(step, 50) for step in steps] for _ in range(40)]
    launch, peer = (min(side) for side in zip(*batches, strict=True))
    return launch, peer
