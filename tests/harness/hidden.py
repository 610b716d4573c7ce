"""A network that only a gateway leads to: a namespace with nothing but its loopback, and an sshd at its door."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.boards.command import output
from tests.boards.errors import BoardError
from tests.harness.service import END_LIMIT
from tests.harness.service import ServiceError
from tests.harness.sshd import HOST
from tests.harness.sshd import running_sshd
from tests.harness.sshd import SERVER
from tests.harness.sshd import Sshd


@dataclass(frozen=True)
class Hidden:
    """A hidden network, with a gateway to it and a board in it.

    Attributes
    ----------
    name : str
        The namespace's.
    gateway : Sshd
        Who logs in there is in that network; `door` leads to it from here.
    door : int
        A port of 127.0.0.1.
    board : Sshd
        An ssh server in that network, which nothing here leads to.
    """

    name: str
    gateway: Sshd
    door: int
    board: Sshd

    @property
    def within(self) -> tuple[str, ...]:
        """What a command is put after to run in that network."""
        return within(self.name)

    def cut(self) -> None:
        """Cut what is between the gateway and the board; what is under way is lost without a word."""
        output("ip", "-netns", self.name, "link", "set", "lo", "down")

    def mend(self) -> None:
        """Undo `cut`."""
        output("ip", "-netns", self.name, "link", "set", "lo", "up")


def write_client_config(path: Path, **hosts: tuple[int, Sshd]) -> Path:
    """Write a file for ``ssh -F`` by which names stand for ssh servers at ports of 127.0.0.1."""
    path.write_text(
        "".join(
            f"Host {name}\n"
            f"  HostName {HOST}\n"
            f"  Port {port}\n"
            f"  IdentityFile {server.config.parent}/user_key\n"
            f"  IdentitiesOnly yes\n"
            f"  IdentityAgent none\n"
            f"  StrictHostKeyChecking accept-new\n"
            f"  UserKnownHostsFile {path}.known\n"
            f"  GlobalKnownHostsFile /dev/null\n"
            for name, (port, server) in hosts.items()
        )
    )
    return path


def within(name: str) -> tuple[str, ...]:
    """Return what a command is put after to run in a network namespace."""
    return ("ip", "netns", "exec", name)


def obstacle() -> str | None:
    """Return why this machine cannot have such a network, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"xdtry{os.getpid()}"
    try:
        output("ip", "netns", "add", name)
        output("ip", "netns", "delete", name)
    except BoardError as error:
        return f"no network namespace can be made: {error}"
    return None


@contextlib.contextmanager
def hidden_network(directory: Path) -> Iterator[Hidden]:
    """Have such a network for as long as the block runs."""
    name = f"xdhidden{os.getpid()}"
    output("ip", "netns", "add", name)
    try:
        output("ip", "-netns", name, "link", "set", "lo", "up")
        with contextlib.ExitStack() as stack:
            servers = []
            for part in ("gateway", "board"):
                (directory / part).mkdir()
                servers.append(stack.enter_context(running_sshd(directory / part, enter=within(name))))
            gateway, board = servers
            door = stack.enter_context(_door(name, directory / "gateway" / "sshd_config"))
            yield Hidden(name, gateway, door, board)
    finally:
        output("ip", "netns", "delete", name)


@contextlib.contextmanager
def _door(name: str, config: Path) -> Iterator[int]:
    """Have a port of this machine's own loopback at which an sshd inside a namespace answers."""
    sessions: list[subprocess.Popen[bytes]] = []
    with socket.create_server((HOST, 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    command = [*within(name), SERVER, "-i", "-f", str(config)]
                    descriptor = connection.fileno()
                    sessions.append(subprocess.Popen(command, stdin=descriptor, stdout=descriptor))

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            left = [session.pid for session in sessions if not _ended(session)]
    if left:
        raise ServiceError(f"connections through the door of {name} were left: {left}")


def _ended(session: subprocess.Popen[bytes]) -> bool:
    try:
        session.wait(END_LIMIT)
    except subprocess.TimeoutExpired:
        session.kill()
        session.wait()
        return False
    return True
