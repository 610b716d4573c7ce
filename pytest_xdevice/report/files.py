"""Writing reports to the files that are asked for, each in the format of its name."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .action_benchmark import smaller_is_better
from .markdown import markdown
from .page import page
from .report_file import ReportFile
from .run import RunResult

# A file with such a name has the timings alone, for github-action-benchmark.
_BENCHMARK: Final = ".benchmark.json"
# GitHub shows no summary of a step that is larger than 1 MiB.
_SUMMARY_BYTES: Final = 1_000_000


def text_of(file: ReportFile, run: RunResult) -> str:
    """Return a report in the format that its file's name asks for."""
    name = file.path.name.lower()
    if name.endswith(_BENCHMARK):
        return _json_text(smaller_is_better(run))
    if name.endswith(".json"):
        return _json_text(run.to_json())
    if name.endswith(".md"):
        return markdown(run)
    return page(run, file.path.parent)


def _json_text(data: object) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_all(files: Sequence[ReportFile], run: RunResult) -> list[str]:
    """Write every report, and the summary of a step on GitHub; return a line on each for the terminal."""
    lines = [_write(file, run) for file in files]
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        lines += _append_summary(Path(summary), run)
    return lines


def _write(file: ReportFile, run: RunResult) -> str:
    """Write a report whole or not at all; where that cannot be, to the folder for temporary files."""
    text = text_of(file, run)
    try:
        _replace(file.path, text)
    except OSError as error:
        fallback = Path(tempfile.mkdtemp(prefix="xdevice-report-"), file.path.name)
        try:
            _replace(fallback, text)
        except OSError as second:
            return f"xdevice report: cannot write {file.path} ({error}), nor {fallback} ({second})"
        return f"xdevice report: cannot write {file.path} ({error}); it is in {fallback} instead"
    return f"xdevice report: {file.path}"


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        "w", dir=path.parent, prefix=".xdevice-report-", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as file:
        file.write(text)
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)


def _append_summary(path: Path, run: RunResult) -> list[str]:
    data = markdown(run).encode(errors="backslashreplace")
    if len(data) > _SUMMARY_BYTES:
        data = data[:_SUMMARY_BYTES].decode(errors="ignore").rpartition("\n")[0].encode() + b"\n\n(cut)\n"
    try:
        with path.open("ab") as file:
            file.write(b"\n" + data)
    except OSError as error:
        return [f"xdevice report: cannot add to GITHUB_STEP_SUMMARY: {error}"]
    return []
