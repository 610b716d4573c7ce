"""A relay that makes other machines on loopback seem far away: ``python -m benchmarks.delay MILLISECONDS PORT...``.

It is a process of its own, so that it takes no turn from what is measured, and one for however many machines, so that
it takes little processor time. What it receives it passes on after half a round trip, as many bytes at a time as came:
no rate is limited, no order changed. A connection takes the round trip and a half of its handshake, too.
"""

from __future__ import annotations

import ctypes
import heapq
import itertools
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field
from functools import partial

_CHUNK = 1 << 20
_PR_SET_TIMERSLACK = 29  # <sys/prctl.h>; else a sleep is late by 50 us more


@contextmanager
def far_away(port: int, round_trip: float) -> Iterator[int]:
    """Have a port of 127.0.0.1 that leads to `port` and is `round_trip` seconds away, there and back."""
    with all_far_away([port], round_trip) as (far,):
        yield far


@contextmanager
def all_far_away(ports: Sequence[int], round_trip: float) -> Iterator[list[int]]:
    """Have a port of 127.0.0.1 that is far away for each of `ports`."""
    command = [sys.executable, "-m", __name__, str(round_trip * 1e3), *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield [int(process.stdout.readline()) for _ in ports]
        finally:
            process.terminate()


@dataclass
class _Way:
    """One direction of a connection: what came, each with the time when it is to leave; no bytes are the end."""

    source: socket.socket
    destination: socket.socket | None
    earliest: float = 0.0
    waiting: deque[tuple[float, memoryview]] = field(default_factory=deque)


class Relay:
    """Passes on what comes, `one_way` seconds late, in one thread."""

    def __init__(self, one_way: float) -> None:
        self._one_way = one_way
        self._readers: dict[socket.socket, Callable[[], None]] = {}
        self._writers: dict[socket.socket, Callable[[], None]] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []  # a heap
        self._order = itertools.count()

    def lead_to(self, port: int) -> int:
        """Return a new port that leads to another one."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._readers[listener] = partial(self._accept, listener, port)
        number: int = listener.getsockname()[1]
        return number

    def run(self) -> None:
        """Serve connections until the process is ended."""
        while True:
            # Not epoll, whose time-outs are whole milliseconds.
            seconds = max(0.0, self._due[0][0] - time.perf_counter()) if self._due else None
            readable, writable, _ = select.select([*self._readers], [*self._writers], [], seconds)
            for sock in readable:
                self._readers[sock]()
            for sock in writable:
                self._writers[sock]()
            while self._due and self._due[0][0] <= time.perf_counter():
                heapq.heappop(self._due)[2]()

    def _at(self, due: float, step: Callable[[], None]) -> None:
        heapq.heappush(self._due, (due, next(self._order), step))

    def _accept(self, listener: socket.socket, port: int) -> None:
        near, _ = listener.accept()
        _tune(near)
        accepted = time.perf_counter()
        # The first bytes leave when the answer of the handshake is back; the far end has the connection when they come.
        outward = _Way(near, None, accepted + 2 * self._one_way)
        self._readers[near] = partial(self._receive, outward)
        self._at(accepted + 3 * self._one_way, partial(self._connect, outward, port))

    def _connect(self, outward: _Way, port: int) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", port))
        except OSError:
            with suppress(OSError):
                outward.source.shutdown(socket.SHUT_RDWR)
            return
        _tune(far)
        outward.destination = far
        self._readers[far] = partial(self._receive, _Way(far, outward.source))
        self._deliver(outward)

    def _receive(self, way: _Way) -> None:
        try:
            data = way.source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            del self._readers[way.source]
        due = max(time.perf_counter(), way.earliest) + self._one_way
        way.waiting.append((due, memoryview(data)))
        self._at(due, partial(self._deliver, way))

    def _deliver(self, way: _Way) -> None:
        """Send what is due, as far as the destination takes it now."""
        destination = way.destination
        if destination is None or destination in self._writers:
            return  # it is asked again when it is there, and takes more
        now = time.perf_counter()
        try:
            while way.waiting and way.waiting[0][0] <= now:
                due, data = way.waiting.popleft()
                if not data:
                    destination.shutdown(socket.SHUT_WR)
                    return
                sent = _send(destination, data)
                if sent < len(data):
                    way.waiting.appendleft((due, data[sent:]))
                    self._writers[destination] = partial(self._go_on, way)
                    return
        except OSError:
            way.waiting.clear()  # that end is gone

    def _go_on(self, way: _Way) -> None:
        assert way.destination is not None
        del self._writers[way.destination]
        self._deliver(way)


def _tune(connection: socket.socket) -> None:
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _send(destination: socket.socket, data: memoryview) -> int:
    with suppress(BlockingIOError):
        return destination.send(data)
    return 0


def main(milliseconds: str, *ports: str) -> None:
    """Print a port for each of `ports`, and relay what comes there."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    relay = Relay(float(milliseconds) / 2e3)
    for port in ports:
        print(relay.lead_to(int(port)), flush=True)
    relay.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
