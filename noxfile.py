"""The tests on other versions: the oldest dependencies that pyproject.toml allows, and every Python that is there.

``python -m nox -s lowest`` and ``python -m nox -s newest``; arguments for pytest go behind ``--``.
"""

from __future__ import annotations

import nox

from tests.harness.interpreters import find_python

PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13), (3, 14))
EXTRAS = "opencl,benchmark,hypothesis,report,completion"
# What the tests below need beside the plugin, at its newest: these are no dependencies of a user's.
FOR_TESTS = ("pytest-xdist", "jsonschema", "pyyaml", "pygal")
# Old releases of matplotlib use names of pyparsing that newer ones deprecate, and tests take a warning for an error.
BESIDE_OLD = ("pyparsing>=3.1,<3.3",)
# Tests of whatever touches a dependency, in less than a minute.
SELECTION = (
    "examples/test_tutorial.py",
    "examples/test_opencl_matmul.py",
    "tests/device/test_check.py",
    "tests/plugin/test_fixture.py",
    "tests/plugin/test_xbenchmark.py",
    "tests/report/test_formats.py",
    "tests/sources/test_prototype.py",
    "tests/test_compare.py",
    "tests/test_device_tables.py",
    "tests/toolchain/test_target.py",
)

nox.needs_version = ">=2024.4.15"  # has the backend uv
nox.options.default_venv_backend = "uv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lowest", "newest"]


def _python(*versions: tuple[int, int]) -> str:
    """Return the first of these Pythons that is there, or the name of the first where none is."""
    found = filter(None, map(find_python, versions))
    return next(found, f"{versions[0][0]}.{versions[0][1]}")


@nox.session(python=_python(*PYTHONS[:2]))  # the oldest NumPy has no wheels for newer ones
def lowest(session: nox.Session) -> None:
    """Run a selection of the tests with the oldest dependencies, on the oldest Python."""
    session.install("--resolution=lowest-direct", "--editable", f".[{EXTRAS}]", *BESIDE_OLD)
    _test(session)


@nox.session
@nox.parametrize("python", [nox.param(_python(version), id=f"3.{version[1]}") for version in PYTHONS])
def newest(session: nox.Session) -> None:
    """Run the same tests with the newest dependencies, on one Python after another."""
    session.install("--upgrade", "--editable", f".[{EXTRAS}]")
    _test(session)


def _test(session: nox.Session) -> None:
    session.install(*FOR_TESTS)
    session.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *(session.posargs or SELECTION))
