"""A device behind a link that fails on demand, by each way that leads over a network."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from pytest_xdevice.transport.gateway import BOOT_LINE
from tests.faults.matrix import WAYS
from tests.faults.relay import Link
from tests.faults.relay import link_to
from tests.harness.far_machine import far_machine
from tests.harness.far_machine import FarMachine
from tests.harness.far_machine import obstacle
from tests.harness.requirement import unavailable
from tests.harness.server import DeviceServer
from tests.harness.sshd import HOST
from tests.harness.sshd import Sshd
from tests.plugin.conftest import add_one
from tests.plugin.conftest import cache_home
from tests.plugin.conftest import pytester

__all__ = ["add_one", "cache_home", "pytester"]  # fixtures for runs of pytest


@dataclass(frozen=True)
class Place:
    """A device, and the link that leads to it.

    Attributes
    ----------
    way : {"socket", "ssh", "exec"}
    address : str
    link : Link
    token_file : Path or None
    """

    way: str
    address: str
    link: Link
    token_file: Path | None = None

    @property
    def options(self) -> list[str]:
        """The plugin's options that reach it."""
        return [f"--xdevice={self.address}", *([f"--xdevice-token-file={self.token_file}"] if self.token_file else [])]

    def open(self, timeout: float = 20.0) -> Session:
        """Open a session whose launches may take `timeout` seconds."""
        return Session.open(DeviceConfig("board", self.address), Settings(timeout=timeout, token_file=self.token_file))


@pytest.fixture
def machine(request: pytest.FixtureRequest) -> Iterator[FarMachine]:
    """Return a machine at the other end of a cable; it ends with the test."""
    reason = obstacle()
    if reason:
        unavailable(request.config, reason)
    with far_machine() as running:
        yield running


@pytest.fixture(params=WAYS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Return a device behind a link, which has no faults yet."""
    if request.param == "socket":
        server: DeviceServer = request.getfixturevalue("server")
        with link_to(int(server.address.split(":")[1])) as link:
            yield Place("socket", f"{HOST}:{link.port}", link, server.token_file)
        return
    sshd: Sshd = request.getfixturevalue("sshd")
    with link_to(sshd.port) as link:
        if request.param == "ssh":
            yield Place("ssh", f"ssh=-p {link.port} xdevice-sshd//ssh_config={sshd.config}", link)
        else:
            yield Place("exec", f"exec:{_far_python(tmp_path, sshd, link)}", link)


def _far_python(folder: Path, sshd: Sshd, link: Link) -> Path:
    """Return a command that gives a Python beyond the link, as a user would write one."""
    command = ["ssh", "-F", str(sshd.config), "-p", str(link.port), "xdevice-sshd"]
    script = folder / "far-python"
    remote = f"python3 -u -c {shlex.quote(BOOT_LINE)}"
    script.write_text(f"#!/bin/sh\nexec {shlex.join(command)} {shlex.quote(remote)}\n")
    script.chmod(0o755)
    return script
