"""Where the harness keeps its files: one directory that holds emulators, trees, and the state of each board."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT_VARIABLE = "XDEVICE_BOARDS"
MACHINE = "/run"  # a directory that is there once on every machine, and that may be locked without writing to it


@dataclass(frozen=True)
class Layout:
    """The directory below which everything lives."""

    root: Path

    @classmethod
    def default(cls) -> Layout:
        """Return the layout below ``$XDEVICE_BOARDS``, or below the user's cache directory."""
        named = os.environ.get(ROOT_VARIABLE)
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cls(Path(named).absolute() if named else cache / "pytest-xdevice" / "boards")

    @property
    def emulators(self) -> Path:
        """QEMU's user-mode emulators."""
        return self.root / "qemu"

    @property
    def trees(self) -> Path:
        """One Debian tree a kind of board; boards share them read-only."""
        return self.root / "trees"

    @property
    def states(self) -> Path:
        """One directory a board: its state, log and ssh configuration."""
        return self.root / "run"

    @property
    def key(self) -> Path:
        """The private ssh key that every board lets in."""
        return self.root / "ssh_key"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing what boards share, for as long as the block runs.

        The bridge and the emulation are shared by all boards of the machine, wherever their files are.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(MACHINE, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
