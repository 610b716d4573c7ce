"""What pages are made of: text, numbers and tables as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable
from collections.abc import Sequence
from typing import Final

_FILTERED_FROM: Final = 6  # rows: fewer are seen at once
_NUMBER: Final = '<td class="number"'


def text(content: object) -> str:
    """Return text as HTML that shows it as it is."""
    return html.escape(str(content))


def chip(style: str, content: str) -> str:
    """Return a word in a colour of its own, that of an outcome or of a finding."""
    return f'<span class="chip {style}">{text(content)}</span>'


def number(value: float | None, content: str) -> str:
    """Return a cell that sorts by a number; one without it comes after all others."""
    return f'{_NUMBER} data-value="{"" if value is None else repr(value)}">{text(content)}</td>'


def figure(caption: str, svg: str) -> str:
    """Return a plot with its caption."""
    return f"<figure><figcaption>{text(caption)}</figcaption>{svg}</figure>"


def table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], *, marks: Iterable[str] = (), controls: str = ""
) -> str:
    """Return a table that can be sorted, and filtered where it is long.

    Parameters
    ----------
    titles : sequence of str
    rows : sequence of sequence of str
        At least one: cells as HTML, with their ``<td>`` or without.
    marks : iterable of str
        One a row: the words that the control beside the filter chooses by.
    controls : str
        That control.
    """
    heads = "".join(map(_head, titles, zip(*rows, strict=True)))
    attributes = [f' data-marks="{text(mark)}"' for mark in marks] or [""] * len(rows)
    lines = [
        f"<tr{attribute}>{''.join(cell if cell.startswith('<td') else f'<td>{cell}</td>' for cell in row)}</tr>"
        for attribute, row in zip(attributes, rows, strict=True)
    ]
    tools = _tools(len(rows), controls)
    body = "\n".join(lines)
    return (
        f'<div class="table">{tools}<div class="scroll"><table><thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n'
        "</tbody></table></div></div>"
    )


def listed(items: Sequence[str]) -> str:
    """Return ``<details>`` below each other, filtered where they are many."""
    return f'<div class="list">{_tools(len(items))}{"".join(items)}</div>'


def notes(lines: Iterable[str]) -> str:
    """Return short texts as a list, empty where there is none."""
    items = "".join(f"<li>{text(line)}</li>" for line in lines)
    return f'<ul class="notes">{items}</ul>' if items else ""


def _tools(count: int, controls: str = "") -> str:
    """Return what is above so many rows to choose among them."""
    search = '<input type="search" placeholder="filter" aria-label="filter">' if count >= _FILTERED_FROM else ""
    return f'<p class="tools">{search}{controls}<output></output></p>' if search or controls else ""


def _head(title: str, cells: Sequence[str]) -> str:
    """Return the head of a column, above its numbers where it has any."""
    place = ' class="number"' if any(cell.startswith(_NUMBER) for cell in cells) else ""
    return f'<th scope="col"{place}><button type="button">{text(title)}</button></th>'
