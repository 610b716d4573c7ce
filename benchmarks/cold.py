"""A test of a kernel that was never compiled, from source to verdict."""

from __future__ import annotations

import itertools
import statistics
import time

import numpy as np

from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.remote import Session

from .figures import Figure
from .kernels import n
from .sessions import count_exchanges

_numbers = itertools.count()


def cold_figure(session: Session) -> Figure:
    """Measure new kernels from source to verdict."""
    seconds, exchanges = cold_test(session)
    return Figure("test: new kernel, source to verdict", f"{seconds * 1e3:.1f} ms, {exchanges} round trip")


def cold_test(session: Session) -> tuple[float, int]:
    """Return the median seconds of a test of a new kernel, and the turns on the stream that it takes at most."""
    device = session.device("cpu")
    values = np.ones(1024, np.float32)
    samples, exchanges = [], 0
    for number in itertools.islice(_numbers, 12):

        @kernel
        def fresh(a: In[f32, n], b: Out[f32, n]) -> None:
            for i in parallel(n):
                b[i] = a[i] * 2.0 + number  # noqa: B023 - a new constant, so a new kernel

        def test() -> None:
            np.testing.assert_array_equal(device.run(fresh, values), values * 2 + number)  # noqa: B023

        start = time.perf_counter()
        exchanges = max(exchanges, count_exchanges(test))
        samples.append(time.perf_counter() - start)
    return statistics.median(samples), exchanges
