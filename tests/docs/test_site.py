"""The site builds without a warning, and its reference has what the code has."""

from __future__ import annotations

import html
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_xdevice
from pytest_xdevice import newhooks
from pytest_xdevice.device_tables import KEYS
from pytest_xdevice.kernel.mathtable import FUNCTIONS
from pytest_xdevice.markers import MARKERS
from pytest_xdevice.runtime import worker
from tests.docs.pages import DOCS
from tests.docs.pages import Page
from tests.docs.pages import REPOSITORY


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "dirhtml", str(DOCS), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def text_of(page: Path) -> str:
    """Return what a page says, without its markup."""
    text = html.unescape(re.sub(r"<[^>]+>", " ", page.joinpath("index.html").read_text(encoding="utf-8")))
    return " ".join(text.split())


def test_every_option_and_ini_option_is_in_the_reference(site: Path) -> None:
    help_text = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=site, capture_output=True, text=True, timeout=60, check=True
    ).stdout
    options = set(re.findall(r"^  (--(?:no-)?xdevice[a-z-]*)", help_text, re.MULTILINE))
    settings = set(re.findall(r"^  (xdevice[a-z_]*) \(", help_text, re.MULTILINE))
    assert len(options) >= 15
    assert len(settings) >= 15
    page = text_of(site / "reference" / "pytest")
    words = set(re.findall(r"[\w-]+", page))
    assert options | settings <= words


def test_every_hook_marker_and_fixture_is_in_the_reference(site: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--fixtures", "-q"]
    listed = subprocess.run(command, cwd=site, capture_output=True, text=True, timeout=60, check=False).stdout
    fixtures = re.findall(r"^(\w+).* -- .*pytest_xdevice/", listed, re.MULTILINE)
    hooks = [name for name in vars(newhooks) if name.startswith("pytest_xdevice_")]
    assert len(fixtures) >= 3
    assert len(hooks) >= 3
    page = text_of(site / "reference" / "pytest")
    assert [name for name in (*fixtures, *hooks) if name not in page] == []
    assert [text for text in MARKERS if f"@pytest.mark.{text.partition(': ')[0]}" not in page] == []


def test_every_error_and_every_function_that_makes_a_kernel_is_in_the_reference(site: Path) -> None:
    page = text_of(site / "reference" / "api")
    errors = {
        name for name in pytest_xdevice.__all__ if name.endswith(("Error", "Lost", "Crash", "Violation", "Timeout"))
    }
    assert len(errors) >= 8
    for name in (*errors, "DeviceUnreachable", "c_kernel", "llvm_kernel", "opencl_kernel", "library_kernel"):
        assert name in page, name


def test_every_function_of_the_mathematics_is_in_the_reference() -> None:
    language = Page(DOCS / "reference" / "language.md").text
    assert [name for name in FUNCTIONS if f"`{name}`" not in language] == []


def test_every_key_of_an_entry_and_every_operation_of_a_worker_is_in_the_reference() -> None:
    devices = Page(DOCS / "reference" / "devices.md").text
    assert [key for key in KEYS if f"| `{key}` |" not in devices] == []
    source = Path(worker.__file__).read_text(encoding="utf-8")
    operations = re.findall(r'^            "(\w+)": (?:self\._|lambda request)', source, re.MULTILINE)
    assert len(operations) >= 10
    wire = Page(DOCS / "reference" / "wire.md").text
    assert [name for name in operations if f"`{name}`" not in wire] == []


@pytest.mark.parametrize("page", ["ci", "security"])
def test_pages_that_are_promised_stay_where_they_are(site: Path, page: str) -> None:
    assert (DOCS / f"{page}.md").is_file()
    assert (site / page / "index.html").is_file()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_pages_outside_of_the_site_name_files_that_are_there(name: str) -> None:
    text = Page(REPOSITORY / name).text
    named = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    named += re.findall(r"`((?:docs|examples|packaging|tests)/[\w./-]+)`", text)
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


def test_pictures_are_small() -> None:
    pictures = [path for path in (DOCS / "pictures").iterdir() if path.suffix in (".png", ".svg")]
    assert len(pictures) >= 3
    assert [path.name for path in pictures if path.stat().st_size > 200_000] == []
