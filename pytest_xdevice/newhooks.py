"""Hooks with which a conftest.py or another plugin takes part in a run on devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
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
