"""The fixture `xbenchmark`: provided by pytest-benchmark's help where that is at work, and without it elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .timed_kernel import FIXTURE
from .timed_kernel import XBenchmark

if TYPE_CHECKING:
    from .device import Device

__all__ = ["FIXTURE", "register_fixture"]


def register_fixture(config: pytest.Config) -> None:
    """Provide the fixture, with pytest-benchmark where it is there and would keep what it is given."""
    plugins = config.pluginmanager
    is_worker = hasattr(config, "workerinput")  # of xdist, where pytest-benchmark is off
    skips = config.getoption("benchmark_skip", False) and not config.getoption("benchmark_only", False)
    if not plugins.hasplugin("benchmark") or is_worker or skips:
        plugins.register(Alone(), "xdevice-xbenchmark")
        return
    from .replay import Replay

    plugins.register(Replay(), "xdevice-xbenchmark")


class Alone:
    """The fixture where pytest-benchmark has no part in it: the run's own table and reports have the figures."""

    @pytest.fixture(name=FIXTURE)
    def _xbenchmark(self, xdevice: Device) -> XBenchmark:
        """Time a kernel on the device; the figures are in the timings at the end and in reports."""
        return XBenchmark(xdevice)
