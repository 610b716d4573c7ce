"""Print what our timings are worth beside Google Benchmark's: ``python -m benchmarks.timing``.

All time the same machine code on the same CPU, in turns, as many calls a sample: kernels in C, by the entry that a
device is given. What calls a function of some tens of nanoseconds is part of what it takes, presumably by the branches
that the processor foresees and the stores that are still on their way: three loops in plain C that call the same saxpy
over 1024 elements, one of them by such an entry, took 38, 43 and 45 ns a call. Google Benchmark is Debian's
``libbenchmark-dev``; TVM's ``time_evaluator``, whose entries are its own, is there too where `apache-tvm` is installed.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import TYPE_CHECKING

import numpy as np

from pytest_xdevice import c_kernel
from pytest_xdevice.compile import Compiler
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Device
from pytest_xdevice.remote import Session
from pytest_xdevice.sources.c import CKernel
from pytest_xdevice.timing import Timing

from .figures import Figure
from .figures import print_table
from .kernels import nothing
from .placement import Placement
from .placement import placements

if TYPE_CHECKING:
    from .tvm.evaluator import Evaluator

ROUNDS: Final = 10
_SAMPLES: Final = 31
# Function, what it gets as `n`, and the elements of each array: in the first cache, and beyond it. None fill it to the
# last line, where chance decides what else of the process is in it.
_CASES: Final = (
    ("add_one", 1024, 1024),
    ("saxpy", 1024, 1024),
    ("add_one", 16384, 16384),
    ("saxpy", 16384, 16384),
    ("matmul", 48, 48 * 48),
)
_NAMES: Final = ("add_one", "saxpy", "matmul")

C_KERNELS = """
void add_one(int n, const float *restrict a, float *restrict b) {
    for (int i = 0; i < n; i++) b[i] = a[i] + 1.0f;
}
void saxpy(int n, const float *restrict a, float *restrict b) {
    for (int i = 0; i < n; i++) b[i] = 0.5f * a[i] + b[i];
}
void matmul(int n, const float *restrict a, float *restrict b) {
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) b[i * n + j] = 0.0f;
        for (int k = 0; k < n; k++)
            for (int j = 0; j < n; j++) b[i * n + j] += a[i * n + k] * a[k * n + j];
    }
}
"""
# Arrays begin at a page, as those of a device do that end at one. CALLS are those of a sample: left to itself Google
# Benchmark takes few for all of them where it was interrupted while it looked how many it needs.
DRIVER = """
#include <benchmark/benchmark.h>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
extern "C" { int64_t xd_add_one(void **); int64_t xd_saxpy(void **); int64_t xd_matmul(void **); }
static void run(benchmark::State &state, int64_t (*entry)(void **), int n, int elements) {
    float *a = (float *)aligned_alloc(4096, elements * sizeof(float));
    float *b = (float *)aligned_alloc(4096, elements * sizeof(float));
    std::fill(a, a + elements, 1.0f);
    std::fill(b, b + elements, 0.0f);
    void *args[] = {&n, a, b};
    for (auto _ : state) entry(args);
    free(a);
    free(b);
}
"""
_CASE: Final = 'BENCHMARK_CAPTURE(run, {0}_{1}, xd_{0}, {1}, {2})->Iterations(std::atol(std::getenv("CALLS")));'


@dataclass(frozen=True)
class Rounds:
    """Samples of one kernel, in seconds per call: of each round by who took them, ours first."""

    taken: Sequence[dict[str, Sequence[float]]]

    def figures(self, name: str) -> Iterator[Figure]:
        """Yield what is printed: a line on each peer."""
        ours, *peers = self.taken[0]
        for peer in peers:
            yield Figure(
                name,
                f"min {self._least(ours) * 1e9:.2f} ns, CV {self._spread(ours):.2f} %",
                f"min {self._least(peer) * 1e9:.2f} ns, CV {self._spread(peer):.2f} % by {peer}: "
                f"{self._least(ours) / self._least(peer):.4f}x, median of rounds {self._ratio(ours, peer):.4f}x",
            )

    def _least(self, who: str) -> float:
        return min(min(samples[who]) for samples in self.taken)

    def _ratio(self, ours: str, peer: str) -> float:
        """Return the ratio of the minima of a round, the median of all: clocks that change between them matter less."""
        return statistics.median(min(samples[ours]) / min(samples[peer]) for samples in self.taken)

    def _spread(self, who: str) -> float:
        """Return the coefficient of variation of the rounds' medians, in per cent."""
        medians = [statistics.median(samples[who]) for samples in self.taken]
        return 100 * statistics.stdev(medians) / statistics.fmean(medians)


def main() -> None:
    """Take and print all figures."""
    with tempfile.TemporaryDirectory() as name, contextlib.closing(Compiler(Path(name, "cache"))) as compiler:
        with local_session(compiler) as session:
            empty = empty_figure(session)
        print_table([*peer_figures(compiler, Path(name)), empty])


@contextlib.contextmanager
def local_session(compiler: Compiler) -> Iterator[Session]:
    """Have a session with this machine whose kernels keep to the CPU of the device."""
    settings = Settings(pin=min(placements()[-1].device))
    with contextlib.closing(Session.open(DeviceConfig("local", "local"), settings, compiler=compiler)) as session:
        yield session


def peer_figures(compiler: Compiler, folder: Path) -> Iterator[Figure]:
    """Time each kernel by all in turns. A round has processes of its own: where memory lies can be seen."""
    libraries = build_libraries(compiler, folder)
    driver, place, evaluator = build_driver(folder), placements()[-1], tvm_evaluator(libraries)
    taken: dict[tuple[str, int, int], list[dict[str, Sequence[float]]]] = {case: [] for case in _CASES}
    for _ in range(ROUNDS):
        with local_session(compiler) as session:
            device = session.device("cpu")
            for (name, n, elements), rounds in taken.items():
                measure = our_sampler(device, name, n, elements)
                measure()  # the CPU has been idle while the session opened
                ours = measure()
                theirs = google_samples(driver, f"{name}_{n}", ours.number, place)
                samples = {"us": ours.results, "Google Benchmark": theirs}
                if evaluator is not None:
                    with place.of_device():
                        samples["TVM"] = evaluator.samples(name, n, elements, ours.number, _SAMPLES)
                rounds.append(samples)
    for (name, n, _), rounds in taken.items():
        yield from Rounds(rounds).figures(f"{name}({n})")


def tvm_evaluator(libraries: Sequence[Path]) -> Evaluator | None:
    """Return what times the libraries' functions by TVM, or None where that is not installed."""
    if importlib.util.find_spec("tvm") is None:
        return None
    from .tvm.evaluator import Evaluator

    return Evaluator(libraries, _NAMES)


def empty_figure(session: Session) -> Figure:
    """Time a kernel that does nothing: what the loop itself takes."""
    device = session.device("cpu")
    timing = device.compile(nothing).time(device.array(np.zeros(1, np.float32)))
    return Figure("empty kernel", f"min {timing.min * 1e9:.2f} ns")


def c_kernel_of(name: str) -> CKernel:
    """Return one of the kernels in C."""
    return c_kernel(C_KERNELS, f"void {name}(int n, const float *a, float *b)")


def build_libraries(compiler: Compiler, folder: Path) -> list[Path]:
    """Write what a device is given of each kernel as a shared library: its function and its entry."""
    return [compiler.build(c_kernel_of(name)).save(folder / f"lib{name}.so") for name in _NAMES]


def build_driver(folder: Path) -> Path:
    """Build the program that has Google Benchmark time them; the libraries are beside it."""
    source, driver = folder / "driver.cpp", folder / "driver"
    source.write_text("\n".join([DRIVER, *(_CASE.format(*case) for case in _CASES), "BENCHMARK_MAIN();", ""]))
    libraries = [f"-L{folder}", *(f"-l{name}" for name in _NAMES), "-lbenchmark", "-lpthread", "-Wl,-rpath,$ORIGIN"]
    subprocess.run(["c++", "-O3", "-o", str(driver), str(source), *libraries], check=True)
    return driver


def our_sampler(device: Device, name: str, n: int, elements: int) -> Callable[[], Timing]:
    """Return what measures a kernel once, as a test does."""
    function = device.compile(c_kernel_of(name))
    a, b = device.array(np.ones(elements, np.float32)), device.array(np.zeros(elements, np.float32))
    return lambda: function.time(n, a, b, repeat=_SAMPLES)


def google_samples(driver: Path, case: str, calls: int, place: Placement) -> Sequence[float]:
    """Have Google Benchmark take as many samples, of as many calls."""
    command = [
        str(driver), f"--benchmark_filter=^run/{case}/", f"--benchmark_repetitions={_SAMPLES}",
        "--benchmark_format=json",
    ]  # fmt: skip
    with place.of_device():
        env = {**os.environ, "CALLS": str(calls)}
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env)
    runs = json.loads(found.stdout)["benchmarks"]
    return [run["real_time"] * 1e-9 for run in runs if run["run_type"] == "iteration"]


if __name__ == "__main__":
    main()
