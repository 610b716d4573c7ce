"""Draw the pictures of the README from a real run: ``python docs/pictures/draw.py``, which needs Chromium.

It runs `test_picture.py` on this machine, and writes what the terminal shows to ``terminal.svg`` and the report, as a
browser shows it, to ``report.png``.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

HERE: Final = Path(__file__).parent
COLUMNS: Final = 100
# A triple without the processor's features, whose list is as long as a picture is wide.
OPTIONS: Final = ("-p", "no:benchmark", "-p", "no:cacheprovider", "--no-header", "--color=yes", "--tb=short")
TARGET: Final = "--xdevice-target=x86_64-linux-gnu"


def main() -> None:
    """Draw both, each with one of the tests that fail, whose details the report then shows at once."""
    draw_terminal("$ pytest test_picture.py -k 'not smooth'\n" + on_a_terminal("-k", "not smooth"))
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.html")
        on_a_terminal("-k", "not blur", f"--xdevice-report={report}")
        draw_page(report)


def on_a_terminal(*options: str) -> str:
    """Return what a run of the tests writes to a terminal, with its colours."""
    command = [sys.executable, "-m", "pytest", "test_picture.py", TARGET, *OPTIONS, *options]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with subprocess.Popen(command, cwd=HERE, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        parts = []
        while part := _read(ours):
            parts.append(part)
    os.close(ours)
    assert process.returncode == 1, "one test is to fail"
    return b"".join(parts).decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # a terminal whose other end is closed
        return b""


def draw_terminal(text: str) -> None:
    """Write a terminal's text as a picture."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.from_ansi(text))
        picture = console.export_svg(title="pytest-xdevice")
    # Without the fonts that it would fetch: the page's own monospace does.
    (HERE / "terminal.svg").write_text(re.sub(r"\s*@font-face {[^}]*}", "", picture), encoding="utf-8")


def draw_page(page: Path) -> None:
    """Write a page as Chromium shows it."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1100,690"]
    subprocess.run(
        ["chromium", *options, f"--screenshot={HERE / 'report.png'}", page.as_uri()], check=True, timeout=120
    )


if __name__ == "__main__":
    main()
