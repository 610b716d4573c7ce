"""The device behind ssh: nothing on it but Python and sshd.

The ssh that carries the control connection is also the master that streams are channels of. It goes without
compression, which execnet would ask for and which makes a LAN five times slower.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from ..errors import DeviceLost
from ..errors import DeviceUnreachable
from . import gateway
from . import lease
from .gateway import Control
from .lease import Applicant
from .lease import Occupancy
from .protocol import StreamWay
from .spec import Spec

FORWARD_SECONDS: Final = 20.0
SSH_FAILED: Final = 255  # ssh's exit status where it did not get as far as the remote command
LONGEST_FOLDER: Final = 80  # bytes: a Unix socket's path has 104 or 108, of which ssh takes 20 for a name of its own
# Each end gives the other up after 8 s (runtime.ssh_peer). Of two options ssh takes the first: a user's is not taken.
_ALIVE: Final = ("-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=4")
_OPTIONS: Final = (
    "-o", "BatchMode=yes",  # a test run cannot answer a password prompt
    "-o", "Compression=no",
    "-o", "ConnectTimeout=10",
    # Of what a user's configuration may have for a person's terminal:
    "-o", "ControlPersist=no",  # would outlive the run
    "-o", "ClearAllForwardings=yes",  # ports that a terminal elsewhere may hold
    "-o", "RemoteCommand=none",
)  # fmt: skip

# When this process dies, however it does, ssh's input ends, and with it the session and ssh. The shell, which waits for
# that, removes the folder with the sockets.
_SHELL: Final = 'folder=$1; shift; "$@"; status=$?; rm -rf "$folder"; exit $status'


class SshTransport:
    """One ssh connection with the session and its streams inside."""

    stream_way: StreamWay = "unix"

    def __init__(self, spec: Spec, applicant: Applicant) -> None:
        self._applicant = applicant
        self._spec = spec
        self._label = f"ssh://{spec.host}" + (f":{spec.port}" if spec.port else "")
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
        self._folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="xdevice-ssh-", dir=_parent())))
        remote = f"{self._python} -u -c {shlex.quote(gateway.BOOT_LINE)}"
        options = [*_ALIVE, *self._options(), *_OPTIONS, "-M", "-S", str(self._master)]
        try:
            self._control = gateway.over_process(
                ["sh", "-c", _SHELL, "sh", str(self._folder), "ssh", *options, "-T", self._spec.host, remote],
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
            self._forward(local, path)
            self._forwarded[path] = local
        return gateway.connect_unix(str(self._forwarded[path]))

    def close(self) -> None:
        """End the session and the connection."""
        if self._control is not None:
            self._control.close()
        self._exit.close()

    @property
    def _master(self) -> Path:
        return self._folder / "m"

    def _options(self) -> list[str]:
        """Return what leads to the device, as a user would give it to ssh."""
        config = os.environ.get("XDEVICE_SSH_CONFIG")
        chosen = ["-F", config] if config and "-F" not in self._spec.ssh_options else []
        return [*chosen, *self._spec.ssh_options, *(["-p", str(self._spec.port)] if self._spec.port else [])]

    def _advise(self, said: str, status: int | None) -> str:
        by_hand = shlex.join(["ssh", *self._options(), self._spec.host, *self._python.split(), "--version"])
        if "Host key verification failed" in said:
            return f"See that the key is the device's, and accept it, once and by hand: {by_hand}"
        if status == SSH_FAILED:
            return f"ssh could not connect; try it by hand: {by_hand}"
        return (
            f"{gateway.NEEDS}. Where {self._python!r} is not it, name another: ssh=HOST//python=PYTHON, "
            "or python = in [tool.xdevice.devices.NAME]. A shell there must print nothing when it starts"
        )

    def _forward(self, local: Path, remote: str) -> None:
        # To the master, no configuration is needed; a user's might ask for further forwardings.
        done = subprocess.run(
            ["ssh", "-F", "/dev/null", "-S", self._master, "-O", "forward", "-L", f"{local}:{remote}", self._spec.host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=FORWARD_SECONDS,
            check=False,
        )
        if done.returncode:
            raise DeviceLost(f"{self._label}: ssh could not forward a socket: {done.stderr.strip()}")


def _parent() -> str | None:
    """Return the folder for temporary folders with sockets, or None for the usual one."""
    return None if len(os.fsencode(tempfile.gettempdir())) + len("/xdevice-ssh-12345678") < LONGEST_FOLDER else "/tmp"
