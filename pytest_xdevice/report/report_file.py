"""A report that is asked for, and whether it can be written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..writable import obstacle

SUFFIXES: Final = (".html", ".json", ".md")


@dataclass(frozen=True)
class ReportFile:
    """A report that is asked for."""

    path: Path

    def obstacle(self) -> str | None:
        """Return why the file cannot be written."""
        if self.path.suffix.lower() not in SUFFIXES:
            return f"a report's name ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        return obstacle(self.path)
