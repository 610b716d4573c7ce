"""Every example of docs/ runs: the Python blocks of a page are one module, and its functions named test_* are tests.

Those whose fence says ``python conftest.py`` are its conftest.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(page for page in DOCS.rglob("*.md") if "```python\n" in page.read_text(encoding="utf-8"))


def module_of(page: str, fence: str = "```python") -> str:
    """Return the page's blocks of one kind on the lines that they have in it, and empty lines for all else."""
    lines: list[str] = []
    inside = False
    for line in page.splitlines():
        inside = inside and line != "```"
        lines.append(line if inside else "")
        inside = inside or line == fence
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_run(page: Path, pytester: pytest.Pytester) -> None:
    text = page.read_text(encoding="utf-8")
    module = module_of(text)
    pytester.makeconftest(module_of(text, "```python conftest.py"))
    name = re.sub(r"\W", "_", page.stem)
    pytester.makepyfile(**{f"test_{name}": module + "\n\ndef test_the_page_was_imported():\n    pass\n"})
    outcomes = pytester.runpytest_subprocess("-rs").parseoutcomes()
    assert set(outcomes) <= {"passed", "skipped"}
    assert outcomes["passed"] >= 1
