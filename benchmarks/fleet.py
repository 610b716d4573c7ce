"""How much faster eight devices run the tests than one: ``python -m benchmarks.fleet``.

The devices are servers on loopback behind a relay that makes them 20 ms away. One of them is served by one process,
eight by as many workers of pytest-xdist; pytest has no other plugins. Tests of one round trip (`xdevice.run`) are run,
tests that take the same step by step, in four, and tests that launch a kernel over and over, in twenty. Beside the time
of the tests stands that of the whole command.

Eight devices are at most eight times as fast, and less where this machine has no processor time left: it also has to
be all eight devices. So the processor time that pytest's own processes take is shown, too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .delay import all_far_away
from .figures import Figure
from .figures import print_table
from .sessions import loopback_server

ROUND_TRIP: Final = 0.020  # seconds
DEVICES: Final = 8

TESTS: Final = """
import numpy as np
import pytest
from pytest_xdevice import In, Out, dim, f32, kernel, parallel

n = dim("n")

@kernel
def add_one(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] + 1.0

@pytest.mark.parametrize("number", range({tests}))
def test_add(xdevice, number):
    values = np.full(100, number, np.float32)
    {body}
    np.testing.assert_array_equal(result, values + 1)
"""
AT_ONCE: Final = "result = xdevice.run(add_one, values)"
STEP_BY_STEP: Final = """f = xdevice.compile(add_one)
    a, b = xdevice.array(values), xdevice.empty(100, np.float32)
    f(a, b)
    result = b.numpy()"""
OVER_AND_OVER: Final = STEP_BY_STEP.replace("    f(a, b)", "    for _ in range(17):\n        f(a, b)")
LENGTHS: Final = (("in one round trip", AT_ONCE), ("in four", STEP_BY_STEP), ("in twenty", OVER_AND_OVER))

# Notes, where all reports come together, when the first test began and the last one ended.
CONFTEST: Final = """
import json

class Span:
    def __init__(self):
        self.starts, self.stops = [], []

    def pytest_runtest_logreport(self, report):
        self.starts.append(report.start)
        self.stops.append(report.stop)

    def pytest_sessionfinish(self):
        with open("span.json", "w") as file:
            json.dump(max(self.stops) - min(self.starts), file)

def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Span())
"""


@dataclass(frozen=True)
class Run:
    """How long a run took, in seconds.

    Attributes
    ----------
    command, tests : float
        The whole command, and from the first test's begin to the last one's end.
    processor : float
        What pytest's processes took of the processor; not the devices.
    """

    command: float
    tests: float
    processor: float

    @classmethod
    def best(cls, runs: Sequence[Run]) -> Run:
        """Return the shortest times of several runs."""
        return cls(*(min(getattr(run, name) for run in runs) for name in cls.__annotations__))


def run_tests(folder: Path, devices: Sequence[str], workers: int) -> Run:
    """Run the tests in `folder` on `devices`, with `workers` of xdist or without it where there are none."""
    options = ["-q", "--xdevice-dist=load", f"--xdevice-token-file={folder / 'token'}"]
    options += [f"--xdevice={device}" for device in devices]
    options += ["-n", str(workers)] if workers else []
    plugins = ["pytest_xdevice.plugin", *(["xdist.plugin"] if workers else [])]
    command = [sys.executable, "-m", "pytest", *options]
    began, processor = time.perf_counter(), _processor_seconds()
    done = subprocess.run(command, cwd=folder, env=_environment(plugins), capture_output=True, text=True)
    seconds, processor = time.perf_counter() - began, _processor_seconds() - processor
    if done.returncode:
        raise SystemExit(f"the tests failed:\n{done.stdout}{done.stderr}")
    return Run(seconds, json.loads((folder / "span.json").read_text()), processor)


def fleet_figures(tests: int, rounds: int) -> Iterator[Figure]:
    """Run the tests on one device and on all, `rounds` times in turns, and return what was best of each."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "conftest.py").write_text(CONFTEST)
        devices = stack.enter_context(far_devices(folder))
        for what, body in LENGTHS:
            (folder / "test_fleet.py").write_text(TESTS.format(tests=tests, body=body))
            run_tests(folder, devices[:1], 0)  # compiles the kernel
            runs = [(run_tests(folder, devices[:1], 0), run_tests(folder, devices, DEVICES)) for _ in range(rounds)]
            one, several = (Run.best(side) for side in zip(*runs, strict=True))
            yield _figure(f"{tests} tests {what}", one.tests, several.tests)
            yield _figure("  the whole command", one.command, several.command)
            processor = f"{several.processor:.2f} s for {DEVICES} devices", f"{one.processor:.2f} s for one"
            yield Figure("  pytest's time of the processor", *processor)


@contextlib.contextmanager
def far_devices(folder: Path) -> Iterator[list[str]]:
    """Have the addresses of devices that are far away, whose token is in `folder`."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(loopback_server(folder / "token")) for _ in range(DEVICES)]
        ports = stack.enter_context(all_far_away([server.port for server in servers], ROUND_TRIP))
        yield [f"127.0.0.1:{port}" for port in ports]


def _environment(plugins: Sequence[str]) -> dict[str, str]:
    """Return an environment in which pytest has these plugins and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDEVICE", "PYTEST_"))}
    chosen = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": ",".join(plugins)}
    return {**kept, **chosen, "PYTHONDONTWRITEBYTECODE": ""}


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _figure(what: str, one: float, several: float) -> Figure:
    return Figure(what, f"{several:.2f} s on {DEVICES} devices", f"{one:.2f} s on one: {one / several:.1f}x")


def main() -> None:
    """Take and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--tests", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=1, help="of which the best counts (default %(default)s)")
    options = parser.parse_args()
    print_table(list(fleet_figures(options.tests, options.rounds)))


if __name__ == "__main__":
    main()
