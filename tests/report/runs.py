"""A run made up for the tests of reports: two devices, all outcomes, and text that means something elsewhere."""

from __future__ import annotations

from typing import Any

from pytest_xdevice.report.picture import Picture
from pytest_xdevice.report.run import ArtifactFacts
from pytest_xdevice.report.run import DeviceFacts
from pytest_xdevice.report.run import OpenCLFacts
from pytest_xdevice.report.run import OUTCOMES
from pytest_xdevice.report.run import RunResult
from pytest_xdevice.report.run import Section
from pytest_xdevice.report.run import TestResult
from pytest_xdevice.report.run import TimingResult

NASTY = "</script><script>document.title = 'taken over'</script> a|b `c` <details> $x ${y}"
TARGET = "llvm -mtriple=aarch64-linux-gnu -mcpu=cortex-a53"
OPENCL = OpenCLFacts("Mali", "ARM", "2.0", "r18", "gpu", 4, 1 << 30)


def timing(
    kernel: str = "add_one",
    kind: str = "cpu",
    seconds: float = 1e-6,
    baseline: dict[str, Any] | None = None,
    **others: Any,
) -> TimingResult:
    """Return a measurement of 5 samples."""
    results = [seconds * factor for factor in (1.0, 1.1, 1.2, 1.0, 1.4)]
    measured = {
        "kernel": kernel, "target": TARGET, "arguments": ["a: float32[64, 32]", "alpha: 2.0"], "threads": 1,
        "results": results, "number": 10, "mean": sum(results) / 5, "median": results[1], "stdev": 0.1 * seconds,
        "min": min(results), "max": max(results), "bytes": 8192, "flops": None,
        "iqr": 0.1 * seconds, "outliers": 1, "key": "0" * 64, "processor": "Cortex-A53",
        "conditions": {"load": 0.5, "governors": ["performance"], "cpu": 3, "cores": 4, "emulator": ""},
        "counters": {"cycles": 1000.0, "instructions": None}, "counters_missing": "instructions: not allowed",
        "events": None,
    }  # fmt: skip
    return TimingResult(f"test_a.py::test_speed[rk-{kind}]", "rk", kind, {**measured, **others}, baseline)


SLOWER = {"finding": "slower", "message": f"it is slower {NASTY}", "ratio": 1.5, "before": 1e-6 / 1.5}
NEW = {"finding": "new", "message": "it is new", "ratio": None, "before": None}
COUNTED = {
    "cycles": 2000.0, "instructions": 5000.0, "cache_misses": None, "branch_misses": 0.25, "task_clock": 1e-6,
    "page_faults": 0.0, "context_switches": 0.0,
}  # fmt: skip
EVENTS = {"queue": 2e-6, "submit": 4e-5, "run": 3e-5, "wall": 9e-5}


PICTURE = Picture((2, 3), "float32", 3, (1, 1), ((0, 1, 1), (0, 0, 1)), ((None, 0.5, 100.0), (None, None, None)))


def made_up_run() -> RunResult:
    """Return the run."""
    tests = [
        TestResult(f"test_a.py::test_{outcome}[{device}-cpu]", f"test_a.py::test_{outcome}", device, "cpu", TARGET,
                   outcome, 0.25, NASTY, f"E  {NASTY}\n  2", (Section("Captured stdout call", NASTY),),
                   PICTURE if outcome == "failed" else None, f"/out/{NASTY}" if outcome == "failed" else None)
        for outcome in OUTCOMES for device in ("rk", "pi 4")
    ]  # fmt: skip
    tests.append(
        TestResult(f"test_a.py::test_host[{NASTY}]", f"test_a.py::test_host[{NASTY}]", None, None, None, "passed", 0)
    )
    return RunResult(
        started="2026-01-02T03:04:05+00:00",
        seconds=12.5,
        environment={"python": "3.11.7", "command": f"pytest -k '{NASTY}'"},
        devices=(
            DeviceFacts(
                "rk", "10.0.0.1:9090", TARGET, "Cortex-A53", 4, 1 << 30, "Linux 6.1 aarch64", "3.9.2", (OPENCL,)
            ),
            DeviceFacts("pi 4", "ssh://pi", TARGET, NASTY, 4, 4 << 30, "Linux 6.6 aarch64", "3.11.2"),
        ),
        tests=tuple(tests),
        timings=(
            timing(flops=2048),
            timing(kind="opencl", seconds=3e-5, events=EVENTS, counters=None, counters_missing="", baseline=NEW),
            timing(NASTY, flops=10**6, counters=COUNTED, counters_missing="", baseline=SLOWER),
            timing(results=[1e-9]),
        ),
        artifacts=(
            ArtifactFacts("rk", "cpu", "add_one", TARGET, 2, "0123456789abcdef" * 4, 4096),
            ArtifactFacts("rk", "opencl", NASTY, "opencl", 1, "f" * 64, 1000),
        ),
    )
