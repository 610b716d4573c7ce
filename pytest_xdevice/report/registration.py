"""Has the reports made that the options ask for."""

from __future__ import annotations

import pytest

from ..options import read_reports


def register_reports(config: pytest.Config) -> None:
    """Register what collects for the reports that are asked for, in this process or for the one that controls it.

    Raises
    ------
    pytest.UsageError
        If one cannot be written.
    """
    files = read_reports(config)
    if not files:
        return
    from .recorder import DeviceNotes
    from .recorder import Recorder

    notes = DeviceNotes()
    config.pluginmanager.register(notes, "xdevice-devices")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Recorder(config, files, notes), "xdevice-reports")
