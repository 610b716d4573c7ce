"""A host with a session, in a process of its own, for signals to be sent to."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator

from tests.boards.board import REPOSITORY

_PROGRAM = """
import signal, sys
import numpy as np
from pytest_xdevice.config import DeviceConfig, Settings, token_of_environment
from pytest_xdevice.remote import Session

session = Session.open(DeviceConfig("device", sys.argv[1]), Settings(token=token_of_environment()))
session.device("cpu").array(np.ones(4, np.float32))
print("ready", flush=True)
signal.pause()
"""


@contextlib.contextmanager
def host_with_session(address: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process, the first of a group of its own, with a session on the device at `address` and an array there."""
    command = [sys.executable, "-c", _PROGRAM, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY, start_new_session=True) as host:
        try:
            assert host.stdout is not None
            assert host.stdout.readline() == b"ready\n"
            yield host
        finally:
            host.kill()


def killed_host(address: str, number: signal.Signals) -> None:
    """Have a process open a session with the device at `address`, and an array on it; then end it by a signal."""
    with host_with_session(address) as host:
        host.send_signal(number)
        host.wait(30)
