"""Every example of docs/ runs: the Python blocks of a page are one module, and its functions named test_* are tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "```python\n" in page.read_text(encoding="utf-8"))


def module_of(page: str) -> str:
    """Return the page's Python blocks on the lines that they have in it, and empty lines for all else."""
    lines: list[str] = []
    inside = False
    for line in page.splitlines():
        inside = inside and line != "```"
        lines.append(line if inside else "")
        inside = inside or line == "```python"
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_run(page: Path, pytester: pytest.Pytester) -> None:
    module = module_of(page.read_text(encoding="utf-8"))
    name = re.sub(r"\W", "_", page.stem)
    pytester.makepyfile(**{f"test_{name}": module + "\n\ndef test_the_page_was_imported():\n    pass\n"})
    outcomes = pytester.runpytest_subprocess("-rs").parseoutcomes()
    assert set(outcomes) <= {"passed", "skipped"}
    assert outcomes["passed"] >= 1
