"""A relay that makes another machine on loopback seem far away: ``python -m benchmarks.delay PORT MILLISECONDS``.

It is a process of its own, so that it takes no turn from what is measured. What it receives it passes on after half a
round trip, as many bytes at a time as came: no rate is limited, no order changed. A connection takes the round trip and
a half of its handshake, too.
"""

from __future__ import annotations

import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNK = 1 << 20
_SPIN_SECONDS = 0.0002  # a sleep is late by about this much


@contextmanager
def far_away(port: int, round_trip: float) -> Iterator[int]:
    """Have a port of 127.0.0.1 that leads to `port` and is `round_trip` seconds away, there and back."""
    command = [sys.executable, "-m", __name__, str(port), str(round_trip * 1e3)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def relay(port: int, one_way: float) -> None:
    """Serve connections to `port`, each way `one_way` seconds late, until the process is ended."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            near, _ = listener.accept()
            threading.Thread(target=_join, args=(near, port, one_way), daemon=True).start()


def _join(near: socket.socket, port: int, one_way: float) -> None:
    accepted = time.perf_counter()
    near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    outward: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
    # The first bytes leave when the handshake's answer is back, and the far end has the connection when they arrive.
    threading.Thread(target=_receive, args=(near, outward, accepted + 2 * one_way, one_way), daemon=True).start()
    _wait_until(accepted + 3 * one_way)
    try:
        far = socket.create_connection(("127.0.0.1", port))
    except OSError:
        near.shutdown(socket.SHUT_RDWR)
        return
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    homeward: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(far, homeward, 0.0, one_way), daemon=True).start()
    threading.Thread(target=_send, args=(homeward, near), daemon=True).start()
    _send(outward, far)


def _receive(source: socket.socket, line: queue.SimpleQueue[tuple[float, bytes]], earliest: float, late: float) -> None:
    """Put what comes on the line, with the time when it is to leave it; no bytes are the end."""
    data = b"-"
    while data:
        try:
            data = source.recv(_CHUNK)
        except OSError:
            data = b""
        line.put((max(time.perf_counter(), earliest) + late, data))


def _send(line: queue.SimpleQueue[tuple[float, bytes]], destination: socket.socket) -> None:
    while True:
        due, data = line.get()
        _wait_until(due)
        try:
            if not data:
                destination.shutdown(socket.SHUT_WR)
                return
            destination.sendall(data)
        except OSError:
            return  # that end is gone


def _wait_until(due: float) -> None:
    left = due - time.perf_counter()
    if left > _SPIN_SECONDS:
        time.sleep(left - _SPIN_SECONDS)
    while time.perf_counter() < due:
        pass


if __name__ == "__main__":
    relay(int(sys.argv[1]), float(sys.argv[2]) / 2e3)
