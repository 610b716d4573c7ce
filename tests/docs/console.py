"""A console block of a page: its commands are run, and what they print is compared with what the page shows."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType

from tests.docs.pages import Block
from tests.harness.service import Service
from tests.harness.sshd import Sshd

PORT = "9090"  # of the pages' servers: a free one stands in for it
HOST = "raspberrypi"  # of the pages' ssh: this machine's own sshd stands in for it
_LIMIT = 120  # seconds


class Console:
    """A folder in which the blocks of a page are run, one after the other.

    Parameters
    ----------
    folder : Path
    sshd : Sshd
        What answers as the pages' board.
    """

    def __init__(self, folder: Path, sshd: Sshd) -> None:
        self._folder = folder
        self._port = str(_free_port())
        self._servers: list[Service] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "XDEVICE"))}
        self._environment = {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "XDEVICE_SSH_CONFIG": str(self._ssh_config(sshd)),
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": "80",
        }

    def __enter__(self) -> Console:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in reversed(self._servers):
            server.stop()

    def run(self, block: Block) -> None:
        """Run the commands of a block.

        Raises
        ------
        AssertionError
            If one does not print what the page shows, in which ``...`` stands for anything, or ends as it should not.
        """
        for command, shown in _commands(block.text):
            where = f"line {block.line}: $ {command}"
            here = command.replace(PORT, self._port)
            if block.word == "server":
                self._serve(here, shown.replace(PORT, self._port))
                continue
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", here],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=_LIMIT,
                check=False,
            )
            assert (done.returncode != 0) == (block.word == "fails"), f"{where}\n{done.stdout}"
            printed = done.stdout.replace(self._port, PORT)
            assert matches(shown, printed), f"{where}\nshown:\n{shown}\nprinted:\n{printed}"

    def _serve(self, command: str, expected: str) -> None:
        service = Service(["bash", "-c", f"exec {command}"], env=self._environment, cwd=str(self._folder))
        self._servers.append(service)
        service.await_line(expected.splitlines()[0])

    def _ssh_config(self, sshd: Sshd) -> Path:
        """Write a configuration in which the pages' host is the sshd here."""
        path = self._folder / ".ssh_config"
        path.write_text(re.sub(r"(?m)^Host .*$", f"Host {HOST}", sshd.config.read_text(), count=1))
        return path


def matches(expected: str, printed: str) -> bool:
    """Return whether a text is the one that a page shows; one that shows nothing takes anything."""
    parts = [re.escape(part) for part in "\n".join(map(str.rstrip, expected.splitlines())).split("...")]
    return not expected or re.fullmatch(".*".join(parts), _plain(printed), re.DOTALL) is not None


def _plain(printed: str) -> str:
    return "\n".join(line.rstrip() for line in printed.splitlines())


def _commands(text: str) -> list[tuple[str, str]]:
    """Return each command of a block with the text below it."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
