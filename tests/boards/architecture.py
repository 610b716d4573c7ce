"""The architectures that a board can have, as Debian, the kernel, QEMU and ELF name them."""

from __future__ import annotations

from dataclasses import dataclass

from tests.boards.errors import BoardError


@dataclass(frozen=True)
class Architecture:
    """One architecture.

    Attributes
    ----------
    debian : str
        Debian's name for it; also the name on the command line.
    machine : str
        What ``uname -m`` prints on such a board.
    qemu : str
        Suffix of QEMU's user-mode emulator.
    elf_class : int
        1 for 32-bit ELF files, 2 for 64-bit ones.
    elf_machine : int
        ``e_machine`` of its executables.
    cpu : str
        Processor that is emulated unless another is asked for.
    suites : tuple of str
        Debian releases to take the board's files from, the first that carries the architecture.
    emulated_sshd : bool
        Whether the board runs its own sshd. Where QEMU lacks the seccomp filters that a newer sshd insists on, this
        machine's sshd answers inside the board's namespaces and enters the board for every command.
    """

    debian: str
    machine: str
    qemu: str
    elf_class: int
    elf_machine: int
    cpu: str
    suites: tuple[str, ...] = ("bookworm", "trixie")
    emulated_sshd: bool = True

    def elf_header(self) -> bytes:
        """Return the first 20 bytes of an executable of this architecture: all that the kernel looks at."""
        identification = b"\x7fELF" + bytes([self.elf_class, 1, 1]) + bytes(9)
        return identification + (2).to_bytes(2, "little") + self.elf_machine.to_bytes(2, "little")


ARCHITECTURES = {
    architecture.debian: architecture
    for architecture in (
        Architecture("arm64", "aarch64", "aarch64", 2, 183, "cortex-a53"),
        Architecture("armhf", "armv7l", "arm", 1, 40, "cortex-a7"),
        Architecture(
            "riscv64", "riscv64", "riscv64", 2, 243, "rv64", suites=("trixie", "forky", "sid"), emulated_sshd=False
        ),
    )
}


def architecture(name: str) -> Architecture:
    """Return the architecture that Debian calls `name`.

    Raises
    ------
    BoardError
        When there is no such board; the message lists those that there are.
    """
    if name not in ARCHITECTURES:
        raise BoardError(f"no boards of architecture {name!r}: choose one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]
