"""A mount namespace in which the folders of a device are as a test wants them: small, read-only, noexec, not there."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.harness.service import Service


@dataclass(frozen=True)
class Namespace:
    """A namespace that exists for as long as its process.

    Attributes
    ----------
    service : Service
        The process.
    """

    service: Service

    @property
    def enter(self) -> list[str]:
        """What, put before a command, runs it there."""
        return ["nsenter", "--target", str(self.service.process.pid), "--mount", "--"]

    def path(self, there: str) -> Path:
        """Return the path, as seen from outside, of what has the path `there` inside."""
        return Path(f"/proc/{self.service.process.pid}/root", there.lstrip("/"))


def obstacle() -> str | None:
    """Return why this machine cannot have such a namespace, or None."""
    if os.geteuid() != 0:
        return "mount namespaces need root"
    missing = [name for name in ("unshare", "nsenter") if not shutil.which(name)]
    if missing:
        return f"{' and '.join(missing)} not on PATH: install util-linux"
    trial = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True)
    return f"this kernel or container refuses mount namespaces: {trial.stderr.strip()}" if trial.returncode else None


@contextlib.contextmanager
def mounted(script: str) -> Iterator[Namespace]:
    """Have a namespace that a shell script has prepared by mounting things."""
    with Service(["unshare", "--mount", "sh", "-ec", f"{script}\necho mounted\nexec sleep infinity"]) as service:
        service.await_line("mounted")
        yield Namespace(service)
