"""``xdevice completion``, and the answers to a shell that completes a command line."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..config import find_pyproject
from ..config import read_named_devices
from ..errors import XDeviceError


def shell_code(shell: str) -> str:
    """Return what makes a shell complete the command.

    Parameters
    ----------
    shell : {"bash", "zsh", "fish"}

    Raises
    ------
    XDeviceError
        If argcomplete is not installed.
    """
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise XDeviceError(
            "completion needs argcomplete; install it with: python -m pip install 'pytest-xdevice[completion]'"
        ) from None
    code: str = shellcode(["xdevice"], shell=shell)
    return code


def answer_shell(parser: argparse.ArgumentParser) -> None:
    """Tell the shell that asks what may come next, and leave; where argcomplete is not installed, nothing."""
    try:
        import argcomplete
    except ImportError:
        return
    argcomplete.autocomplete(parser)


def device_names(prefix: str, **_: Any) -> list[str]:
    """Return the named devices that begin with `prefix`, and `local`; argcomplete asks."""
    try:
        named = read_named_devices(find_pyproject(Path.cwd()))
    except XDeviceError:
        named = {}  # a mistake in the files is told when the command runs
    return [name for name in ("local", *named) if name.startswith(prefix)]
