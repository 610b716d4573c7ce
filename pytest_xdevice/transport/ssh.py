"""The device behind ssh: nothing on it but Python and sshd.

One master connection is opened first, without compression (execnet would ask for it, which makes a LAN five times
slower); the control connection and the streams are channels of it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

from ..errors import DeviceUnreachable
from . import gateway
from .gateway import Control
from .protocol import StreamWay
from .spec import Spec

CONNECT_SECONDS: Final = 20.0
_OPTIONS: Final = (
    "-o", "BatchMode=yes",  # a test run cannot answer a password prompt
    "-o", "Compression=no",
    "-o", "ConnectTimeout=10",
    "-o", "ServerAliveInterval=2",
    "-o", "ServerAliveCountMax=4",
)  # fmt: skip


class SshTransport:
    """A master ssh connection with the session and its streams inside."""

    stream_way: StreamWay = "unix"

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._label = f"ssh://{spec.host}" + (f":{spec.port}" if spec.port else "")
        self._python = spec.python or "python3"
        self._exit = contextlib.ExitStack()
        self._control: Control | None = None
        self._streams = 0

    def open(self) -> Control:
        """Connect, and start a session in the device's Python."""
        self._folder = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="xdevice-ssh-")))
        try:
            self._connect()
            remote = f"{self._python} -u -c {shlex.quote(gateway.BOOT_LINE)}"
            self._control = gateway.over_process(
                self._command("-T", self._spec.host, remote),
                stderr=self._folder / "session.stderr",
                label=f"{self._label} ({self._python})",
            )
        except BaseException:
            self._exit.close()
            raise
        return self._control

    def stream(self, path: str) -> socket.socket:
        """Forward a Unix socket of this machine to the worker's, and connect to it."""
        self._streams += 1
        local = self._folder / f"s{self._streams}"
        self._forward(local, path)
        return gateway.connect_unix(str(local))

    def close(self) -> None:
        """End the session and the master connection."""
        if self._control is not None:
            self._control.close()
        self._exit.close()

    def _command(self, *arguments: str) -> list[str]:
        port = ("-p", str(self._spec.port)) if self._spec.port else ()
        config = os.environ.get("XDEVICE_SSH_CONFIG")
        chosen = ("-F", config) if config and "-F" not in self._spec.ssh_options else ()
        socket_path = str(self._folder / "master")
        return ["ssh", *chosen, *self._spec.ssh_options, *port, *_OPTIONS, "-S", socket_path, *arguments]

    def _connect(self) -> None:
        """Start the master connection and wait until it takes channels."""
        said = self._folder / "master.stderr"
        with said.open("wb") as errors:
            try:
                master = subprocess.Popen(
                    self._command("-M", "-N", "-T", self._spec.host), stdin=subprocess.DEVNULL, stderr=errors
                )
            except OSError as error:
                raise DeviceUnreachable(
                    f"{self._label}: cannot run ssh: {error.strerror}; install its client"
                ) from None
        self._exit.callback(_end, master)
        limit = time.monotonic() + CONNECT_SECONDS
        while not (self._folder / "master").exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                master.wait(0.01)
            if master.returncode is not None or time.monotonic() > limit:
                reason = said.read_text(errors="replace").strip() or f"no connection within {CONNECT_SECONDS:g} s"
                raise DeviceUnreachable(
                    f"{self._label}: ssh could not connect: {reason}. "
                    f"Try it by hand: ssh {self._spec.host} {self._python} --version"
                )

    def _forward(self, local: Path, remote: str) -> None:
        done = subprocess.run(
            self._command("-O", "forward", "-L", f"{local}:{remote}", self._spec.host),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=CONNECT_SECONDS,
            check=False,
        )
        if done.returncode:
            raise DeviceUnreachable(f"{self._label}: ssh could not forward a socket: {done.stderr.strip()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
