"""What a server and all its processes have of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.harness.server import DeviceServer


@dataclass(frozen=True)
class Usage:
    """What is taken at one time.

    Attributes
    ----------
    memory : int
        Bytes that the server process has in memory.
    descriptors, threads : int
        That it has.
    processes : int
        That descend from it.
    files : int
        In its folder for temporary files.
    """

    memory: int
    descriptors: int
    threads: int
    processes: int
    files: int

    def __str__(self) -> str:
        return (
            f"{self.memory / 2**20:.1f} MiB, {self.descriptors} descriptors, {self.threads} threads, "
            f"{self.processes} processes, {self.files} files"
        )

    def exceeds(self, before: Usage, memory: int = 4 << 20) -> bool:
        """Return whether more is taken than `before`; of memory, whose pages a process keeps, by so many bytes."""
        return (
            self.memory > before.memory + memory
            or self.descriptors > before.descriptors
            or self.threads > before.threads
            or self.processes > before.processes
            or self.files > before.files
        )


def usage(server: DeviceServer, temporary: Path) -> Usage:
    """Return what a server has now."""
    process = Path(f"/proc/{server.service.process.pid}")
    return Usage(
        memory=int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
        descriptors=len(os.listdir(process / "fd")),
        threads=len(os.listdir(process / "task")),
        processes=len(server.service.descendants()),
        files=sum(len(folders) + len(files) for _, folders, files in os.walk(temporary)),
    )
