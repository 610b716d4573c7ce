"""The sdist and the wheel: what is in them, and that they work where the source tree is not."""

from __future__ import annotations

import email
import shutil
import tarfile
import zipfile
from pathlib import Path
from pathlib import PurePosixPath

import pytest

from tests.harness.server import running_server
from tests.packaging.distributions import Distributions
from tests.packaging.distributions import Environment
from tests.packaging.distributions import module
from tests.packaging.distributions import REPOSITORY

# Files of the package that are no modules; each is read at run time, or by type checkers and editors.
DATA = {
    "pytest_xdevice/devices.schema.json",
    "pytest_xdevice/py.typed",
    "pytest_xdevice/report/page.css",
    "pytest_xdevice/report/page.html",
    "pytest_xdevice/report/page.js",
    "pytest_xdevice/report/schema.json",
}
METADATA = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE", "top_level.txt"}
# What lies at the top of the sdist: with the tests, the documentation and the examples, and nothing of an editor's.
TOP = {
    ".ci", ".gitignore", ".importlinter", ".setup", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "PKG-INFO",
    "README.md", "benchmarks", "conftest.py", "docs", "examples", "noxfile.py", "packaging", "pyproject.toml",
    "pytest_xdevice", "pytest_xdevice.egg-info", "run-tests", "run-tutorial", "setup.cfg", "tests",
}  # fmt: skip


def modules() -> set[str]:
    return {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "pytest_xdevice").rglob("*.py")}


def test_the_wheel_has_the_package_and_nothing_else(distributions: Distributions) -> None:
    names = set(zipfile.ZipFile(distributions.wheel).namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    assert {name.partition("/")[2] for name in metadata} == METADATA
    assert names - metadata == modules() | DATA


def test_the_sdist_has_what_the_tests_and_the_documentation_need(distributions: Distributions) -> None:
    with tarfile.open(distributions.sdist) as archive:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()} - {PurePosixPath()}
    assert {name.parts[0] for name in names} == TOP
    assert not {name for name in names if name.suffix in (".pyc", ".so", ".pyz") or "__pycache__" in name.parts}
    assert modules() | DATA <= {str(name) for name in names}


def test_an_index_takes_both(distributions: Distributions) -> None:
    assert "PASSED" in module("twine", "check", "--strict", str(distributions.sdist), str(distributions.wheel))


def test_the_version_comes_from_tags_and_is_the_same_in_both(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        version = email.message_from_bytes(wheel.read(name))["Version"]
    assert distributions.sdist.name == f"pytest_xdevice-{version}.tar.gz"
    assert version == module("setuptools_scm", "--root", str(REPOSITORY)).strip()


def test_the_tutorial_runs_from_the_wheel(with_wheel: Environment, tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "examples" / "test_tutorial.py", tmp_path)
    found = with_wheel.run("python", "-c", "import pytest_xdevice; print(pytest_xdevice.__file__)", cwd=tmp_path)
    assert Path(found.stdout.strip()).is_relative_to(with_wheel.folder)
    result = with_wheel.run("pytest", "-q", "-rs", "test_tutorial.py", cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    outcomes = pytest.RunResult.parse_summary_nouns(result.stdout.splitlines())
    # Where this machine has no OpenCL, the tests that use it say so in a skip.
    assert set(outcomes) <= {"passed", "skipped"}
    assert outcomes["passed"] > outcomes.get("skipped", 0)


def test_the_command_of_the_wheel_bundles_a_server_that_its_doctor_reaches(
    with_wheel: Environment, oldest_python: str, tmp_path: Path
) -> None:
    assert with_wheel.run("xdevice", "bundle", "runtime.pyz", cwd=tmp_path).returncode == 0
    with running_server([oldest_python, str(tmp_path / "runtime.pyz")], tmp_path) as server:
        result = with_wheel.run("xdevice", "doctor", server.address, "--token-file", server.token_file, cwd=tmp_path)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("command", [["python", "-m", "pytest_xdevice.runtime"], ["xdevice", "serve"]])
def test_a_device_needs_no_dependency(device_alone: Environment, tmp_path: Path, command: list[str]) -> None:
    result = device_alone.run(*command, "--help", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "--port" in result.stdout


def test_a_device_with_the_wheel_alone_serves(device_alone: Environment, tmp_path: Path) -> None:
    command = [str(device_alone.python), "-I", "-m", "pytest_xdevice.runtime"]  # -I: not from this tree
    with running_server(command, tmp_path) as server:
        assert module("pytest", "-q", *server.options, str(REPOSITORY / "examples" / "test_softmax.py"))
