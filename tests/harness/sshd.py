"""An ssh server with keys and configuration of its own: nothing of the user's is read or written."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.boards.processes import with_variable
from tests.harness.service import Service
from tests.harness.service import ServiceError

HOST = "127.0.0.1"
SERVER = "/usr/sbin/sshd"
SEPARATION = Path("/run/sshd")  # where sshd, when it is root, keeps its privilege separation
ATTEMPTS = 5


@dataclass(frozen=True)
class Sshd:
    """An ssh server that runs.

    Attributes
    ----------
    config : Path
        The file for ``ssh -F``; the plugin takes it from ``$XDEVICE_SSH_CONFIG``.
    address : str
    port : int
        Where it listens.
    user : str
        Who can log in.
    service : Service
        The process.
    temporary : Path
        Where those who log in have their temporary files.
    """

    config: Path
    address: str
    port: int
    user: str
    service: Service
    temporary: Path

    @property
    def spec(self) -> str:
        """The specification that reaches it by address; it needs ``$XDEVICE_SSH_CONFIG``."""
        return f"ssh://{self.user}@{self.address}:{self.port}"

    @property
    def execnet_spec(self) -> str:
        """The specification that reaches it and names its configuration itself."""
        return f"ssh=xdevice-sshd//ssh_config={self.config}//python=python3"

    def processes(self) -> list[int]:
        """Return what runs of those who logged in."""
        return with_variable("TMPDIR", str(self.temporary))


def obstacle() -> str | None:
    """Return why this machine cannot have such a server, or None."""
    if not os.access(SERVER, os.X_OK):
        return f"{SERVER} is missing: install openssh-server"
    missing = [name for name in ("ssh", "ssh-keygen") if not shutil.which(name)]
    if missing:
        return f"{' and '.join(missing)} not on PATH: install openssh-client"
    return None


@contextlib.contextmanager
def running_sshd(directory: Path, *settings: str, address: str = HOST, enter: Sequence[str] = ()) -> Iterator[Sshd]:
    """Have a server for as long as the block runs; afterwards neither it nor a session of it is left.

    Parameters
    ----------
    directory : Path
        Where its keys and configuration go.
    settings : str
        More lines for its configuration, such as ``"DisableForwarding yes"``.
    address : str
        Where it listens.
    enter : sequence of str
        What is put before its command, such as nsenter and the namespace that it is to be in.

    Raises
    ------
    ServiceError
        When it does not start, does not let us in, or leaves processes behind.
    """
    for name in ("host_key", "user_key"):
        _make_key(directory / name)
    if os.geteuid() == 0:
        SEPARATION.mkdir(exist_ok=True)
    temporary = directory / "tmp"
    temporary.mkdir(exist_ok=True)
    port, service = _start(directory, address, settings, enter)
    with service:
        config = _write_client_config(directory, address, port)
        server = Sshd(config, address, port, getpass.getuser(), service, temporary)
        _log_in(server, enter)
        yield server


def _start(directory: Path, address: str, settings: Sequence[str], enter: Sequence[str]) -> tuple[int, Service]:
    for attempt in range(ATTEMPTS):
        port = _free_port()
        file = _write_server_config(directory, address, port, settings)
        service = Service([*enter, SERVER, "-D", "-e", "-f", str(file)])
        try:
            service.await_line("Server listening")
        except ServiceError:
            service.stop()
            # Between our look and its bind somebody else may have taken the port.
            if attempt == ATTEMPTS - 1 or "in use" not in service.output:
                raise
        else:
            return port, service
    raise AssertionError("unreachable")


def _write_server_config(directory: Path, address: str, port: int, settings: Sequence[str]) -> Path:
    interpreter = Path(sys.executable).parent
    file = directory / "sshd_config"
    file.write_text(
        f"ListenAddress {address}:{port}\n"
        f"HostKey {directory}/host_key\n"
        f"AuthorizedKeysFile {directory}/user_key.pub\n"
        f"PidFile none\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin prohibit-password\nStrictModes no\nUseDNS no\nMaxStartups 100\nMaxSessions 100\n"
        # The device's Python, with what is installed there, is that of this run. A home of its own, since a shell's
        # start-up files in the user's would have their say about PATH.
        f"SetEnv PATH={interpreter}:{os.environ['PATH']} HOME={directory} TMPDIR={directory}/tmp\n"
        f"Subsystem sftp internal-sftp\n" + "".join(f"{setting}\n" for setting in settings)
    )
    return file


def _write_client_config(directory: Path, address: str, port: int) -> Path:
    file = directory / "ssh_config"
    file.write_text(
        f"Host xdevice-sshd {address}\n"
        f"  HostName {address}\n"
        f"  Port {port}\n"
        f"  User {getpass.getuser()}\n"
        f"  IdentityFile {directory}/user_key\n"
        f"  IdentitiesOnly yes\n"
        f"  IdentityAgent none\n"
        f"  BatchMode yes\n"
        f"  StrictHostKeyChecking accept-new\n"
        f"  UserKnownHostsFile {directory}/known_hosts\n"
        f"  GlobalKnownHostsFile /dev/null\n"
        f"  ConnectTimeout 5\n"
        f"  LogLevel ERROR\n"
    )
    return file


def _log_in(server: Sshd, enter: Sequence[str]) -> None:
    """See that a session works, so that a test which fails later is not about that."""
    trial = [*enter, "ssh", "-F", str(server.config), "xdevice-sshd", "true"]
    done = subprocess.run(trial, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30)
    if done.returncode:
        raise ServiceError(f"the ssh server lets {server.user} not in: {done.stderr}{server.service.output}")


def _make_key(path: Path) -> None:
    if not path.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "xdevice-test", "-f", path], check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
