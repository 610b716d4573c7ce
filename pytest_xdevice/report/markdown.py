"""A run as Markdown: for the summary of a CI step, a comment, or a file."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Final

from ..timing import format_bytes
from ..timing import format_seconds
from .figures import Change
from .figures import COUNTERS
from .figures import EVENTS
from .figures import known_columns
from .figures import TimingRow
from .run import DeviceFacts
from .run import RunResult
from .run import TestResult
from .usage import TITLES

SIGNS: Final = {"passed": "✅", "failed": "❌", "error": "💥", "skipped": "⏭️", "xfailed": "🟡", "xpassed": "🟠"}
# What is longer belongs into the page or the JSON.
_MOST_FAILURES: Final = 50
_MOST_DETAILS: Final = 6000  # characters
_MOST_ROWS: Final = 300


def markdown(run: RunResult) -> str:
    """Return a run as Markdown as GitHub and GitLab show it."""
    parts = [
        f"## xdevice: {_counts(run)}",
        _devices(run.devices),
        _usage(run),
        _failures(run),
        _matrix(run),
        _baseline(run),
        _timings(run),
        *_counted(run),
    ]
    parts.append(f"<sub>{run.started}, {run.seconds:.1f} s; {_text(run.environment.get('command', ''))}</sub>")
    return "\n\n".join(part for part in parts if part) + "\n"


def _counts(run: RunResult) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in run.counts.items()) or "no tests ran"


def _devices(devices: Sequence[DeviceFacts]) -> str:
    if not devices:
        return ""
    rows = [
        [f.name, f.cpu, str(f.cores), format_bytes(f.memory), f.target.split(" -mattr", 1)[0],
         "; ".join(f"{found.name} ({found.platform})" for found in f.opencl)]
        for f in devices
    ]  # fmt: skip
    return _table(["device", "CPU", "cores", "memory", "target", "OpenCL"], rows)


def _usage(run: RunResult) -> str:
    """Return what each device had to do, where there are several."""
    rows = [usage.cells() for usage in run.usage]
    return _table(TITLES, rows, numbers=len(TITLES) - 1) if len(rows) > 1 else ""


def _failures(run: RunResult) -> str:
    blocks = [_failure(test) for test in run.failures[:_MOST_FAILURES]]
    more = len(run.failures) - len(blocks)
    if not blocks:
        return ""
    return "\n\n".join(["### Failures", *blocks, *([f"and {more} more"] if more else [])])


def _failure(test: TestResult) -> str:
    title = f"{SIGNS[test.outcome]} <code>{_html(test.id)}</code>: {_html(test.message)}"
    text = "\n".join([test.details, *(f"--- {section.title} ---\n{section.text}" for section in test.sections)])
    if len(text) > _MOST_DETAILS:
        text = text[: _MOST_DETAILS // 2] + "\n[...]\n" + text[-_MOST_DETAILS // 2 :]
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"<details><summary>{title}</summary>\n\n{fence}text\n{text.strip()}\n{fence}\n\n</details>"


def _matrix(run: RunResult) -> str:
    lanes, rows = run.lanes, run.matrix()
    if not rows:
        return ""
    cells = [
        [f"`{_code(name)}`", *(SIGNS[by_lane[lane].outcome] if lane in by_lane else "" for lane in lanes)]
        for name, by_lane in rows.items()
    ]
    table = _table(["test", *map(_text, lanes)], cells[:_MOST_ROWS], escaped=True)
    more = f"\n\nand {len(cells) - _MOST_ROWS} more" if len(cells) > _MOST_ROWS else ""
    return f"<details{' open' * (len(cells) <= 30)}><summary>Tests</summary>\n\n{table}{more}\n\n</details>"


def _timings(run: RunResult) -> str:
    if not run.timings:
        return ""
    rows = [TimingRow.of(timing) for timing in run.timings[:_MOST_ROWS]]
    cells = [
        [row.lane, row.kernel, row.shape, format_seconds(row.median), format_seconds(row.least),
         format_seconds(row.stdev), row.gigabytes, row.gigaflops]
        for row in rows
    ]  # fmt: skip
    titles = ["device", "kernel", "shape", "median", "min", "stdev", "GB/s", "GFLOP/s"]
    doubts = "".join(f"\n- ⚠️ {_text(line)}" for line in run.disturbances)
    return "### Timings\n\n" + _table(titles, cells, numbers=5) + (doubts and f"\n{doubts}")


def _baseline(run: RunResult) -> str:
    found = [change for change in map(Change.of, run.timings) if change is not None]
    if not found:
        return ""
    cells = [
        [change.row.lane, change.row.kernel, change.row.shape, change.finding, format_seconds(change.row.median),
         "" if change.before is None else format_seconds(change.before),
         "" if change.ratio is None else f"{change.ratio:.3f}"]
        for change in found[:_MOST_ROWS]
    ]  # fmt: skip
    titles = ["device", "kernel", "shape", "finding", "median", "before", "times as long"]
    return "### Against the baseline\n\n" + _table(titles, cells, numbers=3)


def _counted(run: RunResult) -> Iterator[str]:
    """Yield a table of what the processor counted, and one of where the time of OpenCL launches went, where known."""
    rows = [TimingRow.of(timing) for timing in run.timings[:_MOST_ROWS]]
    for title, every, found in (
        ("Counted for each call", COUNTERS, [row.counters for row in rows]),
        ("Where the time of an OpenCL launch went", EVENTS, [row.events for row in rows]),
    ):
        columns = known_columns(every, found)
        if columns:
            cells = [
                [row.lane, row.kernel, row.shape, *(column.cell(figures) for column in columns)]
                for row, figures in zip(rows, found, strict=True)
                if figures
            ]
            titles = ["device", "kernel", "shape", *(column.title for column in columns)]
            table = _table(titles, cells, numbers=len(columns))
            yield f"<details><summary>{title}</summary>\n\n{table}\n\n</details>"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0, escaped: bool = False) -> str:
    """Return a table whose last `numbers` columns are set to the right."""
    rules = ["---"] * (len(titles) - numbers) + ["--:"] * numbers
    cells = [row if escaped else [_text(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in (titles, rules, *cells))


def _text(text: str) -> str:
    """Return text as it is to be read, whatever Markdown would make of it."""
    return re.sub(r"([\\`*_{}\[\]<>|#~])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    return text.replace("`", "'").replace("|", "\\|").replace("\n", " ")


def _html(text: str) -> str:
    import html

    return html.escape(text, quote=False).replace("\n", " ")
