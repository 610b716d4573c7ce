"""A device server behind jump hosts: connections to it are channels of one ssh to the last of them.

They begin at a Unix socket in a folder that only this user can enter, so that nobody else of this machine gets to the
server through it.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Final

from ..errors import DeviceUnreachable
from .companion import Companion
from .jump import Jump
from .spec import Spec
from .ssh_command import forward
from .ssh_command import own_configuration
from .ssh_command import parent_folder
from .ssh_words import Words

_END_SECONDS: Final = 5.0
_START_SECONDS: Final = 40.0  # longer than ssh takes to give up

# When this process dies, however it does, the shell's input ends: it ends ssh, and removes the folder with the socket.
# Its output is left to ssh alone, so that its end is ssh's.
_SHELL: Final = 'folder=$1; shift; "$@" </dev/null & exec >&-; read -r end; kill $! 2>&-; wait $!; rm -rf "$folder"'


class Tunnel:
    """Leads to a socket behind jump hosts; ssh is started when first needed.

    Parameters
    ----------
    spec : Spec
        A socket with jump hosts before it.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._exit = contextlib.ExitStack()
        self._started = False
        self._heard = 0  # bytes of ssh's words that are of earlier connections

    def connect(self) -> socket.socket:
        """Return a connection to a channel to the server, of which nobody knows yet whether it gets there.

        Raises
        ------
        JumpHostError, DeviceUnreachable
            If the last jump host cannot be reached.
        """
        if not self._started:
            try:
                self._start()
            except BaseException:
                self._exit.close()
                raise
            self._started = True
        heard = self._words.size
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(str(self._socket))
        except OSError as error:
            sock.close()
            raise self._error(f"the way through {self._spec.via[-1]} broke: {error.strerror}") from None
        self._heard = heard
        return sock

    def blame(self, error: DeviceUnreachable, *, is_silent: bool = False) -> DeviceUnreachable:
        """Return what the jump hosts have to say of an error that the last connection ended in, else that error.

        Parameters
        ----------
        error : DeviceUnreachable
        is_silent : bool
            Whether that error is that nothing came.
        """
        return self._jump.error(self._spec.address, self._words.text(self._heard), is_silent=is_silent) or error

    def close(self) -> None:
        """End ssh."""
        self._exit.close()
        self._started = False
        self._heard = 0

    def _start(self) -> None:
        if shutil.which("ssh") is None:
            raise DeviceUnreachable(f"{self._spec.address}: there is no ssh here: install its client, openssh-client")
        temporary = tempfile.TemporaryDirectory(prefix="xdevice-ssh-", dir=parent_folder())
        folder = Path(self._exit.enter_context(temporary))
        self._socket = folder / "s"
        jump = Jump(self._spec.via, own_configuration(), folder, self._spec.destination)
        self._jump = self._exit.enter_context(contextlib.closing(jump))
        self._words = self._exit.enter_context(contextlib.closing(Words(folder / "last")))
        command = [
            "ssh", "-N", "-T", "-M", "-S", str(folder / "m"),
            "-o", "PermitLocalCommand=yes", "-o", "LocalCommand=echo ready",  # it does so once it can be a master
            "-o", "LogLevel=INFO",  # says why there is no connection onwards
            *self._jump.last_hop(),
        ]  # fmt: skip
        shell = Companion(["sh", "-c", _SHELL, "sh", str(folder), *command], self._words.descriptor, _END_SECONDS)
        self._exit.callback(shell.close)
        ready = shell.line(_START_SECONDS)
        if ready is None:
            raise self._error(f"ssh was silent for {_START_SECONDS:g} s")
        if not ready:
            raise self._error("ssh ended without a word")
        forward(folder / "m", self._socket, f"[{self._spec.host}]:{self._spec.port}", self._spec.address)

    def _error(self, problem: str) -> DeviceUnreachable:
        return self.blame(DeviceUnreachable(f"{self._spec.address}: {problem}"))
