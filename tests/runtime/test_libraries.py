"""What the worker says of a library that its folder does not take."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_xdevice.runtime.launch import DeviceProblem
from pytest_xdevice.runtime.libraries import Libraries


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
