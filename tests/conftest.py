"""The devices that tests run on: this machine by socket and by ssh, and emulated Arm boards.

A fixture that this machine cannot give skips its test and says why; with ``--require-everything`` it fails instead.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_xdevice.bundle import runtime_archive
from tests.boards import board as boards
from tests.boards.architecture import architecture
from tests.boards.board import Board
from tests.boards.errors import BoardUnavailable
from tests.harness import sshd as ssh_server
from tests.harness.interpreters import find_python
from tests.harness.interpreters import OLDEST
from tests.harness.requirement import unavailable
from tests.harness.server import DeviceServer
from tests.harness.server import module_command
from tests.harness.server import running_server
from tests.harness.sshd import running_sshd
from tests.harness.sshd import Sshd

MakeBoard = Callable[..., Board]


@pytest.fixture(autouse=True)
def _without_labgrid(request: pytest.FixtureRequest) -> None:
    """Keep labgrid's own pytest plugin out of the runs that tests start: it takes a second, and needs a terminal."""
    if "pytester" in request.fixturenames:
        request.getfixturevalue("pytester")  # which takes the variable away, or has options of its own in it
        options = f"{os.environ.get('PYTEST_ADDOPTS', '')} -p no:labgrid"
        request.getfixturevalue("monkeypatch").setenv("PYTEST_ADDOPTS", options)


@pytest.fixture(scope="session")
def make_board(request: pytest.FixtureRequest) -> Iterator[MakeBoard]:
    """Return a function that starts an emulated board: ``make_board("arm64", cpu=..., opencl=...)``.

    The boards end with the session.
    """
    running: dict[boards.BoardSpec, Board] = {}
    with contextlib.ExitStack() as stack:

        def make(arch: str, *, cpu: str | None = None, opencl: bool = False) -> Board:
            # Named after this process, so that several runs, or the workers of one, do not share boards.
            kind = [
                arch,
                re.sub(r"\W+", "-", cpu or architecture(arch).cpu),
                *(["cl"] if opencl else []),
                str(os.getpid()),
            ]
            spec = boards.board_spec("-".join(kind), arch, cpu=cpu, opencl=opencl)
            try:
                if spec not in running:
                    running[spec] = stack.enter_context(boards.running_board(spec))
            except BoardUnavailable as error:
                unavailable(request.config, str(error))
            return running[spec]

        yield make


@pytest.fixture(scope="session")
def board_arm64(make_board: MakeBoard) -> Board:
    """Return an emulated 64-bit Arm board with a Cortex-A53: no SVE, no dot product, no half precision."""
    return make_board("arm64", cpu="cortex-a53")


@pytest.fixture(scope="session")
def board_armhf(make_board: MakeBoard) -> Board:
    """Return an emulated 32-bit Arm board with a Cortex-A7 and hard-float user space."""
    return make_board("armhf", cpu="cortex-a7")


@pytest.fixture(scope="session")
def board_arm64_opencl(make_board: MakeBoard) -> Board:
    """Return an emulated 64-bit Arm board that also is an OpenCL device, by way of PoCL."""
    return make_board("arm64", cpu="cortex-a53", opencl=True)


@pytest.fixture(scope="session")
def sshd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Return an ssh server on loopback that logs in to this machine's Python."""
    reason = ssh_server.obstacle()
    if reason:
        unavailable(request.config, reason)
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceServer]:
    """Return a device server on loopback, under the Python that runs the tests."""
    with running_server(module_command(), tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="session")
def oldest_python(request: pytest.FixtureRequest) -> str:
    """Return the oldest Python that a device may have."""
    python = find_python(OLDEST)
    if python is None:
        unavailable(request.config, f"no Python {OLDEST[0]}.{OLDEST[1]} on PATH or below ~/.pyenv/versions")
    return python


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the one-file device runtime, the same that ``xdevice bundle`` writes."""
    path = tmp_path_factory.mktemp("bundle") / "xdevice-runtime.pyz"
    path.write_bytes(runtime_archive(executable=True))
    return path


@pytest.fixture(scope="session")
def oldest_server(oldest_python: str, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceServer]:
    """Return a device server on loopback from the bundle, under the oldest Python that a device may have."""
    directory = tmp_path_factory.mktemp("oldest-server")
    with running_server([oldest_python, str(bundle)], directory) as running:
        yield running
