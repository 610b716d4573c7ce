"""The folder that the processes of a distributed run share: made by the one that controls it, told to its workers."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any
from typing import Final

import pytest

from ..runtime.scratch import hold
from ..runtime.scratch import PREFIX
from ..runtime.scratch import remove

_WORKER_INPUT: Final = "xdevice_run_folder"


class RunFolder:
    """Makes the folder when the first worker is about to start, and removes it at the end.

    Of a run that was killed, the next session on this machine removes it, as it does with folders of sessions.
    """

    def __init__(self) -> None:
        self._path: str | None = None
        self._lock = -1

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of xdist where it is."""
        if self._path is None:
            self._path = tempfile.mkdtemp(prefix=f"{PREFIX}run-")
            self._lock = hold(self._path)
        node.workerinput[_WORKER_INPUT] = self._path

    def pytest_unconfigure(self) -> None:
        if self._path is not None:
            remove(self._path)
            os.close(self._lock)
            self._path = None


def run_folder(config: pytest.Config) -> Path | None:
    """Return the folder, in a worker of xdist that is on the machine which controls the run."""
    path: str | None = getattr(config, "workerinput", {}).get(_WORKER_INPUT)
    return Path(path) if path is not None and os.path.isdir(path) else None
