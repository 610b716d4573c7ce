"""A test run that is killed while it has a session: ``killed_host`` starts it and ends it."""

from __future__ import annotations

import signal
import subprocess
import sys

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


def killed_host(address: str, number: signal.Signals) -> None:
    """Have a process open a session with the device at `address`, and an array on it; then send it a signal."""
    command = [sys.executable, "-c", _PROGRAM, address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"
        host.send_signal(number)
