"""What every ssh that is started here has in common: its options, and the folder for its sockets."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from ..errors import DeviceLost

SSH_FAILED: Final = 255  # ssh's exit status where it did not get as far as the remote command
_FORWARD_SECONDS: Final = 20.0
_CONNECT_SECONDS: Final = 10
_EACH_HOP_SECONDS: Final = 5
_ALIVE_SECONDS: Final = 2
_ALIVE_COUNT: Final = 4
_LONGEST_FOLDER: Final = 80  # bytes: a Unix socket's path has 104 or 108, of which ssh takes 20 for a name of its own
_OPTIONS: Final = (
    "-o", "BatchMode=yes",  # a test run cannot answer a password prompt
    "-o", "Compression=no",
    # Of what a user's configuration may have for a person's terminal:
    "-o", "ControlPersist=no",  # would outlive the run
    "-o", "ClearAllForwardings=yes",  # ports that a terminal elsewhere may hold
    "-o", "RemoteCommand=none",
)  # fmt: skip


def common_options(hops: int = 0) -> list[str]:
    """Return the options that hold for the device and for jump hosts.

    Parameters
    ----------
    hops : int
        How many jump hosts are before: a connection through them has more patience than theirs, so that the first of
        them to fail is the one that says so.
    """
    return [
        *_OPTIONS,
        "-o", f"ConnectTimeout={_CONNECT_SECONDS + _EACH_HOP_SECONDS * hops}",
    ]  # fmt: skip


def alive_options(hops: int = 0) -> list[str]:
    """Return the options by which a peer that falls silent is given up, as patiently as `common_options` has it.

    They go before a user's: of two options of a kind ssh takes the first.
    """
    return ["-o", f"ServerAliveInterval={_ALIVE_SECONDS}", "-o", f"ServerAliveCountMax={_ALIVE_COUNT + hops}"]


def forward(master: Path, local: Path, remote: str, label: str) -> None:
    """Have a master forward a Unix socket of this machine.

    Parameters
    ----------
    master : Path
        The master's socket.
    local : Path
        The socket to listen at.
    remote : str
        What it leads to, as ``-L`` has it: a Unix socket's path, or ``host:port``.
    label : str
        Names the device in messages.

    Raises
    ------
    DeviceLost
        If ssh says no.
    """
    # To the master, no configuration is needed; a user's might ask for further forwardings. Nor does the host matter.
    done = subprocess.run(
        ["ssh", "-F", "/dev/null", "-S", master, "-O", "forward", "-L", f"{local}:{remote}", "device"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_FORWARD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise DeviceLost(f"{label}: ssh could not forward a socket: {done.stderr.strip()}")


def own_configuration() -> list[str]:
    """Return the option that names the configuration in ``XDEVICE_SSH_CONFIG``, if that is set."""
    config = os.environ.get("XDEVICE_SSH_CONFIG")
    return ["-F", config] if config else []


def parent_folder() -> str | None:
    """Return the folder for temporary folders with sockets, or None for the usual one."""
    return None if len(os.fsencode(tempfile.gettempdir())) + len("/xdevice-ssh-12345678") < _LONGEST_FOLDER else "/tmp"
