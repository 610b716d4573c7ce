"""Large arrays to and from the device."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pytest_xdevice.remote import Session

from .figures import Figure
from .figures import median_seconds
from .plain_socket import plain_socket_seconds


def throughput_figures(session: Session) -> Iterator[Figure]:
    """Measure 64 MB arrays each way, beside a plain socket."""
    device = session.device("cpu")
    values = np.ones(16 << 20, np.float32)
    resident = device.array(values)
    resident.numpy()
    up = median_seconds(lambda: resident.copy_from(values), 7)
    down = median_seconds(resident.numpy, 7)
    plain = plain_socket_seconds(values)
    for way, seconds in (("to the device", up), ("from the device", down)):
        rate, peer = values.nbytes / seconds / 1e9, values.nbytes / plain / 1e9
        yield Figure(f"64 MB array {way}", f"{rate:.2f} GB/s", f"{peer:.2f} GB/s plain socket: {rate / peer:.2f}x")
