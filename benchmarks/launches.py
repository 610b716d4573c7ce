"""A whole test with everything warm, and a launch on arrays that are on the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_xdevice.remote import Session

from .figures import Figure
from .figures import median_seconds
from .kernels import add_one
from .plain_socket import echo_process
from .sessions import count_exchanges


def launch_figures(session: Session) -> Iterator[Figure]:
    """Measure a whole test, a launch, and the round trips that they take."""
    device = session.device("cpu")
    values = np.ones(1024, np.float32)

    def test() -> None:
        np.testing.assert_array_equal(device.run(add_one, values), values + 1)

    test()
    reference = median_seconds(lambda: np.testing.assert_array_equal(values + 1, values + 1), 300)
    exchanges = count_exchanges(test)
    warm = median_seconds(test, 500)
    yield Figure(
        "test: run and compare, warm",
        f"{warm * 1e3:.2f} ms, {exchanges} round trip",
        f"{reference * 1e3:.2f} ms the comparison alone",
    )
    function = session.device("cpu").compile(add_one)
    a, b = device.array(values), device.empty(1024)
    with echo_process() as sock:

        def echo() -> None:
            sock.sendall(b"x" * 200)
            sock.recv(4096)

        echo_seconds = median_seconds(echo, 1000)
        launch = median_seconds(lambda: function(a, b), 1000)
        echo_seconds = min(echo_seconds, median_seconds(echo, 1000))
    yield Figure(
        "launch on resident arrays",
        f"{launch * 1e6:.0f} µs",
        f"{echo_seconds * 1e6:.0f} µs socket echo: {launch / echo_seconds:.1f}x",
    )
