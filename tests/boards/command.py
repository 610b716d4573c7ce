"""Run a system command and say what it was when it fails."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.boards.errors import BoardError


def output(
    *argv: str | Path,
    timeout: float = 120.0,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    data: bytes | None = None,
) -> str:
    """Run a command and return what it printed.

    Parameters
    ----------
    argv : str or Path
        The command and its arguments.
    timeout : float
        Seconds that it may take.
    env, cwd
        As for `subprocess.run`.
    data : bytes, optional
        Its standard input, which is empty otherwise.

    Raises
    ------
    BoardError
        When it fails, or takes too long.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(words, capture_output=True, timeout=timeout, env=env, cwd=cwd, input=data or b"")
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BoardError(f"`{shlex.join(words)}` did not run: {error}") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or "it printed nothing"
        raise BoardError(f"`{shlex.join(words)}` ended with status {done.returncode}: {said}")
    return done.stdout.decode(errors="replace")
