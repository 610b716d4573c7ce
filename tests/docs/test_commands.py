"""The commands and options of ours that the pages name are there, and the commands are understood."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from pytest_xdevice.cli import command_parser
from pytest_xdevice.runtime.__main__ import parser as serve_parser
from tests.docs.pages import Page
from tests.docs.pages import pages


@pytest.fixture(scope="module")
def known_options(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the options of pytest with the plugin."""
    command = [sys.executable, "-m", "pytest", "--help"]
    folder = tmp_path_factory.mktemp("help")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return set(re.findall(r"--[a-z][\w-]*", done.stdout))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_options_that_a_page_names_are_there(page: Page, known_options: set[str]) -> None:
    named = set(re.findall(r"--(?:no-)?xdevice(?:-[a-z]+)*", page.text)) - {"--xdevice-"}
    assert named <= known_options


def commands(page: Page) -> list[list[str]]:
    """Return the words of each line of a page that runs `xdevice`: in blocks of shell, and where it is indented."""
    lines = [line for block in page.blocks("sh") for line in block.text.splitlines()]
    lines += [line[2:] for block in page.blocks("console") for line in block.text.splitlines() if line[:2] == "$ "]
    lines += [line[4:] for line in page.text.splitlines() if line.startswith(("    xdevice ", "    XDEVICE"))]
    words = (shlex.split(line, comments=True) for line in lines if re.match(r"(\w+=\S+ )*xdevice ", line))
    return [line[line.index("xdevice") + 1 :] for line in words]


def test_commands_of_the_pages_are_understood() -> None:
    found = [(page.name, words) for page in pages() for words in commands(page)]
    assert len(found) >= 10
    parser = command_parser()
    for name, words in found:
        try:
            serve_parser().parse_args(words[1:]) if words[0] == "serve" else parser.parse_args(words)
        except SystemExit:
            pytest.fail(f"{name}: xdevice {' '.join(words)}")
