"""What takes long shows on a terminal, in one line that goes again; elsewhere, and with -q, it does not."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading

import pytest

from tests.faults.relay import link_to
from tests.harness.server import DeviceServer

UPLOAD = """
import numpy as np

def test_upload(xdevice):
    xdevice.array(np.zeros(20 << 20, np.uint8))
"""


@pytest.mark.parametrize(("options", "shown"), [([], True), (["-q"], False)], ids=["as it is", "quiet"])
def test_a_long_upload(pytester: pytest.Pytester, server: DeviceServer, options: list[str], shown: bool) -> None:
    pytester.makepyfile(UPLOAD)
    with link_to(int(server.address.split(":")[1])) as link:
        link.rate = 8e6
        device = [f"--xdevice=127.0.0.1:{link.port}", f"--xdevice-token-file={server.token_file}"]
        output = on_a_terminal([sys.executable, "-m", "pytest", *device, *options])
    assert "1 passed" in output
    assert (": sending 20 MiB: " in output) is shown


@pytest.mark.parametrize(("options", "shown"), [([], True), (["-q"], False)], ids=["as it is", "quiet"])
def test_a_first_connection(pytester: pytest.Pytester, server: DeviceServer, options: list[str], shown: bool) -> None:
    pytester.makepyfile("def test_nothing(xdevice): pass")
    output = on_a_terminal([sys.executable, "-m", "pytest", *server.options, *options])
    assert "1 passed" in output
    assert (f"xdevice {server.address}: connecting" in output) is shown


@pytest.mark.parametrize(("options", "shown"), [([], True), (["-q"], False)], ids=["as it is", "quiet"])
def test_reports_that_are_drawn(pytester: pytest.Pytester, options: list[str], shown: bool) -> None:
    pytester.makepyfile("def test_nothing(): pass")
    output = on_a_terminal([sys.executable, "-m", "pytest", "--xdevice-report=report.html", *options])
    assert "1 passed" in output
    assert ("writing reports" in output) is shown


def on_a_terminal(command: list[str]) -> str:
    """Run a command on a terminal of its own and return what it wrote there."""
    ours, theirs = pty.openpty()
    parts: list[bytes] = []

    def read() -> None:
        while True:
            try:
                parts.append(os.read(ours, 4096))
            except OSError:
                return  # nobody has the terminal any more

    reader = threading.Thread(target=read)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        reader.start()
        assert process.wait(60) == 0, b"".join(parts).decode()
    reader.join(10)
    os.close(ours)
    return b"".join(parts).decode()
