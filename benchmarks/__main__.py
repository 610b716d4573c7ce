"""Print every figure as a table: ``python -m benchmarks``.

Machines are shared and noisy, so each figure that has a peer is a ratio taken in the same run, and medians of many
short samples are used throughout.
"""

from __future__ import annotations

import ctypes
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.client import WorkerClient
from pytest_xdevice.compile import Compiler
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from pytest_xdevice.target import Target

n = dim("n")


@kernel
def add_one(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i] = a[i] + 1.0


@kernel
def nothing(a: InOut[f32, n]) -> None:
    pass


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    value: str
    peer: str = ""


def median_seconds(step: Callable[[], object], number: int) -> float:
    """Return the median duration of `step` in seconds."""
    samples = []
    for _ in range(number):
        start = time.perf_counter()
        step()
        samples.append(time.perf_counter() - start)
    return statistics.median(samples)


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


@contextmanager
def echo_process() -> Iterator[socket.socket]:
    """Have a plain socket whose other end, in a process of its own, sends back what it receives."""
    program = (
        "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); "
        "c, _ = s.accept(); c.setsockopt(6, 1, 1)\n"
        "while True:\n    data = c.recv(65536)\n    if not data: break\n    c.sendall(data)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        with socket.create_connection(("127.0.0.1", int(process.stdout.readline()))) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            yield sock


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


def cold_figure(session: Session) -> Figure:
    """Measure new kernels from source to verdict."""
    device = session.device("cpu")
    values = np.ones(1024, np.float32)
    samples, exchanges = [], 0
    for number in range(12):

        @kernel
        def fresh(a: In[f32, n], b: Out[f32, n]) -> None:
            for i in parallel(n):
                b[i] = a[i] * 2.0 + number  # noqa: B023 - a new constant, so a new kernel

        def test() -> None:
            np.testing.assert_array_equal(device.run(fresh, values), values * 2 + number)  # noqa: B023

        start = time.perf_counter()
        exchanges = max(exchanges, count_exchanges(test))
        samples.append(time.perf_counter() - start)
    return Figure(
        "test: new kernel, source to verdict", f"{statistics.median(samples) * 1e3:.1f} ms, {exchanges} round trip"
    )


def throughput_figures(session: Session) -> Iterator[Figure]:
    """Measure 64 MB arrays each way, beside a plain socket."""
    device = session.device("cpu")
    values = np.ones(16 << 20, np.float32)
    resident = device.array(values)
    resident.numpy()
    up = median_seconds(lambda: resident.copy_from(values), 7)
    down = median_seconds(resident.numpy, 7)
    plain = plain_socket_seconds(values)
    for way, seconds in (("to the device", up), ("from the device", down)):
        rate, peer = values.nbytes / seconds / 1e9, values.nbytes / plain / 1e9
        yield Figure(f"64 MB array {way}", f"{rate:.2f} GB/s", f"{peer:.2f} GB/s plain socket: {rate / peer:.2f}x")


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


_C_LOOP = """
#include <stdint.h>
#include <time.h>
static void add_one(const float *restrict a, float *restrict b, int64_t n) {
    for (int64_t i = 0; i < n; i++) b[i] = a[i] + 1.0f;
}
int64_t xd_add_one(void **args) { add_one(args[0], args[1], *(int64_t *)args[2]); return 0; }
"""


def code_figures(compiler: Compiler) -> Iterator[Figure]:
    """Measure an empty kernel, and add_one beside the same loop in C, with the same timing loop, interleaved."""
    with tempfile.TemporaryDirectory() as folder:
        ours = load(compiler, add_one, Path(folder, "add_one.so"))
        empty = load(compiler, nothing, Path(folder, "nothing.so"))
        source, library = Path(folder, "c.c"), Path(folder, "c.so")
        source.write_text(_C_LOOP)
        command = [
            "cc",
            "-O3",
            "-march=native",
            "-ffp-contract=off",
            "-shared",
            "-fPIC",
            "-o",
            str(library),
            str(source),
        ]
        subprocess.run(command, check=True)
        theirs = ctypes.CDLL(str(library)).xd_add_one
        size = ctypes.c_int64(1024)
        block = np.zeros(2 * 1024 + 32, np.float32)
        start = block.ctypes.data + (-block.ctypes.data) % 64
        args = (ctypes.c_void_p * 3)(start, start + 4096, ctypes.addressof(size))
        loop = ours.xd_time

        def sample(entry: object, calls: int) -> float:
            return float(loop(ctypes.cast(entry, ctypes.c_void_p), args, ctypes.c_int64(calls))) / calls  # type: ignore[arg-type]

        loop.restype = ctypes.c_int64
        pairs = [(sample(ours.xd_add_one, 5000), sample(theirs, 5000)) for _ in range(301)]
        mine, other = (min(side) for side in zip(*pairs, strict=True))
        yield Figure("add_one(1024) f32", f"{mine:.2f} ns", f"{other:.2f} ns cc -O3 -march=native: {mine / other:.3f}x")
        nanoseconds = min(sample(empty.xd_nothing, 100_000) for _ in range(51))
        yield Figure("empty kernel", f"{nanoseconds:.2f} ns a call")


def load(compiler: Compiler, source: object, path: Path) -> ctypes.CDLL:
    """Build a kernel for this machine and load it here."""
    compiler.build(source, Target.host()).save(path)  # type: ignore[arg-type]
    return ctypes.CDLL(str(path))


def startup_figure() -> Figure:
    """Measure what the plugin costs a run that has no test of it, the runs with and without it interleaved."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_plain.py").write_text("def test(): pass\n")
        base = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder]
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(15):
            for side, extra in enumerate(([], ["-p", "no:xdevice"])):
                start = time.perf_counter()
                subprocess.run([*base, *extra], cwd=folder, stdout=subprocess.DEVNULL, check=True)
                times[side].append(time.perf_counter() - start)
    cost = min(times[0]) - min(times[1])
    return Figure(
        "plugin's cost of start-up", f"{cost * 1e3:.1f} ms", f"{min(times[1]) * 1e3:.0f} ms pytest without it"
    )


def main() -> None:
    """Take and print all figures."""
    with tempfile.TemporaryDirectory() as cache:
        compiler = Compiler(cache)
        figures: list[Figure] = []
        with loopback_session(compiler) as session:
            figures += [*launch_figures(session), cold_figure(session), *throughput_figures(session)]
        figures += [*code_figures(compiler), startup_figure()]
        compiler.close()
    width = max(len(figure.what) for figure in figures)
    for figure in figures:
        print(f"{figure.what:<{width}}  {figure.value:<28}  {figure.peer}")


if __name__ == "__main__":
    main()
