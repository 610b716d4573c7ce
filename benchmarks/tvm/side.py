"""What is compared: the same steps, on one side by us and on the other by TVM."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

import numpy as np

SIZE = 1024  # elements of a test's arrays
LARGE = np.ones(16 << 20, np.float32)  # 64 MB


class Side(Protocol):
    """A session with a device server on loopback."""

    def cold_test(self) -> None:
        """Compile a kernel that was never compiled, run it on the device and compare what comes back."""

    def warm_test(self) -> None:
        """Upload an array, run a kernel that is on the device already, and compare what comes back."""

    def launch(self) -> None:
        """Run a kernel on arrays that are on the device."""

    def upload(self) -> None:
        """Copy `LARGE` to an array on the device."""

    def download(self) -> None:
        """Copy an array of that size from the device."""

    def close(self) -> None:
        """End the session."""


class Server(Protocol):
    """A device server that runs."""

    port: int

    def open(self, port: int) -> Side:
        """Open a session with it through `port`, which leads to it, ready to run kernels."""


class Servers(Protocol):
    """Something that starts a server for as long as a block runs."""

    def __call__(self) -> AbstractContextManager[Server]: ...
