"""How much faster eight devices run the tests than one: ``python -m benchmarks.fleet``.

The devices are servers on loopback behind relays that make them 20 ms away. Each of 400 tests runs a kernel once, in one
round trip. One device is served by one process without pytest-xdist; eight by as many workers.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .delay import far_away
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
    for _ in range({launches}):
        b = xdevice.run(add_one, np.full(100, number, np.float32))
    np.testing.assert_array_equal(b, np.full(100, number + 1, np.float32))
"""

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
    """How long a run took: the whole command, and from the first test's begin to the last one's end, in seconds."""

    command: float
    tests: float


def run_tests(folder: Path, devices: Sequence[str], workers: int) -> Run:
    """Run the tests in `folder` on `devices`, with `workers` of xdist or without it where there are none."""
    plugins = ["-p", "no:benchmark", "-p", "no:hypothesispytest"]
    options = ["-q", *plugins, "--xdevice-dist=load", f"--xdevice-token-file={folder / 'token'}"]
    options += [f"--xdevice={device}" for device in devices]
    options += ["-n", str(workers)] if workers else ["-p", "no:xdist"]
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=folder, env=_environment(), capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"the tests failed:\n{done.stdout}{done.stderr}")
    return Run(seconds, json.loads((folder / "span.json").read_text()))


def fleet_figures(tests: int, launches: int, rounds: int) -> list[Figure]:
    """Run the tests on one device and on all, `rounds` times in turns, and return what was best of each."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "test_fleet.py").write_text(TESTS.format(tests=tests, launches=launches))
        (folder / "conftest.py").write_text(CONFTEST)
        devices = [_start_device(stack, folder) for _ in range(DEVICES)]
        run_tests(folder, devices[:1], 0)  # compiles the kernel
        one, all_of_them = [], []
        for _ in range(rounds):
            one.append(run_tests(folder, devices[:1], 0))
            all_of_them.append(run_tests(folder, devices, DEVICES))
    return [
        _figure("the tests", min(run.tests for run in one), min(run.tests for run in all_of_them)),
        _figure("the whole command", min(run.command for run in one), min(run.command for run in all_of_them)),
    ]


def _start_device(stack: contextlib.ExitStack, folder: Path) -> str:
    server = stack.enter_context(loopback_server(folder / "token"))
    return f"127.0.0.1:{stack.enter_context(far_away(server.port, ROUND_TRIP))}"


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDEVICE", "PYTEST_"))}
    return {**kept, "PYTHONDONTWRITEBYTECODE": ""}


def _figure(what: str, one: float, several: float) -> Figure:
    return Figure(what, f"{several:.2f} s on {DEVICES} devices", f"{one:.2f} s on one: {one / several:.1f}x")


def main() -> None:
    """Take and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--tests", type=int, default=400)
    parser.add_argument("--launches", type=int, default=1, help="round trips of a test (default 1)")
    parser.add_argument("--rounds", type=int, default=3, help="of which the best counts (default 3)")
    options = parser.parse_args()
    print(f"{options.tests} tests of {options.launches} round trip(s), {ROUND_TRIP * 1e3:.0f} ms each")
    print_table(fleet_figures(options.tests, options.launches, options.rounds))


if __name__ == "__main__":
    main()
