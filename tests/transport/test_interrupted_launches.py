"""A host that ends during a launch, by Ctrl-C or by SIGKILL: the kernel ends with it, and the device is free again."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import parallel
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from tests.boards.board import REPOSITORY
from tests.boards.processes import still_running
from tests.harness.server import DeviceServer

n = dim("n")

# The kernel writes to a named pipe, so that nobody has to ask when it runs.
TEST = r'''
import numpy as np
from pytest_xdevice import c_kernel

SPIN = c_kernel(
    """
#include <stdio.h>
#include <unistd.h>

void spin(const char *path)
{
    FILE *file = fopen(path, "w");
    fprintf(file, "%d\\n", (int)getpid());
    fclose(file);
    for (;;)
        ;
}
""",
    "void spin(const char *path)",
)

def test_spins(xdevice):
    xdevice.run(SPIN, np.frombuffer(b"PIPE\0", np.int8))
'''


@kernel
def double(x: InOut[f32, n]) -> None:
    for i in parallel(n):
        x[i] = x[i] * 2.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
@pytest.mark.parametrize("way", ["local", "exec", "socket"])
def test_a_kernel_ends_with_its_host(tmp_path: Path, server: DeviceServer, way: str, number: signal.Signals) -> None:
    options = {
        "local": ["--xdevice=local"],
        "exec": [f"--xdevice=exec:{shlex.quote(sys.executable)}"],
        "socket": server.options,
    }[way]
    pid = kernel_of_ended_host(tmp_path, options, number)
    assert not still_running([pid])
    if way == "socket":
        session = Session.open(DeviceConfig("device", server.address), Settings(token_file=server.token_file))
        np.testing.assert_array_equal(session.device("cpu").run(double, np.ones(3, np.float32)), np.full(3, 2))
        session.close()


def kernel_of_ended_host(directory: Path, options: list[str], number: signal.Signals) -> int:
    """Run a test whose kernel does not end; send pytest a signal then; return the process that runs the kernel."""
    pipe = directory / "pipe"
    os.mkfifo(pipe)
    (directory / "test_spins.py").write_text(TEST.replace("PIPE", str(pipe)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_spins.py"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE, text=True) as host:
        pid = int(read_line(pipe))
        host.send_signal(number)
        output, _ = host.communicate(timeout=30)
    if number == signal.SIGINT:
        assert host.returncode == pytest.ExitCode.INTERRUPTED, output
    return pid


def read_line(pipe: Path) -> bytes:
    """Return what is written to a named pipe first, within a minute."""
    descriptor = os.open(pipe, os.O_RDWR)
    try:
        ready, _, _ = select.select([descriptor], [], [], 60)
        assert ready, "the kernel did not start"
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)
