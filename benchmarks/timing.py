"""Print what our timings are worth beside Google Benchmark's: ``python -m benchmarks.timing``.

Both time the same machine code: functions in C in one shared library, on the same CPU, in turns. Google Benchmark is
Debian's ``libbenchmark-dev``.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from pytest_xdevice import library_kernel
from pytest_xdevice.compile import Compiler
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Device
from pytest_xdevice.remote import Session

from .figures import Figure
from .figures import print_table
from .kernels import nothing
from .placement import Placement
from .placement import placements

ROUNDS: Final = 10
_SAMPLES: Final = 31
_SAMPLE_SECONDS: Final = 0.0002  # as ours take by default
# Function, what it gets as `n`, and the elements of each array: in the first cache, and beyond it.
_CASES: Final = (
    ("add_one", 1024, 1024),
    ("saxpy", 1024, 1024),
    ("add_one", 16384, 16384),
    ("saxpy", 16384, 16384),
    ("matmul", 64, 64 * 64),
)

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
# Arrays begin at a page, as those of a device do that end at one.
DRIVER = """
#include <benchmark/benchmark.h>
#include <algorithm>
#include <cstdlib>
extern "C" { void add_one(int, const float *, float *); void saxpy(int, const float *, float *);
             void matmul(int, const float *, float *); }
static void run(benchmark::State &state, void (*kernel)(int, const float *, float *), int n, int elements) {
    float *a = (float *)aligned_alloc(4096, elements * sizeof(float));
    float *b = (float *)aligned_alloc(4096, elements * sizeof(float));
    std::fill(a, a + elements, 1.0f);
    std::fill(b, b + elements, 0.0f);
    for (auto _ : state) kernel(n, a, b);
    free(a);
    free(b);
}
"""


@dataclass(frozen=True)
class Peers:
    """Samples of one kernel by both, in seconds per call: a list for each round."""

    ours: tuple[Sequence[float], ...]
    theirs: tuple[Sequence[float], ...]

    @property
    def ratio(self) -> float:
        """Our least sample over theirs."""
        return _least(self.ours) / _least(self.theirs)

    @property
    def median_ratio(self) -> float:
        """The same of each round, and the median over the rounds: clocks that change between rounds are in it less."""
        return statistics.median(min(ours) / min(theirs) for ours, theirs in zip(self.ours, self.theirs, strict=True))

    def figure(self, name: str) -> Figure:
        """Return what is printed."""
        return Figure(
            name,
            f"min {_least(self.ours) * 1e9:.2f} ns, CV {_spread(self.ours):.2f} %",
            f"min {_least(self.theirs) * 1e9:.2f} ns, CV {_spread(self.theirs):.2f} % by Google Benchmark: "
            f"{self.ratio:.4f}x, median of rounds {self.median_ratio:.4f}x",
        )


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


def peer_figures(compiler: Compiler, folder: Path) -> list[Figure]:
    """Time each kernel by both in turns. A round has a process of its own at both: where memory lies can be seen."""
    library, driver, place = build_library(folder), build_driver(folder), placements()[-1]
    taken: dict[tuple[str, int, int], list[tuple[Sequence[float], Sequence[float]]]] = {case: [] for case in _CASES}
    for _ in range(ROUNDS):
        with local_session(compiler) as session:
            device = session.device("cpu")
            for (name, n, elements), rounds in taken.items():
                measure = our_sampler(device, library, name, n, elements)
                measure()  # the CPU has been idle while the session opened
                rounds.append((measure(), google_samples(driver, f"{name}_{n}", place)))
    return [Peers(*zip(*rounds, strict=True)).figure(f"{name}({n})") for (name, n, _), rounds in taken.items()]


def empty_figure(session: Session) -> Figure:
    """Time a kernel that does nothing: what the loop itself takes."""
    device = session.device("cpu")
    timing = device.compile(nothing).time(device.array(np.zeros(1, np.float32)))
    return Figure("empty kernel", f"min {timing.min * 1e9:.2f} ns")


def build_library(folder: Path) -> Path:
    """Build the kernels as a shared library, by this machine's C compiler."""
    return _build("cc", folder / "libkernels.so", C_KERNELS, "kernels.c", "-shared", "-fPIC", "-march=native")


def build_driver(folder: Path) -> Path:
    """Build the program that has Google Benchmark time them; the library is beside it."""
    cases = [f"BENCHMARK_CAPTURE(run, {name}_{n}, {name}, {n}, {elements});" for name, n, elements in _CASES]
    text = "\n".join([DRIVER, *cases, "BENCHMARK_MAIN();", ""])
    libraries = (f"-L{folder}", "-lkernels", "-lbenchmark", "-lpthread", "-Wl,-rpath,$ORIGIN")
    return _build("c++", folder / "driver", text, "driver.cpp", libraries=libraries)


def our_sampler(device: Device, library: Path, name: str, n: int, elements: int) -> Callable[[], Sequence[float]]:
    """Return what measures a kernel once, as a test does."""
    function = device.compile(library_kernel(library, f"void {name}(int n, const float *a, float *b)"))
    a, b = device.array(np.ones(elements, np.float32)), device.array(np.zeros(elements, np.float32))
    return lambda: function.time(n, a, b, repeat=_SAMPLES).results


def google_samples(driver: Path, case: str, place: Placement) -> Sequence[float]:
    """Have Google Benchmark take as many samples, as long."""
    command = [
        str(driver), f"--benchmark_filter=^run/{case}$", f"--benchmark_repetitions={_SAMPLES}",
        f"--benchmark_min_time={_SAMPLE_SECONDS}", "--benchmark_format=json",
    ]  # fmt: skip
    with place.of_device():
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    runs = json.loads(found.stdout)["benchmarks"]
    return [run["real_time"] * 1e-9 for run in runs if run["run_type"] == "iteration"]


def _build(compiler: str, output: Path, text: str, name: str, *options: str, libraries: Sequence[str] = ()) -> Path:
    source = output.parent / name
    source.write_text(text)
    subprocess.run([compiler, "-O3", *options, "-o", str(output), str(source), *libraries], check=True)
    return output


def _least(rounds: Sequence[Sequence[float]]) -> float:
    return min(min(samples) for samples in rounds)


def _spread(rounds: Sequence[Sequence[float]]) -> float:
    """Return the coefficient of variation of the rounds' medians, in per cent."""
    medians = [statistics.median(samples) for samples in rounds]
    return 100 * statistics.stdev(medians) / statistics.fmean(medians)


if __name__ == "__main__":
    main()
