"""Print our figures beside TVM's: ``python -m benchmarks.tvm``, with the package `apache-tvm` installed.

Both sides do the same in turns, each with a server of its own on loopback, and both ends of both on the same CPUs.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import closing
from contextlib import ExitStack

from ..delay import far_away
from ..figures import Figure
from ..figures import print_table
from ..placement import Placement
from ..placement import placements
from .ours import our_server
from .side import LARGE
from .side import Server
from .side import Side

ROUND_TRIP = 0.020  # seconds
Step = Callable[[Side], None]


def near_figures(sides: tuple[Side, Side]) -> Iterator[Figure]:
    """Compare tests and transfers on loopback."""
    yield in_milliseconds("test, new kernel", *in_turns(sides, lambda side: side.cold_test(), 12))
    yield in_milliseconds("test, kernel on the device", *in_turns(sides, lambda side: side.warm_test(), 200))
    ways: tuple[tuple[str, Step], ...] = (
        ("64 MB array to the device", lambda side: side.upload()),
        ("64 MB array from the device", lambda side: side.download()),
    )
    for what, step in ways:
        ours, theirs = (LARGE.nbytes / seconds / 1e9 for seconds in in_turns(sides, step, 3))
        yield Figure(what, f"{ours:.2f} GB/s", f"TVM {theirs:.2f} GB/s: {ours / theirs:.1f}x as fast")


def launch_figure(servers: tuple[Server, Server], placement: Placement) -> Figure:
    """Compare a launch on arrays that are on the device; the servers run where the placement has them."""
    with ExitStack() as stack:
        stack.enter_context(placement.of_host())
        sides = open_both(stack, servers, (servers[0].port, servers[1].port))
        for side in sides:
            side.launch()
        ours, theirs = in_turns(sides, lambda side: side.launch(), 1500)
    return Figure(
        f"launch on resident arrays, {placement.name}",
        f"{ours * 1e6:.0f} µs",
        f"TVM {theirs * 1e6:.0f} µs: {theirs / ours:.1f}x as fast",
    )


def far_figures(servers: tuple[Server, Server]) -> Iterator[Figure]:
    """Compare a session's start and tests on a device that is 20 ms away."""
    away = f"{ROUND_TRIP * 1e3:.0f} ms away"
    with ExitStack() as stack:
        ports = [stack.enter_context(far_away(server.port, ROUND_TRIP)) for server in servers]
        samples = [[seconds_to_open(*pair) for pair in zip(servers, ports, strict=True)] for _ in range(5)]
        ours, theirs = (statistics.median(side) for side in zip(*samples, strict=True))
        yield in_milliseconds(f"session's start until a kernel is loaded, {away}", ours, theirs)
        sides = open_both(stack, servers, (ports[0], ports[1]))
        yield in_milliseconds(f"test, new kernel, {away}", *in_turns(sides, lambda side: side.cold_test(), 7))
        yield in_milliseconds(
            f"test, kernel on the device, {away}", *in_turns(sides, lambda side: side.warm_test(), 12)
        )


def open_both(stack: ExitStack, servers: tuple[Server, Server], ports: tuple[int, int]) -> tuple[Side, Side]:
    """Open a session with each server, for as long as `stack` is there."""
    ours, theirs = (
        stack.enter_context(closing(server.open(port))) for server, port in zip(servers, ports, strict=True)
    )
    return ours, theirs


def in_turns(sides: tuple[Side, Side], step: Step, number: int) -> tuple[float, float]:
    """Return the median seconds of `step` on each side, taken in turns."""
    samples: tuple[list[float], list[float]] = ([], [])
    for _ in range(number):
        for side, seconds in zip(sides, samples, strict=True):
            start = time.perf_counter()
            step(side)
            seconds.append(time.perf_counter() - start)
    return statistics.median(samples[0]), statistics.median(samples[1])


def seconds_to_open(server: Server, port: int) -> float:
    """Return the seconds from nothing to a session with a kernel loaded."""
    start = time.perf_counter()
    with closing(server.open(port)):
        return time.perf_counter() - start


def in_milliseconds(what: str, ours: float, theirs: float) -> Figure:
    """Return a figure of two durations in seconds."""
    return Figure(what, f"{ours * 1e3:.1f} ms", f"TVM {theirs * 1e3:.1f} ms: {theirs / ours:.1f}x as fast")


def main() -> None:
    """Take and print all figures."""
    try:
        from .theirs import their_server
        from .theirs import VERSION
    except ModuleNotFoundError as error:
        sys.exit(f"benchmarks.tvm: {error}: pip install --group peers")
    figures = []
    for placement in placements():
        with ExitStack() as stack:
            with placement.of_device():
                servers = (stack.enter_context(our_server()), stack.enter_context(their_server()))
            figures.append(launch_figure(servers, placement))
    with our_server() as ours, their_server() as theirs:
        with ExitStack() as stack:
            figures += near_figures(open_both(stack, (ours, theirs), (ours.port, theirs.port)))
        figures += far_figures((ours, theirs))
    print(f"beside Apache TVM {VERSION}")
    print_table(figures)


if __name__ == "__main__":
    main()
