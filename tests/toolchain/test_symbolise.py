"""Lines of the source, read from debug information by the programs that a host may have."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_xdevice import c_kernel
from pytest_xdevice.compile import build
from pytest_xdevice.toolchain.symbolise import line_of
from pytest_xdevice.toolchain.symbolise import symbolizer
from tests.harness.requirement import unavailable


@pytest.fixture
def cross_binutils(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> Iterator[None]:
    """Have PATH hold nothing but an addr2line for AArch64."""
    program = shutil.which("aarch64-linux-gnu-addr2line")
    if program is None:
        unavailable(pytestconfig, "no aarch64-linux-gnu-addr2line: install Debian's binutils-aarch64-linux-gnu")
    (tmp_path / "aarch64-linux-gnu-addr2line").symlink_to(program)
    symbolizer.cache_clear()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(tmp_path))
        yield
    symbolizer.cache_clear()


LIBRARY = c_kernel("int first(int a)\n{\n    return a * 3;\n}\n", "int first(int a)", flags=["-g"])


def test_cross_binutils_read_files_for_their_processor(request: pytest.FixtureRequest) -> None:
    library = build(LIBRARY, "aarch64-linux-gnu").object
    request.getfixturevalue("cross_binutils")
    assert symbolizer() == ()
    assert Path(line_of(library, "first", 0)).name.startswith("test_symbolise.py:")
