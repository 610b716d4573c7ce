"""The device server on loopback, from this tree or from the one-file bundle, under any Python."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.service import Service

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class DeviceServer:
    """A device server that runs.

    Attributes
    ----------
    address : str
        ``HOST:PORT``, which is also its device specification.
    token_file : Path
        The file with the token that it asks for.
    service : Service
        The process.
    """

    address: str
    token_file: Path
    service: Service

    @property
    def options(self) -> list[str]:
        """The plugin's options that reach it."""
        return [f"--xdevice={self.address}", f"--xdevice-token-file={self.token_file}"]


def module_command(python: str = sys.executable) -> list[str]:
    """Return the command that serves from this tree."""
    return [python, "-m", "pytest_xdevice.runtime"]


@contextlib.contextmanager
def running_server(command: Sequence[str], directory: Path, *arguments: str) -> Iterator[DeviceServer]:
    """Have a device server on a free loopback port for as long as the block runs.

    Parameters
    ----------
    command : sequence of str
        What starts it: `module_command`, or a Python and a bundle.
    directory : Path
        Where its token goes.
    arguments : str
        More arguments for it.

    Raises
    ------
    ServiceError
        When it does not start, or leaves processes behind.
    """
    token_file = write_token(directory / "token")
    options = ["--host", "127.0.0.1", "--port", "0", "--token-file", str(token_file)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with Service([*command, *options, *arguments], env=environment, cwd=str(directory)) as service:
        address = service.await_line("bind to ").split()[-1]
        yield DeviceServer(address, token_file, service)


def write_token(path: Path) -> Path:
    """Write a new token to a file that only its owner can read."""
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(16) + "\n")
    return path
