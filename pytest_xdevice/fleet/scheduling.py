"""A scheduler for pytest-xdist that gives a device's tests to one worker, where every device has tests of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from typing import TYPE_CHECKING

from xdist.scheduler import LoadScopeScheduling

from ..config import DeviceConfig
from ..lanes import identifiers
from .claims import is_leased

if TYPE_CHECKING:
    import pytest
    from xdist.workermanage import WorkerController


class DeviceScheduling(LoadScopeScheduling):
    """Hands out the tests of a leased device together, and all others one by one.

    With ``--dist load`` the tests that follow each other, which are of one device, go to several workers, of which one
    would run them and the others wait.
    """

    def __init__(self, config: pytest.Config, log: Any, devices: Sequence[DeviceConfig]) -> None:
        super().__init__(config, log)
        names = zip(identifiers(devices), devices, strict=True)
        leased = "|".join(re.escape(name) for name, device in names if is_leased(device))
        self._lane = re.compile(rf"\[(?:.*-)?({leased})-(?:cpu|opencl)[-\]]")

    def _split_scope(self, nodeid: str) -> str:
        found = self._lane.search(nodeid)
        return f"device {found[1]}" if found else nodeid

    def _reschedule(self, node: WorkerController) -> None:
        if node in self.registered_collections:  # else it takes the place of one that died, and is not ready yet
            super()._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """Remove a worker, and return the test that it died of, which is not run again."""
        units = self.assigned_work[node].values()
        crashed = next((name for unit in units for name, is_done in unit.items() if not is_done), None)
        if crashed is not None:
            self.assigned_work[node][self._split_scope(crashed)][crashed] = True
        super().remove_node(node)
        return crashed
