"""A run as a page: one HTML file that needs no network, with styles, script and plots in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Final

from ..timing import format_bytes
from ..timing import format_seconds
from .elements import chip
from .elements import number
from .elements import table
from .elements import text
from .page_failures import anchor
from .page_failures import failures_section
from .page_timings import baseline_section
from .page_timings import roofline_section
from .page_timings import timings_section
from .run import ArtifactFacts
from .run import DeviceFacts
from .run import OpenCLFacts
from .run import OUTCOMES
from .run import RunResult
from .run import TestResult
from .usage import TITLES

_HERE: Final = Path(__file__).parent
_KEY_DIGITS: Final = 12  # tell artifacts apart; the JSON has all 64


def page(run: RunResult, folder: Path | None = None) -> str:
    """Return the page.

    Parameters
    ----------
    run : RunResult
    folder : Path, optional
        Where the page will be, so that it can link to what failed tests left.
    """
    sections = [
        ("failures", "Failures", failures_section(run.failures, folder)),
        ("devices", "Devices", _devices(run.devices) + _usage(run)),
        ("tests", "Tests", _matrix(run)),
        ("baseline", "Against the baseline", baseline_section(run)),
        ("timings", "Timings", timings_section(run)),
        ("roofline", "Roofline", roofline_section(run)),
        ("artifacts", "Artifacts", _artifacts(run.artifacts)),
        ("environment", "Environment", _environment(run)),
    ]
    shown = [section for section in sections if section[2]]
    return Template(_read("page.html")).substitute(
        style=_read("page.css"),
        script=_read("page.js"),
        state="bad" if run.failures else "good",
        counts=" ".join(chip(outcome, f"{count} {outcome}") for outcome, count in run.counts.items()) or "no tests ran",
        when=f"{text(run.started.replace('T', ' '))} · {run.seconds:.1f} s",
        links="".join(f'<a href="#{name}">{title}</a>' for name, title, _ in shown),
        sections="\n".join(
            f'<section id="{name}"><h2>{title}</h2>\n{content}</section>' for name, title, content in shown
        ),
    )


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _devices(devices: Sequence[DeviceFacts]) -> str:
    rows = [
        [
            text(found.name),
            text(found.address),
            text(found.cpu),
            number(found.cores, str(found.cores)),
            number(found.memory, format_bytes(found.memory)),
            f"<span class=long>{text(found.target)}</span>",
            f"<span class=long>{'<br>'.join(map(_opencl, found.opencl))}</span>",
            text(found.system),
            text(found.python),
        ]
        for found in devices
    ]
    titles = ["name", "address", "CPU", "cores", "memory", "target", "OpenCL", "system", "Python"]
    if not any(found.opencl for found in devices):
        column = titles.index("OpenCL")
        titles, *rows = [[*row[:column], *row[column + 1 :]] for row in (titles, *rows)]
    return table(titles, rows) if rows else ""


def _usage(run: RunResult) -> str:
    """Return what each device had to do, where there are several."""
    rows = [
        [text(name), *(number(float(cell.split()[0]), cell) for cell in cells)]
        for name, *cells in (usage.cells() for usage in run.usage)
    ]
    return table(TITLES, rows) if len(rows) > 1 else ""


def _opencl(found: OpenCLFacts) -> str:
    return text(f"{found.name}, {found.platform}, {found.version}")


def _matrix(run: RunResult) -> str:
    lanes, matrix = run.lanes, run.matrix()
    if not matrix:
        return ""
    rows = [
        [f"<code>{text(name)}</code>", *(_outcome_cell(by_lane.get(lane)) for lane in lanes)]
        for name, by_lane in matrix.items()
    ]
    outcomes = [" ".join(sorted({test.outcome for test in by_lane.values()})) for by_lane in matrix.values()]
    choices = "".join(f"<option>{outcome}</option>" for outcome in OUTCOMES if outcome in run.counts)
    controls = f'<select aria-label="outcome"><option value="">all outcomes</option>{choices}</select>'
    return table(["test", *lanes], rows, marks=outcomes, controls=controls)


def _outcome_cell(test: TestResult | None) -> str:
    if test is None:
        return "<td></td>"
    shown = chip(test.outcome, test.outcome)
    if test.outcome in ("failed", "error"):
        shown = f'<a href="#{anchor(test)}">{shown}</a>'
    title = f"{format_seconds(test.seconds)} on the host" + (f": {test.message}" if test.message else "")
    return f'<td data-value="{OUTCOMES.index(test.outcome)}" title="{text(title)}">{shown}</td>'


def _artifacts(artifacts: Sequence[ArtifactFacts]) -> str:
    rows = [
        [
            text(found.kernel + (f" ({found.threads} threads)" if found.threads != 1 else "")),
            f'<td class="lane">{text(found.device)} {text(found.kind)}</td>',
            f"<span class=long>{text(found.target)}</span>",
            number(found.size, format_bytes(found.size)),
            f'<code title="{text(found.key)}">{text(found.key[:_KEY_DIGITS])}</code>',
        ]
        for found in artifacts
    ]
    return table(["kernel", "device", "target", "size", "key"], rows) if rows else ""


def _environment(run: RunResult) -> str:
    items = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in run.environment.items())
    return f"<dl>{items}</dl>"
