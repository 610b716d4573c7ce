"""A run as a page: one HTML file that needs no network, with styles, script and plots in it."""

from __future__ import annotations

import html
from collections.abc import Iterable
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final

from ..timing import format_bytes
from ..timing import format_seconds
from . import plots
from .figures import TimingRow
from .run import DeviceFacts
from .run import OpenCLFacts
from .run import OUTCOMES
from .run import RunResult
from .run import TestResult
from .usage import TITLES

_HERE: Final = Path(__file__).parent
_MOST_PLOTS: Final = 40
_NO_PLOTS: Final = "Plots need matplotlib: <code>python -m pip install 'pytest-xdevice[report]'</code>"


def page(run: RunResult) -> str:
    """Return the page."""
    sections = [
        ("failures", "Failures", _failures(run.failures)),
        ("devices", "Devices", _devices(run.devices) + _usage(run)),
        ("tests", "Tests", _matrix(run)),
        ("timings", "Timings", _timings(run)),
        ("environment", "Environment", _environment(run)),
    ]
    shown = [section for section in sections if section[2]]
    return Template(_read("page.html")).substitute(
        style=_read("page.css"),
        script=_read("page.js"),
        state="bad" if run.failures else "good",
        counts=" ".join(_chip(outcome, f"{count} {outcome}") for outcome, count in run.counts.items())
        or "no tests ran",
        when=f"{_text(run.started)} · {run.seconds:.1f} s",
        links="".join(f'<a href="#{name}">{title}</a>' for name, title, _ in shown),
        sections="\n".join(
            f'<section id="{name}"><h2>{title}</h2>\n{content}</section>' for name, title, content in shown
        ),
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _text(text: object) -> str:
    return html.escape(str(text))


def _chip(outcome: str, text: str) -> str:
    return f'<span class="chip {outcome}">{_text(text)}</span>'


def _failures(failures: Sequence[TestResult]) -> str:
    drawn = [test for test in failures if test.picture is not None][:_MOST_PLOTS] if plots.is_there() else []
    return "\n".join(
        _failure(test, is_open=len(failures) == 1, picture=_picture(test) if test in drawn else "") for test in failures
    )


def _picture(test: TestResult) -> str:
    picture = test.picture
    if picture is None:
        return ""
    note = f"{picture.mismatches} mismatches in {picture.dtype}[{'×'.join(map(str, picture.shape))}]"
    note += ", on its last two dimensions the worst of the others" * (len(picture.shape) > 2)
    note += "; green: NaN or infinity alone" * picture.has_endless
    return f"<figure><figcaption>{_text(note)}</figcaption>{plots.mismatches(picture, test.id)}</figure>"


def _failure(test: TestResult, *, is_open: bool, picture: str) -> str:
    blocks = [picture]
    blocks += [f"<pre>{_text(test.details)}</pre>" if test.details else ""]
    blocks += [f"<h3>{_text(section.title)}</h3><pre>{_text(section.text)}</pre>" for section in test.sections]
    title = f"{_chip(test.outcome, test.outcome)} <code>{_text(test.id)}</code><br>{_text(test.message)}"
    return (
        f'<details class="failure"{" open" * is_open} id="{_anchor(test)}"><summary>{title}</summary>'
        f"{''.join(blocks)}</details>"
    )


def _anchor(test: TestResult) -> str:
    return "failure-" + _text("".join(mark if mark.isalnum() else f"_{ord(mark):x}" for mark in test.id))


def _devices(devices: Sequence[DeviceFacts]) -> str:
    rows = [
        [
            _text(found.name),
            _text(found.address),
            _text(found.cpu),
            _number(found.cores, str(found.cores)),
            _number(found.memory, format_bytes(found.memory)),
            f"<span class=long>{_text(found.target)}</span>",
            f"<span class=long>{'<br>'.join(map(_opencl, found.opencl))}</span>",
            _text(found.system),
            _text(found.python),
        ]
        for found in devices
    ]
    titles = ["name", "address", "CPU", "cores", "memory", "target", "OpenCL", "system", "Python"]
    return _table(titles, rows) if rows else ""


def _usage(run: RunResult) -> str:
    """Return what each device had to do, where there are several."""
    rows = [
        [_text(name), *(_number(float(text.split()[0]), text) for text in numbers)]
        for name, *numbers in (usage.cells() for usage in run.usage)
    ]
    return _table(TITLES, rows) if len(rows) > 1 else ""


def _opencl(found: OpenCLFacts) -> str:
    return _text(f"{found.name}, {found.platform}, {found.version}")


def _matrix(run: RunResult) -> str:
    lanes, matrix = run.lanes, run.matrix()
    if not matrix:
        return ""
    rows = [
        [f"<code>{_text(name)}</code>", *(_outcome_cell(by_lane.get(lane)) for lane in lanes)]
        for name, by_lane in matrix.items()
    ]
    outcomes = [" ".join(sorted({test.outcome for test in by_lane.values()})) for by_lane in matrix.values()]
    choices = "".join(f"<option>{outcome}</option>" for outcome in OUTCOMES if outcome in run.counts)
    controls = f'<select aria-label="outcome"><option value="">all outcomes</option>{choices}</select>'
    return _table(["test", *lanes], rows, marks=outcomes, controls=controls)


def _outcome_cell(test: TestResult | None) -> str:
    if test is None:
        return "<td></td>"
    chip = _chip(test.outcome, test.outcome)
    if test.outcome in ("failed", "error"):
        chip = f'<a href="#{_anchor(test)}">{chip}</a>'
    title = f"{format_seconds(test.seconds)} on the host" + (f": {test.message}" if test.message else "")
    return f'<td data-value="{OUTCOMES.index(test.outcome)}" title="{_text(title)}">{chip}</td>'


def _timings(run: RunResult) -> str:
    rows = [TimingRow.of(timing) for timing in run.timings]
    if not rows:
        return ""
    titles = [
        "kernel",
        "device",
        "shape",
        "median",
        "mean",
        "stdev",
        "min",
        "max",
        "samples",
        "GB/s",
        "GFLOP/s",
        "test",
    ]
    doubts = "".join(f"<p>Warning: {_text(line)}</p>" for line in run.disturbances)
    return doubts + _table(titles, [_timing_cells(row) for row in rows]) + _plots(rows)


def _timing_cells(row: TimingRow) -> list[str]:
    times = [_number(value, format_seconds(value)) for value in (row.median, row.mean, row.stdev, row.least, row.most)]
    return [
        _text(row.kernel),
        f'<td class="lane">{_text(row.lane)}</td>',
        _text(row.shape),
        *times,
        _number(len(row.samples), f"{len(row.samples)} × {row.number}"),
        _number(float(row.gigabytes or 0), row.gigabytes),
        _number(float(row.gigaflops or 0), row.gigaflops),
        f"<code>{_text(row.test)}</code>",
    ]


def _plots(rows: Sequence[TimingRow]) -> str:
    if not plots.is_there():
        return f"<p>{_NO_PLOTS}</p>"
    lanes = list(dict.fromkeys(row.lane for row in rows))
    kernels: dict[str, list[TimingRow]] = {}
    for row in rows:
        kernels.setdefault(row.kernel, []).append(row)
    figures = [_plot(kernel, found, lanes) for kernel, found in list(kernels.items())[:_MOST_PLOTS]]
    more = len(kernels) - len(figures)
    return f'<div class="plots">{"".join(figures)}</div>' + (
        f"<p>{more} more kernels are not drawn.</p>" if more else ""
    )


def _plot(kernel: str, rows: Sequence[TimingRow], lanes: Sequence[str]) -> str:
    more = len(rows) - plots.MOST_ROWS
    note = f" (the first {plots.MOST_ROWS} of {len(rows)} timings)" if more > 0 else ""
    drawn = plots.distributions(kernel, rows, lanes)
    return f"<figure><figcaption>{_text(kernel)}{note}</figcaption>{drawn}</figure>"


def _environment(run: RunResult) -> str:
    items = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in run.environment.items())
    return f"<dl>{items}</dl>"


def _number(value: float, text: str) -> str:
    return f'<td class="number" data-value="{value!r}">{_text(text)}</td>'


def _table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, marks: Iterable[str] = (), controls: str = ""
) -> str:
    """Return a table that can be sorted, and filtered where it is long.

    Parameters
    ----------
    titles : sequence of str
    rows : sequence of sequence of str
        Cells as HTML, with their ``<td>`` or without.
    marks : iterable of str
        One a row: the words that the control beside the filter chooses by.
    controls : str
        That control.
    """
    heads = "".join(f'<th scope="col"><button type="button">{_text(title)}</button></th>' for title in titles)
    attributes = [f' data-marks="{_text(mark)}"' for mark in marks] or [""] * len(rows)
    lines = [
        f"<tr{attribute}>{''.join(cell if cell.startswith('<td') else f'<td>{cell}</td>' for cell in row)}</tr>"
        for attribute, row in zip(attributes, rows, strict=True)
    ]
    search = '<input type="search" placeholder="filter" aria-label="filter">' if len(rows) > 5 else ""
    tools = f'<p class="tools">{search}{controls}<output></output></p>' if search or controls else ""
    body = "\n".join(lines)
    return (
        f'<div class="table">{tools}<div class="scroll"><table><thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n'
        "</tbody></table></div></div>"
    )
