"""The peer of every figure that goes over a network: the same bytes over a plain socket."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import nullcontext

import numpy as np

from .delay import far_away
from .figures import median_seconds


@contextmanager
def echo_process(round_trip: float = 0.0) -> Iterator[socket.socket]:
    """Have a plain socket whose other end, in a process of its own, sends back what it receives.

    Parameters
    ----------
    round_trip : float
        Seconds that it is away, there and back.
    """
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); "
        "c, _ = s.accept(); c.setsockopt(6, 1, 1)\n"
        "while True:\n    data = c.recv(65536)\n    if not data: break\n    c.sendall(data)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with (
            far_away(port, round_trip) if round_trip else nullcontext(port) as nearest,
            socket.create_connection(("127.0.0.1", nearest)) as sock,
        ):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield sock


def plain_socket_seconds(values: np.ndarray) -> float:
    """Return the seconds that a plain socket takes to move `values` to a thread that only receives."""
    listener = socket.create_server(("127.0.0.1", 0))
    target = memoryview(bytearray(values.nbytes))

    def receive(connection: socket.socket) -> None:
        for _ in range(7):
            done = 0
            while done < values.nbytes:
                done += connection.recv_into(target[done:])
            connection.sendall(b"k")

    with socket.create_connection(listener.getsockname()) as sock, listener:
        accepted, _ = listener.accept()
        thread = threading.Thread(target=receive, args=(accepted,))
        thread.start()

        def move() -> None:
            sock.sendall(values)
            sock.recv(1)

        seconds = median_seconds(move, 7)
        thread.join()
        accepted.close()
    return seconds
