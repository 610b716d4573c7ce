"""Reads static libraries, ``ar`` archives of GNU's or LLVM's form, and finds what a link leaves undefined."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .elf import ElfError
from .elf import ElfFile

_MAGIC: Final = b"!<arch>\n"
_HEADER: Final = 60
_TABLES: Final = ("/", "/SYM64/", "__.SYMDEF")


@dataclass(frozen=True)
class Member:
    """A file in a static library."""

    name: str
    data: bytes


def is_archive(data: bytes) -> bool:
    """Tell whether a file is a static library."""
    return data.startswith(_MAGIC)


def archive_members(data: bytes) -> Iterator[Member]:
    """Yield the members of a static library, in order, without the tables of symbols and of long names.

    Raises
    ------
    ElfError
        If it is cut short.
    """
    names = b""
    at = len(_MAGIC)
    while at + _HEADER <= len(data):
        header = data[at : at + _HEADER]
        try:
            size = int(header[48:58])
        except ValueError:
            raise ElfError("a static library that is damaged") from None
        content = data[at + _HEADER : at + _HEADER + size]
        if len(content) < size or header[58:] != b"`\n":
            raise ElfError("a static library that is cut short")
        name = header[:16].decode("ascii", "replace").rstrip()
        if name == "//":
            names = content
        elif name.startswith("/") and name[1:].isdigit():
            start = int(name[1:])
            yield Member(names[start : names.index(b"/\n", start)].decode("utf-8", "replace"), content)
        elif name not in _TABLES:
            yield Member(name.rstrip("/"), content)
        at += _HEADER + size + size % 2


def elf_files(data: bytes) -> tuple[ElfFile, ...]:
    """Return the ELF files in a file: itself, or the members of a static library.

    Raises
    ------
    ElfError
        If it is neither.
    """
    if not is_archive(data):
        return (ElfFile(data),)
    return tuple(ElfFile(member.data) for member in archive_members(data))


@dataclass(frozen=True)
class Resolution:
    """What a link of objects and static libraries takes.

    Attributes
    ----------
    objects : tuple of bytes
        The objects, and those members of the libraries that they call.
    undefined : tuple of str
        The names that all of them leave undefined.
    """

    objects: tuple[bytes, ...]
    undefined: tuple[str, ...]


def resolve(inputs: Sequence[bytes]) -> Resolution:
    """Find what of the static libraries among `inputs` a link takes, in whatever order they are given."""
    objects = [data for data in inputs if not is_archive(data)]
    members = [(ElfFile(member.data), member.data) for data in inputs if is_archive(data) for member in
               archive_members(data)]  # fmt: skip
    defined: set[str] = set()
    wanted: dict[str, None] = {}
    fresh = [ElfFile(data) for data in objects]
    while fresh:
        for file in fresh:
            defined |= file.defined
            wanted.update(dict.fromkeys(file.required))
        fresh = []
        for member in list(members):
            if (member[0].defined & wanted.keys()) - defined:
                members.remove(member)
                fresh.append(member[0])
                objects.append(member[1])
                defined |= member[0].defined
    return Resolution(tuple(objects), tuple(name for name in wanted if name not in defined))
