"""The examples and the device tests on emulated boards, over ssh and over the device server, to the last outcome."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.boards.board import Board
from tests.boards.board import REPOSITORY
from tests.boards.processes import command_line
from tests.boards.processes import still_running
from tests.boards.serving import device_server

pytestmark = pytest.mark.board

EVERYTHING = ("examples", "tests/device")
# What depends on the way to a device.
SELECTED = ("examples/test_tutorial.py", "tests/device/test_language.py", "tests/device/test_misbehaviour.py")
# What depends on its OpenCL compiler as well, which takes more than 3 s for a program on an emulated processor: of the
# language what another processor could answer otherwise.
SELECTED_OPENCL = (
    "examples/test_tutorial.py",
    "tests/device/test_misbehaviour.py",
    *(
        f"tests/device/test_language.py::test_{name}"
        for name in (
            "floats_are_exact",
            "half_precision_widens_exactly_and_rounds_once",
            "integers_divide_and_shift_as_in_numpy",
            "work_groups_share_memory",
            "items_wait_for_each_other",
            "elementary_functions_have_the_same_bits_everywhere[opencl-exp]",
            "atomic_operations",
        )
    ),
)
TRIPLES = {"arm64": "aarch64-", "armhf": "armv7"}
RUN_LIMIT = 540.0  # seconds
# Caches that a board may keep: Python's compiled modules, and those of OpenCL programs.
CACHES = ("/__pycache__/", "/root/.cache/")


@dataclass(frozen=True)
class Way:
    """A board, a way to it, and what is run there: folders, files, or pytest's node ids."""

    board: Board
    options: list[str]
    selection: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How one test ended, and where it says that it ran."""

    name: str
    status: str
    message: str
    kind: str
    target: str


@pytest.fixture(scope="module")
def boards(board_arm64: Board, board_armhf: Board) -> list[Board]:
    """Return the boards that have a CPU alone."""
    return [board_arm64, board_armhf]


@pytest.fixture(scope="module")
def by_ssh(boards: list[Board], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[list[Outcome]]]]:
    """Run everything on all boards at once, since emulation keeps one processor busy a board; by architecture."""
    with ThreadPoolExecutor(len(boards)) as pool:
        yield {
            board.arch: pool.submit(run_on, ssh_way(board, EVERYTHING), tmp_path_factory.mktemp("by-ssh"))
            for board in boards
        }


@pytest.mark.parametrize("arch", TRIPLES)
def test_a_board_runs_everything_but_opencl_over_ssh(
    arch: str, boards: list[Board], by_ssh: dict[str, Future[list[Outcome]]]
) -> None:
    assert_cpu_ran(board_of(arch, boards), by_ssh[arch].result())


@pytest.mark.parametrize("arch", TRIPLES)
def test_a_board_runs_a_selection_over_a_socket(
    arch: str, boards: list[Board], bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    board = board_of(arch, boards)
    with device_server(board, bundle, tmp_path_factory.mktemp("board-server")) as server:
        outcomes = run_on(Way(board, server.options, SELECTED), tmp_path_factory.mktemp("by-socket"))
    assert_cpu_ran(board, outcomes)


def board_of(arch: str, boards: list[Board]) -> Board:
    return next(board for board in boards if board.arch == arch)


def assert_cpu_ran(board: Board, outcomes: list[Outcome]) -> None:
    """Assert that all passed which a board without OpenCL can run, compiled for its CPU."""
    on_opencl = [each for each in outcomes if each.kind == "opencl"]
    assert [each for each in on_opencl if each.status != "skipped" or "pyopencl" not in each.message] == []
    assert [each for each in outcomes if each.kind != "opencl" and each.status != "passed"] == []
    ran = {each.target for each in outcomes if each.kind == "cpu"}
    assert ran
    for target in ran:
        assert f"-mtriple={TRIPLES[board.arch]}" in target
        assert f"-mcpu={board.cpu}" in target


def test_a_board_with_opencl_skips_nothing(board_arm64_opencl: Board, tmp_path: Path) -> None:
    outcomes = run_on(ssh_way(board_arm64_opencl, SELECTED_OPENCL), tmp_path)
    assert any(each.kind == "opencl" for each in outcomes)
    assert [each for each in outcomes if each.status != "passed"] == []


def test_the_address_alone_reaches_a_board(board_armhf: Board, tmp_path: Path) -> None:
    way = Way(
        board_armhf,
        [f"--xdevice=ssh://root@{board_armhf.address}"],
        ("examples/test_dtypes.py",),
        {"XDEVICE_SSH_CONFIG": str(board_armhf.ssh_config)},
    )
    outcomes = run_on(way, tmp_path)
    assert {(each.kind, each.status) for each in outcomes} >= {("cpu", "passed")}


def ssh_way(board: Board, selection: tuple[str, ...]) -> Way:
    """Return the way to a board that needs nothing on it but Python and sshd."""
    return Way(board, [f"--xdevice={board.ssh_spec}"], selection)


def run_on(way: Way, directory: Path) -> list[Outcome]:
    """Run tests on a board and return how each ended; assert that nothing is left on the board.

    Parameters
    ----------
    way : Way
        The board, how it is reached, and what to run.
    directory : Path
        Where the report goes.
    """
    processes, files = set(way.board.processes()), kept_files(way.board)
    report = directory / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}"]
    done = subprocess.run(
        [*command, *way.options, *way.selection],
        cwd=REPOSITORY,
        env={**inherited_environment(), **way.env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=RUN_LIMIT,
    )
    assert done.returncode == pytest.ExitCode.OK, done.stdout
    left = still_running(set(way.board.processes()) - processes)
    assert {pid: command_line(pid) for pid in left} == {}
    assert kept_files(way.board) - files == set()
    return read_report(report)


def inherited_environment() -> dict[str, str]:
    """Return this process's environment without what would send the tests elsewhere, or forbid what they skip."""
    dropped = ("XDEVICE", "XDEVICE_TOKEN", "XDEVICE_SSH_CONFIG", "XDEVICE_REQUIRE_ALL", "PYTEST_ADDOPTS")
    return {name: value for name, value in os.environ.items() if name not in dropped}


def kept_files(board: Board) -> set[str]:
    """Return the files that a board has written, without caches."""
    return {path for path in board.written_files() if not any(part in path for part in CACHES)}


def read_report(path: Path) -> list[Outcome]:
    """Return what a JUnit report says of each test."""
    return [_outcome(case) for case in ElementTree.parse(path).iter("testcase")]


def _outcome(case: ElementTree.Element) -> Outcome:
    properties = {each.get("name", ""): each.get("value", "") for each in case.iter("property")}
    verdict = next((each for each in case if each.tag in ("skipped", "failure", "error")), None)
    return Outcome(
        name=f"{case.get('classname')}::{case.get('name')}",
        status="passed" if verdict is None else verdict.tag,
        message="" if verdict is None else verdict.get("message", ""),
        kind=properties.get("xdevice.kind", ""),
        target=properties.get("xdevice.target", ""),
    )
