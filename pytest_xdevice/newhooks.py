"""Hooks with which a conftest.py or another plugin takes part in a run on devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .artifact import KernelSource
    from .config import DeviceConfig
    from .remote import Session


@pytest.hookspec()
def pytest_xdevice_devices(config: pytest.Config, devices: list[DeviceConfig]) -> None:
    """Change the list of devices in place, before collection: add those of a lab, drop those under repair.

    It runs in every process of a distributed run, each of which must arrive at the same list.
    """


@pytest.hookspec()
def pytest_xdevice_connected(config: pytest.Config, session: Session) -> None:
    """Called when the session with a device has been opened, before the first test runs on it."""


@pytest.hookspec(firstresult=True)
def pytest_xdevice_compile(config: pytest.Config, kernel: object) -> KernelSource | None:
    """Make a kernel of what a test gave to ``xdevice.run`` or ``xdevice.compile`` that is none by itself.

    The first answer that is not None counts. Return something that `c_kernel`, `llvm_kernel`, `opencl_kernel` or
    `library_kernel` made, or an object of your own with the members of `pytest_xdevice.artifact.KernelSource`; the same
    one for the same `kernel`, so that it is compiled once.
    """
