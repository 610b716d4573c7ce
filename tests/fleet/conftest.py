"""Two devices with names, and runs of pytest that see no others."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from pytest_xdevice.remote import transport_to
from pytest_xdevice.transport import Occupancy
from tests.harness.server import DeviceServer
from tests.harness.server import module_command
from tests.harness.server import running_server
from tests.plugin.conftest import add_one
from tests.plugin.conftest import cache_home
from tests.plugin.conftest import closed_port
from tests.plugin.conftest import pyopencl
from tests.plugin.conftest import pytester

__all__ = ["add_one", "cache_home", "closed_port", "pyopencl", "pytester"]  # fixtures for runs of pytest

NAMES = ("rack-1", "rack-2")
ENDLESS = """
from pytest_xdevice import In, Out, dim, i32, kernel, parallel

n = dim("n")

@kernel
def endless(a: In[i32, n], b: Out[i32, n]):
    for i in parallel(n):
        k = a[i]
        while k == a[i]:
            b[i] = k
"""


@dataclass(frozen=True)
class Fleet:
    """Device servers, in the order of `NAMES`."""

    servers: tuple[DeviceServer, ...]

    @property
    def options(self) -> list[str]:
        """The plugin's options that reach them, where `tables` are in a file."""
        return ["--xdevice=tag:rack"]

    def tables(self) -> str:
        """Return the contents of an xdevice.toml."""
        return "\n".join(
            f'[devices.{name}]\naddress = "{server.address}"\ntoken-file = "{server.token_file}"\ntags = ["rack"]\n'
            for name, server in zip(NAMES, self.servers, strict=True)
        )

    def open(self, number: int) -> Session:
        """Take a device, as another run would."""
        return Session.open(*self._way_to(number))

    def who(self, number: int) -> Occupancy:
        """Return who has a device and who waits for it."""
        occupancy = transport_to(*self._way_to(number)).who()
        assert occupancy is not None
        return occupancy

    def _way_to(self, number: int) -> tuple[DeviceConfig, Settings]:
        server = self.servers[number]
        return DeviceConfig("held", server.address), Settings(token_file=server.token_file)


@contextlib.contextmanager
def running_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Have two devices for as long as the block runs."""
    with contextlib.ExitStack() as stack:
        folders = [tmp_path_factory.mktemp(name) for name in NAMES]
        yield Fleet(tuple(stack.enter_context(running_server(module_command(), folder)) for folder in folders))


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return two devices, for tests that leave them as they are."""
    with running_fleet(tmp_path_factory) as fleet:
        yield fleet


@pytest.fixture
def fleet(servers: Fleet, add_one: pytest.Pytester) -> Fleet:
    """Return two devices that the pytester's runs know by name."""
    (add_one.path / "xdevice.toml").write_text(servers.tables())
    return servers


@pytest.fixture
def frail_fleet(add_one: pytest.Pytester, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return two devices of the test's own, which it may end."""
    with running_fleet(tmp_path_factory) as fleet:
        (add_one.path / "xdevice.toml").write_text(fleet.tables())
        yield fleet
