"""Have the kernel run another architecture's programs through QEMU, in namespaces and chroots as well.

The registration (binfmt_misc) belongs to the whole kernel, so a handler that is there already is used as it is. Its F
flag matters: the kernel then holds the emulator open itself, and a board's tree needs no copy of it.
"""

from __future__ import annotations

import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.boards.architecture import Architecture
from tests.boards.archive import Archive
from tests.boards.archive import unpack
from tests.boards.command import output
from tests.boards.errors import BoardError
from tests.boards.errors import BoardUnavailable
from tests.boards.layout import Layout

REGISTRY = Path("/proc/sys/fs/binfmt_misc")
PREFIX = "xdevice-"
# From release 10 on, QEMU shows a board's programs the emulated processor in /proc/cpuinfo.
QEMU_SUITES = ("trixie", "forky", "sid")
# The class, byte order and version count; the ABI does not; ET_EXEC and ET_DYN differ in the lowest bit of e_type.
MASK = bytes.fromhex("ffffffffffffff00fffffffffffffffffeffffff")


@dataclass(frozen=True)
class Handler:
    """One entry of binfmt_misc, as its file shows it."""

    name: str
    interpreter: str
    flags: str
    enabled: bool
    offset: int
    magic: bytes
    mask: bytes

    @classmethod
    def parse(cls, name: str, text: str) -> Handler:
        """Read an entry's file."""
        lines = text.splitlines()
        fields = {line.split()[0].rstrip(":"): line.partition(" ")[2] for line in lines[1:] if line.strip()}
        magic = bytes.fromhex(fields.get("magic", ""))
        return cls(
            name=name,
            interpreter=fields.get("interpreter", ""),
            flags=fields.get("flags", ""),
            enabled=lines[0] == "enabled",
            offset=int(fields.get("offset", "0")),
            magic=magic,
            mask=bytes.fromhex(fields["mask"]) if "mask" in fields else b"\xff" * len(magic),
        )

    def runs(self, header: bytes) -> bool:
        """Tell whether the kernel would give this handler a program that begins with `header`."""
        seen = header[self.offset : self.offset + len(self.magic)]
        if not self.enabled or not self.magic or len(seen) < len(self.magic):
            return False
        return all(a & m == b & m for a, b, m in zip(seen, self.magic, self.mask, strict=True))


def ensure_emulation(layout: Layout, architecture: Architecture) -> None:
    """Make this kernel run programs of `architecture`.

    Raises
    ------
    BoardUnavailable
        When the kernel has no binfmt_misc, or a handler of somebody else's is in the way.
    """
    if platform.machine() == architecture.machine:
        return
    _mount_registry()
    handler = next((each for each in handlers() if each.runs(architecture.elf_header())), None)
    if handler is None:
        _register(layout, architecture)
    elif "F" not in handler.flags:
        raise BoardUnavailable(
            f"{REGISTRY / handler.name} runs {architecture.machine} programs through {handler.interpreter} without "
            f"flag F, so no board could find that emulator: remove it with `echo -1 > {REGISTRY / handler.name}`"
        )


def forget_emulation() -> None:
    """Remove the handlers that were registered for boards."""
    for handler in handlers():
        if handler.name.startswith(PREFIX):
            (REGISTRY / handler.name).write_text("-1")


def handlers() -> list[Handler]:
    """Return every handler that is registered with the kernel, in the order in which their names sort."""
    if not REGISTRY.is_dir():
        return []
    entries = (path for path in sorted(REGISTRY.iterdir()) if path.name not in ("register", "status"))
    return [Handler.parse(path.name, path.read_text()) for path in entries]


def registration(name: str, header: bytes, interpreter: Path) -> bytes:
    """Return the line that registers `interpreter` for programs that begin with `header`."""
    magic, mask = ("".join(f"\\x{byte:02x}" for byte in data) for data in (header, MASK))
    return f":{name}:M::{magic}:{mask}:{interpreter}:OPF".encode()


def _mount_registry() -> None:
    if (REGISTRY / "register").exists():
        return
    try:
        output("mount", "-t", "binfmt_misc", "binfmt_misc", REGISTRY)
    except BoardError as error:
        raise BoardUnavailable(f"this kernel gives no binfmt_misc: {error}") from error


def _register(layout: Layout, architecture: Architecture) -> None:
    emulator = layout.emulators / f"qemu-{architecture.qemu}"
    if not emulator.exists():
        _fetch_emulator(layout, emulator)
    # QEMU reads off this name that the kernel hands it the original argv[0] (flag P).
    alias = layout.emulators / f"{architecture.qemu}-binfmt-P"
    alias.unlink(missing_ok=True)
    alias.symlink_to(emulator.name)
    line = registration(PREFIX + architecture.qemu, architecture.elf_header(), alias)
    (REGISTRY / "register").write_bytes(line)


def _fetch_emulator(layout: Layout, emulator: Path) -> None:
    layout.emulators.mkdir(parents=True, exist_ok=True)
    own = output("dpkg", "--print-architecture").strip()
    with tempfile.TemporaryDirectory(dir=layout.root) as name:
        directory = Path(name)
        archive = Archive.open(directory / "apt", own, QEMU_SUITES)
        unpack(archive.fetch_alone("qemu-user"), directory, only=f"./usr/bin/{emulator.name}")
        (directory / "usr" / "bin" / emulator.name).rename(emulator)
