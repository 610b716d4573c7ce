"""Start, enter and end emulated boards."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.boards import network
from tests.boards.architecture import Architecture
from tests.boards.architecture import architecture
from tests.boards.command import output
from tests.boards.emulator import ensure_emulation
from tests.boards.emulator import forget_emulation
from tests.boards.errors import BoardError
from tests.boards.errors import BoardUnavailable
from tests.boards.init import Plan
from tests.boards.init import SSH_PORT
from tests.boards.layout import Layout
from tests.boards.processes import end
from tests.boards.processes import in_namespace_of
from tests.boards.processes import ProcessIdentity
from tests.boards.processes import still_running
from tests.boards.tree import ensure_tree
from tests.boards.tree import TreeKind

REPOSITORY = Path(__file__).resolve().parents[2]
NEEDED_COMMANDS = {
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "hostname": "hostname",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "unshare": "util-linux",
}
UNSHARE = ["unshare", "--net", "--pid", "--mount", "--uts", "--ipc", "--fork", "--kill-child"]
START_LIMIT = 30.0  # seconds until ssh answers


@dataclass(frozen=True)
class BoardSpec:
    """What is asked for: a name, an architecture, a processor, an address or none, OpenCL or not."""

    name: str
    architecture: Architecture
    cpu: str
    address: str | None = None
    opencl: bool = False


@dataclass(frozen=True)
class Board:
    """A board that runs.

    Attributes
    ----------
    name, arch, cpu, address : str
        What it is called, its architecture (Debian's name), the emulated processor, its IPv4 address.
    process : ProcessIdentity
        Its first process.
    plan : Plan
        How it was made.
    """

    name: str
    arch: str
    cpu: str
    address: str
    process: ProcessIdentity
    plan: Plan

    @property
    def ssh_config(self) -> Path:
        """The file for ``ssh -F`` that knows the board under its name and its address."""
        return Path(self.plan.state, "ssh_config")

    @property
    def ssh_spec(self) -> str:
        """The device specification that reaches the board over ssh."""
        return f"ssh={self.name}//ssh_config={self.ssh_config}//python=python3"

    @property
    def alive(self) -> bool:
        """Whether it is on."""
        return self.process.alive

    def command(self, *argv: str) -> list[str]:
        """Return the command that runs `argv` on the board from this machine, without ssh."""
        variables = [f"{name}={value}" for name, value in self.plan.environment.items()]
        enter = ["nsenter", "--target", str(self.process.pid), "--net", "--pid", "--mount", "--uts", "--ipc"]
        return [*enter, "chroot", str(self.plan.root), "/usr/bin/env", "-i", *variables, *argv]

    def run(self, *argv: str, data: bytes | None = None, timeout: float = 120.0) -> str:
        """Run a command on the board, as root on its console, and return what it printed.

        Parameters
        ----------
        argv : str
            The command and its arguments.
        data : bytes, optional
            Its standard input.
        timeout : float
            Seconds that it may take.

        Raises
        ------
        BoardError
            When it fails, or takes too long.
        """
        return output(*self.command(*argv), data=data, timeout=timeout)

    def write(self, path: str, content: bytes) -> None:
        """Write a file on the board."""
        self._outside(path).write_bytes(content)

    def processes(self) -> list[int]:
        """Return the processes on the board, as this machine numbers them, without its first one."""
        return in_namespace_of(self.process.pid)

    def written_files(self) -> set[str]:
        """Return the path of every file that the board has written, or holds in shared memory."""
        written = self._outside_namespace(self.plan.written)
        shared = self._outside("/dev/shm")
        files = {f"/{path.relative_to(written)}" for path in written.rglob("*") if not path.is_dir()}
        return files | {f"/dev/shm/{path.name}" for path in shared.iterdir()}

    def _outside(self, path: str) -> Path:
        return self._outside_namespace(self.plan.root / path.lstrip("/"))

    def _outside_namespace(self, path: Path) -> Path:
        return Path(f"/proc/{self.process.pid}/root", str(path).lstrip("/"))


class Boards:
    """The boards below one directory.

    Parameters
    ----------
    layout : Layout, optional
        Where their files are; by default as the environment says.
    """

    def __init__(self, layout: Layout | None = None) -> None:
        self.layout = layout or Layout.default()
        self._lifelines: dict[str, IO[bytes]] = {}

    def up(self, spec: BoardSpec, *, attached: bool = False) -> Board:
        """Start a board and wait until its ssh server answers.

        Parameters
        ----------
        spec : BoardSpec
            What it is to be. A board of that name which runs already is returned when it is just that.
        attached : bool
            Whether the board ends with this process.

        Raises
        ------
        BoardUnavailable
            When this machine cannot have such a board.
        BoardError
            When it does not start, or one of that name is something else.
        """
        reason = obstacle()
        if reason:
            raise BoardUnavailable(reason)
        with self.layout.locked():
            running = self._find(spec.name)
            if running and running.alive:
                return _same(running, spec)
            taken = network.addresses_in_use()
            address = spec.address or network.free_address(taken)
            if address in taken:
                raise BoardError(f"another board has the address {address}: see `python -m tests.boards list`")
            try:
                network.ensure_bridge(address)
                board = self._start(spec, address, self._prepare(spec, attached))
            except BaseException:
                self._remove_what_is_idle()
                raise
        try:
            _await_sshd(board)
        except BoardError:
            self.down(spec.name)
            raise
        return board

    def down(self, name: str) -> None:
        """End a board and all that runs on it; the files of its tree stay."""
        with self.layout.locked():
            board = self._find(name)
            if board is None:
                raise BoardError(f"no board {name!r}: see `python -m tests.boards list`")
            self._end(board)
            self._remove_what_is_idle()

    def down_all(self) -> None:
        """End every board, and remove the bridge and the emulation that were set up for them."""
        with self.layout.locked():
            for board in self.list():
                self._end(board)
            self._remove_what_is_idle()

    def list(self) -> list[Board]:
        """Return the boards that were started and not yet ended by `down`, whether or not they still run."""
        names = sorted(path.parent.name for path in self.layout.states.glob("*/board.json"))
        return [board for name in names if (board := self._find(name))]

    def get(self, name: str) -> Board:
        """Return a board that runs.

        Raises
        ------
        BoardError
            When there is none of that name.
        """
        board = self._find(name)
        if board is None or not board.alive:
            raise BoardError(f"no board {name!r} is up: see `python -m tests.boards list`")
        return board

    def _find(self, name: str) -> Board | None:
        try:
            state = json.loads((self.layout.states / name / "board.json").read_text())
        except FileNotFoundError:
            return None
        return Board(**{**state, "process": ProcessIdentity(**state["process"]), "plan": Plan(**state["plan"])})

    def _prepare(self, spec: BoardSpec, attached: bool) -> Plan:
        """Make the files that the board needs before it starts."""
        ensure_emulation(self.layout, spec.architecture)
        tree = ensure_tree(self.layout, TreeKind(spec.architecture, spec.opencl))
        state = self.layout.states / spec.name
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        _ensure_key(self.layout.key)
        _ensure_key(state / "host_key")
        return Plan(
            name=spec.name,
            tree=str(tree),
            state=str(state),
            authorized_key=self.layout.key.with_suffix(".pub").read_text(),
            cpu=spec.cpu,
            emulated_sshd=spec.architecture.emulated_sshd,
            attached=attached,
        )

    def _start(self, spec: BoardSpec, address: str, plan: Plan) -> Board:
        # By way of setsid, which leaves at once: the board is nobody's child and hears no Ctrl-C of this terminal.
        command = ["setsid", "--fork", *UNSHARE, sys.executable, "-m", "tests.boards.init", plan.to_json()]
        with Path(plan.state, "log").open("wb") as log:
            starter = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, cwd=REPOSITORY
            )
        assert starter.stdin is not None
        assert starter.stdout is not None
        with contextlib.ExitStack() as undo:
            undo.callback(starter.stdin.close)  # a board that waits for the word ends without it
            with starter.stdout:
                pid = starter.stdout.readline()
            starter.wait()
            if not pid.strip():
                raise BoardError(f"{spec.name} did not start: {_log(plan)}")
            board = Board(spec.name, spec.architecture.debian, spec.cpu, address, ProcessIdentity.of(int(pid)), plan)
            Path(plan.state, "board.json").write_text(json.dumps(asdict(board)))
            board.ssh_config.write_text(_ssh_config(board, self.layout.key))
            network.connect(board.process.pid, address)
            starter.stdin.write(b"go\n")
            starter.stdin.flush()
            if plan.attached:
                undo.pop_all()
                self._lifelines[spec.name] = starter.stdin
        return board

    def _end(self, board: Board) -> None:
        if board.alive:  # otherwise its network has gone with it, and another board may have its address
            network.disconnect(board.address)
            parent = _parent(board.process.pid)
            # The kernel ends all else in the board's namespaces before its first process counts as ended.
            if not end(board.process.pid) or still_running([parent]):
                raise BoardError(f"{board.name} does not end: process {board.process.pid}")
        with contextlib.suppress(KeyError):
            self._lifelines.pop(board.name).close()
        shutil.rmtree(board.plan.state)

    def _remove_what_is_idle(self) -> None:
        if not network.addresses_in_use():
            network.remove_bridge()
            forget_emulation()


@contextlib.contextmanager
def running_board(spec: BoardSpec, layout: Layout | None = None) -> Iterator[Board]:
    """Have a board for as long as the block runs; it ends with this process at the latest."""
    boards = Boards(layout)
    board = boards.up(spec, attached=True)
    try:
        yield board
    finally:
        boards.down(board.name)


def obstacle() -> str | None:
    """Return why this machine cannot have boards, or None where nothing that is easily seen is missing."""
    if sys.platform != "linux":
        return f"emulated boards need Linux, this is {platform.system()}"
    if os.geteuid() != 0:
        return "emulated boards need root, for namespaces and their network"
    missing = [f"{name} (package {package})" for name, package in NEEDED_COMMANDS.items() if not shutil.which(name)]
    if missing:
        return f"emulated boards need commands that are not here: {', '.join(missing)}"
    trial = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True)
    if trial.returncode:
        return f"emulated boards need namespaces, which this kernel or container refuses: {trial.stderr.strip()}"
    return None


def board_spec(
    name: str, arch: str, *, cpu: str | None = None, address: str | None = None, opencl: bool = False
) -> BoardSpec:
    """Return what is asked for, checked and with its defaults filled in.

    Raises
    ------
    BoardError
        When the architecture or the address is not one that boards can have.
    """
    kind = architecture(arch)
    if not name.replace("-", "").isalnum() or name == "all":
        raise BoardError(f"{name!r} cannot be a board's name: letters, digits and hyphens, and not `all`")
    if address is not None:
        network.check_address(address)
    return BoardSpec(name, kind, cpu or kind.cpu, address, opencl)


def _same(running: Board, spec: BoardSpec) -> Board:
    tree = TreeKind(spec.architecture, spec.opencl).name
    asked = (spec.architecture.debian, spec.cpu, spec.address or running.address, tree)
    if (running.arch, running.cpu, running.address, Path(running.plan.tree).name) != asked:
        raise BoardError(f"a board {spec.name!r} that is something else is up: end it with `down {spec.name}`")
    return running


def _ensure_key(path: Path) -> None:
    if not path.exists():
        output("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "xdevice-board", "-f", path)


def _ssh_config(board: Board, key: Path) -> str:
    return (
        f"Host {board.name} {board.address}\n"
        f"  HostName {board.address}\n"
        f"  User root\n"
        f"  IdentityFile {key}\n"
        f"  IdentitiesOnly yes\n"
        f"  BatchMode yes\n"
        f"  StrictHostKeyChecking accept-new\n"
        f"  UserKnownHostsFile {board.plan.state}/known_hosts\n"
        f"  ConnectTimeout 5\n"
        f"  LogLevel ERROR\n"
    )


def _await_sshd(board: Board) -> None:
    deadline = time.monotonic() + START_LIMIT
    while board.alive and time.monotonic() < deadline:
        try:
            with socket.create_connection((board.address, SSH_PORT), timeout=5.0) as connection:
                if connection.recv(4) == b"SSH-":
                    return
        except OSError:
            time.sleep(0.02)  # not there yet, and nothing would tell of its coming
    raise BoardError(f"no ssh server came up at {board.address}: {_log(board.plan)}")


def _log(plan: Plan) -> str:
    return Path(plan.state, "log").read_text().strip() or "its log is empty"


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
