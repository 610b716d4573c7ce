"""The failures of a run as a part of its page: what they said, what they printed, and where the errors are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from . import svg
from .elements import chip
from .elements import figure
from .elements import listed
from .elements import text
from .heat_map import mismatches
from .run import TestResult

_MOST_PICTURES: Final = 40


def failures_section(failures: Sequence[TestResult], folder: Path | None) -> str:
    """Return the failures as HTML, empty where there is none.

    Parameters
    ----------
    failures : sequence of TestResult
    folder : Path or None
        Of the page, which links to what tests left.
    """
    drawn = [test for test in failures if test.picture is not None][:_MOST_PICTURES] if svg.is_there() else []
    if not failures:
        return ""
    return listed(
        [
            _failure(test, folder, is_open=len(failures) == 1, picture=_picture(test) if test in drawn else "")
            for test in failures
        ]
    )


def anchor(test: TestResult) -> str:
    """Return the name by which links find a failure."""
    return "failure-" + text("".join(mark if mark.isalnum() else f"_{ord(mark):x}" for mark in test.id))


def _picture(test: TestResult) -> str:
    picture = test.picture
    if picture is None:
        return ""
    note = f"{picture.mismatches} mismatches in {picture.dtype}[{'×'.join(map(str, picture.shape))}]"
    note += ", on its last two dimensions the worst of the others" * (len(picture.shape) > 2)
    note += "; green: NaN or infinity alone" * picture.has_endless
    return figure(note, mismatches(picture, test.id))


def _failure(test: TestResult, folder: Path | None, *, is_open: bool, picture: str) -> str:
    blocks = [picture, _kept_link(test, folder)]
    blocks += [f"<pre>{text(test.details)}</pre>" if test.details else ""]
    blocks += [f"<h3>{text(section.title)}</h3><pre>{text(section.text)}</pre>" for section in test.sections]
    title = f"{chip(test.outcome, test.outcome)} <code>{text(test.id)}</code><br>{text(test.message)}"
    return (
        f'<details class="failure"{" open" * is_open} id="{anchor(test)}"><summary>{title}</summary>'
        f"{''.join(blocks)}</details>"
    )


def _kept_link(test: TestResult, folder: Path | None) -> str:
    """Return where a test left its kernels and arguments: a link from the page's folder, where that is known."""
    if test.kept is None:
        return ""
    shown = f"<code>{text(test.kept)}</code>"
    if folder is not None:
        shown = f'<a href="{text(_relative_url(Path(test.kept), folder))}">{shown}</a>'
    return f"<p>Kernels, arguments and a script that runs them again: {shown}</p>"


def _relative_url(path: Path, folder: Path) -> str:
    from urllib.parse import quote

    return quote(os.path.relpath(path, folder).replace(os.sep, "/")) + "/"
