"""Several machines whose runs share devices: each device has one test at a time, whoever's it is."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.conftest import machine
from tests.fleet.test_workers import ALONE
from tests.harness.far_machine import FarMachine
from tests.harness.server import module_command
from tests.harness.server import running_server

__all__ = ["machine"]  # a fixture

MANY = """
from alone import *

@pytest.mark.parametrize("size", range(1, 13))
def test_add(xdevice, size): work(xdevice, size)
"""


def test_runs_of_two_machines_share_three_devices(
    machine: FarMachine, add_one: pytest.Pytester, tmp_path: Path
) -> None:
    add_one.makepyfile(alone=ALONE.format(shared=tmp_path), test_many=MANY)
    here = str(ipaddress.IPv4Interface(f"{machine.address}/24").network[1])  # as both machines know this one
    with ExitStack() as stack:
        tables = []
        for number in range(3):
            folder = tmp_path / f"server-{number}"
            folder.mkdir()
            server = stack.enter_context(running_server(module_command(), folder, "--host", here))
            tables.append(
                f'[devices.rack-{number}]\naddress = "{server.address}"\ntoken-file = "{server.token_file}"\n'
                'tags = ["rack"]\n'
            )
        (add_one.path / "xdevice.toml").write_text("\n".join(tables))
        command = [sys.executable, "-m", "pytest", "--xdevice-dist=load", "--xdevice=tag:rack", "-n3"]
        runs = [
            add_one.popen(
                [*enter, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            for enter in ([], [*machine.enter, "env", f"--chdir={add_one.path}"])
        ]
        for run in runs:
            said, _ = run.communicate(timeout=300)
            assert run.returncode == 0, said.decode()
            assert b"12 passed" in said
