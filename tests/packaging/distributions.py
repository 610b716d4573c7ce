"""The project as its users get it: the sdist and the wheel, and environments with nothing but the wheel."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]


@dataclass(frozen=True)
class Distributions:
    """What a release uploads.

    Attributes
    ----------
    sdist, wheel : Path
    """

    sdist: Path
    wheel: Path


@dataclass(frozen=True)
class Environment:
    """A virtual environment that the source tree is not in.

    Attributes
    ----------
    folder : Path
    """

    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def run(self, *command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run one of its programs; pytest's options from outside do not reach it."""
        program, *arguments = map(str, command)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHON", "XDEVICE"))
        }
        return subprocess.run(
            [str(self.folder / "bin" / program), *arguments],
            cwd=cwd,
            env={**kept, "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def build_distributions(folder: Path) -> Distributions:
    """Build the sdist from this tree, and the wheel from the sdist.

    The build's own requirements are those of this environment, so that no network is needed.
    """
    module("build", "--no-isolation", "--outdir", str(folder), str(REPOSITORY))
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return Distributions(sdist, wheel)


def make_environment(folder: Path, *install: str) -> Environment:
    """Make an environment and install what is named, from the package index or uv's cache of it."""
    module("uv", "venv", "--quiet", "--python", sys.executable, str(folder))
    environment = Environment(folder)
    module("uv", "pip", "install", "--quiet", "--python", str(environment.python), *install)
    return environment


def module(name: str, *arguments: str) -> str:
    """Run a program of this environment and return what it printed.

    Raises
    ------
    AssertionError
        If it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", name, *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
