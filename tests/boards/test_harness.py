"""The harness for emulated boards: what can be told without root first, then boards that come and go."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boards import network
from tests.boards.__main__ import main
from tests.boards.architecture import architecture
from tests.boards.architecture import ARCHITECTURES
from tests.boards.board import Board
from tests.boards.board import board_spec
from tests.boards.board import Boards
from tests.boards.board import obstacle
from tests.boards.board import REPOSITORY
from tests.boards.command import output
from tests.boards.emulator import Handler
from tests.boards.emulator import MASK
from tests.boards.emulator import registration
from tests.boards.errors import BoardError
from tests.boards.init import Plan
from tests.boards.layout import Layout
from tests.boards.processes import ProcessIdentity
from tests.boards.processes import still_running
from tests.boards.tree import TreeKind
from tests.conftest import MakeBoard
from tests.harness.requirement import unavailable


def handler_text(header: bytes, mask: bytes = MASK, state: str = "enabled") -> str:
    return f"{state}\ninterpreter /opt/qemu-arm\nflags: POF\noffset 0\nmagic {header.hex()}\nmask {mask.hex()}\n"


class TestEmulator:
    def test_a_handler_is_read_as_the_kernel_shows_it(self) -> None:
        handler = Handler.parse("arm", handler_text(architecture("armhf").elf_header()))
        assert (handler.interpreter, handler.flags, handler.enabled) == ("/opt/qemu-arm", "POF", True)

    @pytest.mark.parametrize("name", list(ARCHITECTURES))
    def test_a_handler_runs_its_own_architecture_only(self, name: str) -> None:
        handler = Handler.parse(name, handler_text(architecture(name).elf_header()))
        assert [each for each in ARCHITECTURES if handler.runs(architecture(each).elf_header())] == [name]

    def test_a_handler_runs_position_independent_programs(self) -> None:
        header = bytearray(architecture("arm64").elf_header())
        handler = Handler.parse("arm64", handler_text(bytes(header)))
        header[16] = 3  # ET_DYN
        assert handler.runs(bytes(header))

    def test_a_disabled_handler_runs_nothing(self) -> None:
        header = architecture("arm64").elf_header()
        assert not Handler.parse("arm64", handler_text(header, state="disabled")).runs(header)

    def test_a_handler_by_extension_runs_nothing(self) -> None:
        text = "enabled\ninterpreter /usr/bin/wine\nflags: \nextension .exe\n"
        assert not Handler.parse("wine", text).runs(architecture("arm64").elf_header())

    def test_a_registration_escapes_every_byte(self) -> None:
        line = registration("xdevice-arm", b"\x7fE:", Path("/q"))
        assert line.startswith(rb":xdevice-arm:M::\x7f\x45\x3a:\xff")
        assert line.endswith(b":/q:OPF")


class TestNetwork:
    def test_the_next_free_address_is_taken(self) -> None:
        assert network.free_address({"10.77.2.10", "10.77.2.12"}) == "10.77.2.11"

    def test_a_full_subnet_says_what_to_do(self) -> None:
        with pytest.raises(BoardError, match="down all"):
            network.free_address({str(address) for address in network.SUBNET})

    @pytest.mark.parametrize("address", ["192.0.2.7", "10.77.2.1", "10.77.2.255", "10.78.0.9", "board", "10.77.2"])
    def test_an_address_outside_of_the_boards_range_is_refused(self, address: str) -> None:
        with pytest.raises(BoardError, match=r"is no IPv4 address|cannot be a board's"):
            board_spec("b", "arm64", address=address)

    def test_interface_names_fit_the_kernel_and_differ(self) -> None:
        names = {network.interface(f"10.77.{third}.{last}") for third in (1, 11, 111) for last in (1, 11, 111)}
        assert len(names) == 9
        assert max(map(len, names)) <= 15

    def test_a_board_keeps_its_hardware_address(self) -> None:
        assert network.hardware_address("10.77.1.162") == "02:42:0a:4d:01:a2"


class TestSpec:
    def test_the_processor_defaults_to_that_of_the_architecture(self) -> None:
        assert board_spec("b", "armhf").cpu == "cortex-a7"

    @pytest.mark.parametrize("name", ["", "all", "../b", "a b", "a/b"])
    def test_a_name_that_is_no_host_name_is_refused(self, name: str) -> None:
        with pytest.raises(BoardError, match="cannot be a board's name"):
            board_spec(name, "arm64")

    def test_an_unknown_architecture_lists_those_there_are(self) -> None:
        with pytest.raises(BoardError, match="arm64, armhf, riscv64"):
            board_spec("b", "vax")

    def test_a_plan_survives_the_command_line(self) -> None:
        plan = Plan("b", "/t r", "/s", "ssh-ed25519 A\n", "cortex-a53", emulated_sshd=True, attached=False)
        assert Plan.from_json(plan.to_json()) == plan

    def test_a_tree_with_opencl_is_another_tree(self) -> None:
        plain, opencl = TreeKind(architecture("arm64")), TreeKind(architecture("arm64"), opencl=True)
        assert plain.name != opencl.name
        assert "pocl-opencl-icd" in opencl.stamp
        assert "pocl-opencl-icd" not in plain.stamp

    def test_files_lie_where_the_environment_says(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("XDEVICE_BOARDS", str(tmp_path))
        assert Layout.default().root == tmp_path
        monkeypatch.delenv("XDEVICE_BOARDS")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert Layout.default().root == tmp_path / "pytest-xdevice" / "boards"


class TestCommands:
    def test_a_command_that_fails_is_named_with_what_it_said(self) -> None:
        with pytest.raises(BoardError, match=r"`sh -c 'echo no >&2; exit 3'` ended with status 3: no"):
            output("sh", "-c", "echo no >&2; exit 3")

    def test_a_command_that_is_missing_is_named(self) -> None:
        with pytest.raises(BoardError, match="`no-such-command` did not run"):
            output("no-such-command")

    def test_a_process_is_not_taken_for_another_with_its_id(self) -> None:
        own = ProcessIdentity.of(os.getpid())
        assert own.alive
        assert not ProcessIdentity(own.pid, own.started + 1, own.boot).alive

    def test_the_list_is_empty_without_boards(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("XDEVICE_BOARDS", str(tmp_path))
        assert main(["list"]) == 0
        assert capsys.readouterr().out == ""

    @pytest.mark.parametrize("command", [["down", "b"], ["ssh-config", "b"], ["exec", "b", "true"]])
    def test_a_board_that_is_not_there_is_an_error(
        self,
        command: list[str],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setenv("XDEVICE_BOARDS", str(tmp_path))
        assert main(command) == 1
        assert "no board 'b'" in capsys.readouterr().err


@pytest.fixture(scope="module")
def boards(request: pytest.FixtureRequest, make_board: MakeBoard) -> Boards:
    """Return the boards below the usual directory, where a tree for arm64 is there."""
    reason = obstacle()
    if reason:
        unavailable(request.config, reason)
    make_board("arm64")
    return Boards()


def links() -> dict[str, int]:
    """Return the number of each network interface by its name, which another board may have next."""
    return {name: number for number, name in socket.if_nameindex()}


class TestBoards:
    def test_a_board_is_up_until_it_is_ended_and_leaves_nothing(self, boards: Boards) -> None:
        name = f"life-{os.getpid()}"
        board = boards.up(board_spec(name, "arm64"))
        assert board.run("uname", "-m") == "aarch64\n"
        running = [board.process.pid, *board.processes()]
        link = links()[network.interface(board.address)]
        boards.down(name)
        assert not board.alive
        assert still_running(running, limit=0) == []
        assert link not in links().values()
        assert not Path(board.plan.state).exists()

    def test_boards_below_different_directories_keep_off_each_other(self, boards: Boards, tmp_path: Path) -> None:
        (tmp_path / "trees").symlink_to(boards.layout.trees)
        other = Boards(Layout(tmp_path))
        name = f"apart-{os.getpid()}"
        ours = boards.up(board_spec(name, "arm64"))
        try:
            theirs = other.up(board_spec(name, "arm64"))
            assert theirs.address != ours.address
            other.down_all()
            assert ours.run("uname", "-n") == f"{name}\n"
            assert not theirs.alive
        finally:
            boards.down(name)

    def test_up_twice_gives_the_same_board(self, boards: Boards) -> None:
        spec = board_spec(f"twice-{os.getpid()}", "arm64")
        first = boards.up(spec)
        try:
            assert boards.up(spec) == first
            with pytest.raises(BoardError, match="something else is up"):
                boards.up(board_spec(spec.name, "arm64", cpu="cortex-a72"))
        finally:
            boards.down(spec.name)

    def test_an_attached_board_dies_with_its_starter(self, boards: Boards) -> None:
        name = f"attached-{os.getpid()}"
        program = (
            "import sys; from tests.boards.board import Boards, board_spec; boards = Boards()\n"
            f"print(boards.up(board_spec({name!r}, 'arm64'), attached=True).name, flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
        ) as starter:
            assert starter.stdout is not None
            assert starter.stdout.readline() == f"{name}\n"
            board = boards.get(name)
            starter.send_signal(signal.SIGKILL)
        try:
            assert still_running([board.process.pid]) == []
        finally:
            boards.down(name)

    @pytest.mark.parametrize(("fixture", "part"), [("board_arm64", "0xd03"), ("board_armhf", "0xc07")])
    def test_a_board_shows_the_processor_that_was_asked_for(
        self, fixture: str, part: str, request: pytest.FixtureRequest
    ) -> None:
        board = request.getfixturevalue(fixture)
        assert f"CPU part\t: {part}" in board.run("cat", "/proc/cpuinfo")

    def test_a_board_is_reached_over_ssh_as_the_console(self, board_arm64: Board) -> None:
        said = output("ssh", "-F", board_arm64.ssh_config, board_arm64.name, "uname -nm; echo $QEMU_CPU")
        assert said == f"{board_arm64.name} aarch64\ncortex-a53\n"

    def test_a_board_is_a_host_of_its_own(self, board_arm64: Board) -> None:
        board_arm64.write("/root/note", b"here")
        assert board_arm64.run("cat", "/root/note") == "here"
        assert "/root/note" in board_arm64.written_files()
        assert not Path("/root/note").exists()
        board_arm64.run("rm", "/root/note")
