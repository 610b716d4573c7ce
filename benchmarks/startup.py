"""What the plugin costs a run that has no test of it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .figures import Figure


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
