"""Our side."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

import numpy as np

from pytest_xdevice import f32
from pytest_xdevice import In
from pytest_xdevice import kernel
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.compile import Compiler
from pytest_xdevice.remote import Session

from .. import sessions
from ..kernels import add_one
from ..kernels import n
from .side import LARGE
from .side import SIZE

_numbers = itertools.count(1)


class Ours:
    """A session of ours."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._device = device = session.device("cpu")
        self._values = np.arange(SIZE, dtype=np.float32)
        self._function = device.compile(add_one)
        self._a, self._b = device.array(self._values), device.empty(SIZE)
        self._large = device.empty(LARGE.size)

    def cold_test(self) -> None:
        number = next(_numbers)

        @kernel
        def fresh(a: In[f32, n], b: Out[f32, n]) -> None:
            for i in parallel(n):
                b[i] = a[i] + number

        np.testing.assert_array_equal(self._device.run(fresh, self._values), self._values + number)

    def warm_test(self) -> None:
        np.testing.assert_array_equal(self._device.run(add_one, self._values), self._values + 1)

    def launch(self) -> None:
        self._function(self._a, self._b)

    def upload(self) -> None:
        self._large.copy_from(LARGE)

    def download(self) -> None:
        self._large.numpy()

    def close(self) -> None:
        self._session.close()


@dataclass(frozen=True)
class OurServer:
    """A device server of ours."""

    port: int
    server: sessions.Server
    compiler: Compiler

    def open(self, port: int) -> Ours:
        return Ours(self.server.open(self.compiler, port))


@contextmanager
def our_server() -> Iterator[OurServer]:
    """Have a server of ours, and an empty cache of compiled kernels."""
    with TemporaryDirectory() as cache, closing(Compiler(cache)) as compiler, sessions.loopback_server() as server:
        yield OurServer(server.port, server, compiler)
