"""The device behind ssh: nothing on it but Python and sshd.

The ssh that carries the control connection is also the master that streams are channels of. It goes without
compression, which execnet would ask for and which makes a LAN five times slower.
"""

from __future__ import annotations

import contextlib
import shlex
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

from ..errors import DeviceUnreachable
from . import gateway
from . import lease
from . import unix
from .control import Control
from .jump import Jump
from .lease import Applicant
from .lease import Occupancy
from .protocol import StreamWay
from .spec import Spec
from .ssh_command import alive_options
from .ssh_command import common_options
from .ssh_command import forward
from .ssh_command import own_configuration
from .ssh_command import parent_folder
from .ssh_command import SSH_FAILED

# When this process dies, however it does, ssh's input ends, and with it the session and ssh. The shell, which waits for
# that, removes the folder with the sockets.
_SHELL: Final = 'folder=$1; shift; "$@"; status=$?; rm -rf "$folder"; exit $status'


class SshTransport:
    """One ssh connection with the session and its streams inside."""

    stream_way: StreamWay = "unix"

    def __init__(self, spec: Spec, applicant: Applicant) -> None:
        self._applicant = applicant
        self._spec = spec
        self._label = spec.address
        self._python = spec.python or "python3"
        self._exit = contextlib.ExitStack()
        self._control: Control | None = None
        self._forwarded: dict[str, Path] = {}

    def open(self) -> Control:
        """Connect, start a session in the device's Python, and wait for the device to be free."""
        control = self._start()
        try:
            lease.take(control, self._applicant, self._label)
        except BaseException:
            self.close()
            raise
        return control

    def who(self) -> Occupancy:
        """Start a session beside the one that holds the device, and ask it."""
        with contextlib.closing(self):
            return lease.look(self._start())

    def release(self) -> str | None:
        """Start a session beside the one that holds the device, and have it end that one."""
        with contextlib.closing(self):
            return lease.seize(self._start())

    def _start(self) -> Control:
        if shutil.which("ssh") is None:
            raise DeviceUnreachable(f"{self._label}: there is no ssh here: install its client, openssh-client")
        temporary = tempfile.TemporaryDirectory(prefix="xdevice-ssh-", dir=parent_folder())
        self._folder = Path(self._exit.enter_context(temporary))
        jump = Jump(self._spec.via, self._configuration(), self._folder, self._spec.destination)
        self._jump = self._exit.enter_context(contextlib.closing(jump))
        remote = f"{self._python} -u -c {shlex.quote(gateway.BOOT_LINE)}"
        hops = len(self._spec.via)
        command = [
            "ssh", *alive_options(hops), *self._options(), *common_options(hops), *self._jump.arguments(),
            "-M", "-S", str(self._master), "-T", self._spec.host, remote,
        ]  # fmt: skip
        try:
            with self._jump.named(self._label):
                self._control = gateway.over_process(
                    ["sh", "-c", _SHELL, "sh", str(self._folder), *command],
                    label=f"{self._label} ({self._python})",
                    advise=self._advise,
                    is_ssh=True,
                )
        except BaseException:
            self._exit.close()
            raise
        return self._control

    def stream(self, path: str) -> socket.socket:
        """Forward a Unix socket of this machine to the worker's, and connect to it."""
        if path not in self._forwarded:
            local = self._folder / f"s{len(self._forwarded)}"
            forward(self._master, local, path, self._label)
            self._forwarded[path] = local
        return unix.connect(str(self._forwarded[path]))

    def close(self) -> None:
        """End the session and the connection."""
        if self._control is not None:
            self._control.close()
        self._exit.close()

    @property
    def _master(self) -> Path:
        return self._folder / "m"

    def _configuration(self) -> list[str]:
        """Return the option that names ssh's configuration, for the device and for jump hosts."""
        given = self._spec.ssh_options
        return list(given[given.index("-F") :][:2]) if "-F" in given else own_configuration()

    def _options(self) -> list[str]:
        """Return what leads to the device, or from the last jump host to it, as a user would give it to ssh."""
        own = [] if "-F" in self._spec.ssh_options else own_configuration()
        return [*own, *self._spec.ssh_options, *(["-p", str(self._spec.port)] if self._spec.port else [])]

    def _advise(self, said: str, status: int | None) -> str:
        way = [*self._options(), *self._jump.by_hand()]
        by_hand = shlex.join(["ssh", *way, self._spec.host, *self._python.split(), "--version"])
        if "Host key verification failed" in said:
            return f"See that the key is the device's, and accept it, once and by hand: {by_hand}"
        if status == SSH_FAILED and ("Permission denied" in said or "Too many authentication failures" in said):
            return (
                "Nobody is asked for a password: give it your key (ssh-copy-id), or name another in your ssh "
                f"configuration; try it by hand: {by_hand}"
            )
        if status == SSH_FAILED:
            return f"ssh could not connect; try it by hand: {by_hand}"
        return (
            f"{gateway.NEEDS}. Where {self._python!r} is not it, name another: ssh=HOST//python=PYTHON, "
            "or python = in [tool.xdevice.devices.NAME]. A shell there must print nothing when it starts"
        )
