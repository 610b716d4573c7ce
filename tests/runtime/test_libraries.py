"""Libraries in a worker: what it says of those that its folder does not take, and that none disturbs another's."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path

import pytest

from pytest_xdevice.compile import Compiler
from pytest_xdevice.runtime.launch import DeviceProblem
from pytest_xdevice.runtime.libraries import Libraries
from pytest_xdevice.target import Target


@pytest.fixture
def libraries(tmp_path: Path) -> Libraries:
    """Return libraries whose folder is not there."""
    return Libraries(str(tmp_path / "missing" / "folder"))


def test_an_object_that_cannot_be_stored_to_be_linked(libraries: Libraries) -> None:
    with pytest.raises(DeviceProblem, match=r"no room to link the kernel in: .*No such file"):
        libraries.load("0" * 64, b"object", is_linked=False)


def test_what_is_no_library(libraries: Libraries) -> None:
    with pytest.raises(DeviceProblem, match="the device cannot load the kernel: "):
        libraries.load("0" * 64, b"no library", is_linked=True)


def test_a_library_that_another_worker_loads_from_the_same_folder_keeps_its_variables(tmp_path: Path) -> None:
    with contextlib.closing(Compiler(tmp_path / "cache")) as compiler:
        reporter = compiler.fault_reporter(Target.host())
    library = Libraries(str(tmp_path)).load(reporter.key, reporter.object, reporter.is_linked)
    block = ctypes.c_int.in_dll(library, "xd_fault_block")
    block.value = 7
    Libraries(str(tmp_path)).load(reporter.key, reporter.object, reporter.is_linked)
    assert block.value == 7
    assert [path.name for path in tmp_path.glob("*.so*")] == [f"{reporter.key[:16]}.so"]
