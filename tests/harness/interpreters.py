"""Find other Pythons on this machine: the oldest that a device may have is not the one that runs the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

OLDEST = (3, 8)


def find_python(version: tuple[int, int] = OLDEST) -> str | None:
    """Return a Python of exactly this version, from PATH or from pyenv, that starts; or None."""
    for candidate in _candidates(version):
        if _version(candidate) == version:
            return candidate
    return None


def _candidates(version: tuple[int, int]) -> list[str]:
    name = f"{version[0]}.{version[1]}"
    on_path = shutil.which(f"python{name}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    installed = sorted(str(path) for path in pyenv.glob(f"{name}.*/bin/python3"))
    return ([on_path] if on_path else []) + installed


def _version(python: str) -> tuple[int, int] | None:
    # A pyenv shim is there for versions that are not selected, too, and then only prints what it could have run.
    program = "import sys; print(*sys.version_info[:2])"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        return None
    major, minor = done.stdout.split()
    return int(major), int(minor)
