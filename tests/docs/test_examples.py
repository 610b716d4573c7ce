"""Every example of docs/ and the README runs: Python blocks as tests, console blocks in a shell, their output compared.

Blocks in ``sh`` are for machines that are not here, such as a board: the shell has to understand them, and the commands
and options of ours in them have to be there (``test_commands.py``).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.docs.console import Console
from tests.docs.pages import FILES
from tests.docs.pages import Page
from tests.docs.pages import pages
from tests.harness.sshd import Sshd

WITH_PYTHON = [page for page in pages() if page.module in page.files()]
WITH_CONSOLE = [page for page in pages() if page.blocks("console")]


def write(page: Page, folder: Path) -> None:
    """Write the files of a page."""
    for name, text in page.files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_the_python_blocks_run(page: Page, pytester: pytest.Pytester) -> None:
    write(page, pytester.path)
    with pytester.path.joinpath(page.module).open("a", encoding="utf-8") as module:
        module.write("\n\ndef test_the_page_was_imported():\n    pass\n")
    outcomes = pytester.runpytest_subprocess("-rs", page.module).parseoutcomes()
    # Where this machine has no OpenCL, [opencl] says so in a skip.
    assert set(outcomes) <= {"passed", "skipped"}
    assert outcomes["passed"] >= 1


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_a_file_of_tests_is_run_by_what_stands_below_it(page: Page) -> None:
    named = {name for name in page.files() if name.startswith("test_") and name != page.module}
    assert not named or page.blocks("console"), f"no console block runs {named}"


@pytest.mark.parametrize("page", WITH_CONSOLE, ids=lambda page: page.name)
def test_the_console_blocks_do_what_they_show(page: Page, sshd: Sshd, tmp_path: Path) -> None:
    if page.module in page.files():
        (tmp_path / page.module).write_text(page.files()[page.module], encoding="utf-8")
    with Console(tmp_path, sshd) as console:
        for block in page.blocks("console", *FILES):
            if block.language == "console":
                console.run(block)
            elif block.word:
                tmp_path.joinpath(block.word).write_text(block.text + "\n", encoding="utf-8")


@pytest.mark.parametrize("page", [page for page in pages() if page.blocks("sh")], ids=lambda page: page.name)
def test_the_shell_understands_the_blocks_for_other_machines(page: Page) -> None:
    for block in page.blocks("sh"):
        done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{page.name}:{block.line}: {done.stderr}"
