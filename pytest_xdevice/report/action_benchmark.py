"""A run's timings as github-action-benchmark reads them with ``tool: customSmallerIsBetter``.

The action keeps one line a name over all runs and compares the bare values, so that names are stable and the unit is
always the same one: https://github.com/benchmark-action/github-action-benchmark.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .figures import TimingRow
from .run import RunResult


def smaller_is_better(run: RunResult) -> list[dict[str, Any]]:
    """Return an entry for each timing: its name, the median in nanoseconds per call, and the standard deviation.

    A timing whose median is no finite number is left out, since the action would take it for a figure.
    """
    rows = [TimingRow.of(timing) for timing in run.timings]
    return [
        {
            "name": name,
            "unit": "ns",
            "value": row.median * 1e9,
            "range": f"± {row.stdev * 1e9:.4g}",
            "extra": _extra(row),
        }
        for name, row in zip(_names(rows), rows, strict=True)
        if math.isfinite(row.median)
    ]


def _names(rows: Sequence[TimingRow]) -> list[str]:
    """Return a name for each timing: that of its test, with the kernel and a number where a test has several."""
    each = Counter(row.test for row in rows)
    named = [row.test if each[row.test] == 1 else f"{row.test} {row.kernel} {row.shape}".rstrip() for row in rows]
    seen: Counter[str] = Counter()
    names = []
    for name in named:
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return names


def _extra(row: TimingRow) -> str:
    parts = [f"{row.lane}: {row.kernel} {row.shape}".rstrip(), f"{len(row.samples)} × {row.number} calls"]
    parts += [f"{row.gigabytes} GB/s"] * bool(row.gigabytes) + [f"{row.gigaflops} GFLOP/s"] * bool(row.gigaflops)
    return ", ".join(parts)
