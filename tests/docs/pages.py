"""The pages of the documentation, and the blocks of code in them.

The first word behind a block's fence is its language. The second is the file that it is, such as ``conftest.py``, or
for ``console`` what becomes of it: ``server`` runs until the page's end, ``fails`` ends with another status than 0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
DOCS: Final = REPOSITORY / "docs"
FILES: Final = ("python", "toml", "ini", "c")  # languages of blocks that can be files
_FENCE: Final = re.compile(r"```(?P<language>[a-z]+)(?: +(?P<word>\S+))?")


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes
    ----------
    language : str
    word : str
        What stands behind the language; often nothing.
    line : int
        The page's line, from 1, that its first line is.
    text : str
    """

    language: str
    word: str
    line: int
    text: str


@dataclass(frozen=True)
class Page:
    """A page of Markdown."""

    path: Path

    @property
    def name(self) -> str:
        """Its path without the ending, as a test's id."""
        return str(self.path.relative_to(DOCS if self.path.is_relative_to(DOCS) else REPOSITORY).with_suffix(""))

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self, *languages: str) -> list[Block]:
        """Return its blocks in these languages, in their order."""
        return [block for block in _blocks(self.text) if block.language in languages]

    @property
    def module(self) -> str:
        """The module of tests that its Python blocks without a name are, together."""
        return f"test_{re.sub(r'[^a-z0-9]', '_', self.path.stem.lower())}.py"

    def files(self) -> dict[str, str]:
        """Return the files that its blocks make: each keeps the lines that it has on the page, for messages to name."""
        parts: dict[str, list[Block]] = {}
        for block in self.blocks(*FILES):
            name = block.word or (self.module if block.language == "python" else "")
            if name:
                parts.setdefault(name, []).append(block)
        return {name: _placed(blocks) for name, blocks in parts.items()}


def pages() -> list[Page]:
    """Return all pages, the README among them."""
    return [Page(path) for path in (REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md")))]


def _blocks(text: str) -> Iterator[Block]:
    opened: re.Match[str] | None = None
    start = 0
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if opened is None:
            opened = _FENCE.fullmatch(line)
            start, lines = number + 1, []
        elif line == "```":
            yield Block(opened["language"], opened["word"] or "", start, "\n".join(lines))
            opened = None
        else:
            lines.append(line)


def _placed(blocks: list[Block]) -> str:
    lines: list[str] = []
    for block in blocks:
        lines += [""] * (block.line - 1 - len(lines)) + block.text.splitlines()
    return "\n".join(lines) + "\n"
