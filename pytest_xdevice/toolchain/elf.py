"""Reads the parts of ELF files that the toolchain decides by: machine, flags, sections, symbols, needed libraries."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

EM_386: Final = 3
EM_ARM: Final = 40
EM_X86_64: Final = 62
EM_AARCH64: Final = 183
EM_RISCV: Final = 243
ET_REL: Final = 1
ET_DYN: Final = 3
EF_ARM_ABI_FLOAT_SOFT: Final = 0x200
EF_ARM_ABI_FLOAT_HARD: Final = 0x400
EF_RISCV_FLOAT_ABI: Final = 0x6
EF_RISCV_FLOAT_ABI_DOUBLE: Final = 0x4

_SHT_SYMTAB: Final = 2
_SHT_NOBITS: Final = 8
_SHT_DYNSYM: Final = 11
_SHT_DYNAMIC: Final = 6
_SHT_VERNEED: Final = 0x6FFFFFFE
_SHT_VERDEF: Final = 0x6FFFFFFD
_SHT_VERSYM: Final = 0x6FFFFFFF
_DT_NEEDED: Final = 1
_DT_SONAME: Final = 14
_SHN_UNDEF: Final = 0
_STB_LOCAL: Final = 0
_STB_WEAK: Final = 2
_FUNCTIONS: Final = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
_HIDDEN_VERSION: Final = 0x8000


class ElfError(ValueError):
    """Bytes that are no little-endian ELF file, or one that is cut short."""


@dataclass(frozen=True)
class Section:
    """A section header, with the bytes that it stands for."""

    name: str
    type: int
    link: int
    data: bytes


@dataclass(frozen=True)
class Symbol:
    """A symbol that is not local.

    Attributes
    ----------
    name : str
    defined : bool
    version : str
        Its symbol version, such as ``"GLIBC_2.17"``; empty where it has none.
    is_weak : bool
        Whether it may stay undefined.
    is_function : bool
    value : int
        Its address in a shared object.
    """

    name: str
    defined: bool
    version: str = ""
    is_weak: bool = False
    is_function: bool = False
    value: int = 0


class ElfFile:
    """An ELF file held in memory.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    ElfError
        If `data` is no little-endian ELF file.
    """

    def __init__(self, data: bytes) -> None:
        if data[:4] != b"\x7fELF" or len(data) < 52:
            raise ElfError("not an ELF file")
        if data[5] != 1:
            raise ElfError("a big-endian ELF file, which no supported target uses")
        self._data = data
        self.bits: Final = 64 if data[4] == 2 else 32
        self.type, self.machine = struct.unpack_from("<HH", data, 16)
        self.flags: int = struct.unpack_from("<I", data, 48 if self.bits == 64 else 36)[0]

    @property
    def is_shared(self) -> bool:
        """Whether it is a shared object, as opposed to a relocatable one."""
        return bool(self.type == ET_DYN)

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """All sections in order, the null section included."""
        try:
            headers = list(self._headers())
            strings = self._bytes_of(headers[self._string_index]) if headers else b""
            return tuple(Section(_text(strings, h[0]), h[1], h[6], self._bytes_of(h)) for h in headers)
        except (struct.error, IndexError) as error:
            raise ElfError("an ELF file that is cut short or damaged") from error

    def section(self, name: str) -> bytes | None:
        """Return the bytes of the section called `name`, or None when there is none."""
        return next((section.data for section in self.sections if section.name == name), None)

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """The symbols of the dynamic symbol table, or of the static one in a relocatable file; no local ones."""
        wanted = _SHT_DYNSYM if self.is_shared else _SHT_SYMTAB
        for section in self.sections:
            if section.type == wanted:
                return tuple(self._read_symbols(section))
        return ()

    @property
    def undefined(self) -> tuple[str, ...]:
        """Names that this file leaves to others."""
        return tuple(symbol.name for symbol in self.symbols if not symbol.defined)

    @property
    def required(self) -> tuple[str, ...]:
        """Names that another file must define: a weak one need not be."""
        return tuple(symbol.name for symbol in self.symbols if not symbol.defined and not symbol.is_weak)

    @cached_property
    def defined(self) -> frozenset[str]:
        """Names that this file defines for others."""
        return frozenset(symbol.name for symbol in self.symbols if symbol.defined)

    @property
    def has_lines(self) -> bool:
        """Whether it says of its code which lines it is from."""
        return self.section(".debug_line") is not None

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The libraries of DT_NEEDED, in order."""
        return tuple(name for tag, name in self._dynamic_strings() if tag == _DT_NEEDED)

    @cached_property
    def soname(self) -> str:
        """DT_SONAME, or an empty string."""
        return next((name for tag, name in self._dynamic_strings() if tag == _DT_SONAME), "")

    @property
    def _string_index(self) -> int:
        return int(struct.unpack_from("<H", self._data, 62 if self.bits == 64 else 50)[0])

    def _headers(self) -> Iterator[tuple[int, ...]]:
        wide = self.bits == 64
        layout = struct.Struct("<IIQQQQIIQQ" if wide else "<10I")
        (start,) = struct.unpack_from("<Q" if wide else "<I", self._data, 40 if wide else 32)
        (count,) = struct.unpack_from("<H", self._data, 60 if wide else 48)
        for index in range(count):
            yield layout.unpack_from(self._data, start + index * layout.size)

    def _bytes_of(self, header: tuple[int, ...]) -> bytes:
        kind, offset, size = header[1], header[4], header[5]
        if kind == _SHT_NOBITS:
            return b""
        if offset + size > len(self._data):
            raise ElfError("an ELF file that is cut short")
        return self._data[offset : offset + size]

    def _read_symbols(self, table: Section) -> Iterator[Symbol]:
        strings = self.sections[table.link].data
        layout = struct.Struct("<IBBHQQ" if self.bits == 64 else "<IIIBBH")
        versions = self._version_of_symbol()
        for index in range(1, len(table.data) // layout.size):
            fields = layout.unpack_from(table.data, index * layout.size)
            info, place = (fields[1], fields[3]) if self.bits == 64 else (fields[3], fields[5])
            name = _text(strings, fields[0])
            if info >> 4 != _STB_LOCAL and name:
                version = versions.get(index, "") if self.is_shared else ""
                kind = info & 0xF
                value = fields[4] if self.bits == 64 else fields[1]
                yield Symbol(name, place != _SHN_UNDEF, version, info >> 4 == _STB_WEAK, kind in _FUNCTIONS, value)

    def _version_of_symbol(self) -> dict[int, str]:
        names = dict(self._version_names())
        for section in self.sections:
            if section.type == _SHT_VERSYM:
                entries = struct.unpack(f"<{len(section.data) // 2}H", section.data)
                return {index: names.get(entry & ~_HIDDEN_VERSION, "") for index, entry in enumerate(entries)}
        return {}

    def _version_names(self) -> Iterator[tuple[int, str]]:
        for section in self.sections:
            if section.type == _SHT_VERNEED:
                yield from _needed_versions(section.data, self.sections[section.link].data)
            elif section.type == _SHT_VERDEF:
                yield from _defined_versions(section.data, self.sections[section.link].data)

    def _dynamic_strings(self) -> Iterator[tuple[int, str]]:
        for section in self.sections:
            if section.type == _SHT_DYNAMIC:
                strings = self.sections[section.link].data
                layout = struct.Struct("<QQ" if self.bits == 64 else "<II")
                for offset in range(0, len(section.data) - layout.size + 1, layout.size):
                    tag, value = layout.unpack_from(section.data, offset)
                    if tag in (_DT_NEEDED, _DT_SONAME):
                        yield tag, _text(strings, value)


def _needed_versions(data: bytes, strings: bytes) -> Iterator[tuple[int, str]]:
    at = 0
    while at < len(data):
        _, count, _, first, following = struct.unpack_from("<HHIII", data, at)
        entry = at + first
        for _ in range(count):
            _, _, index, name, step = struct.unpack_from("<IHHII", data, entry)
            yield index, _text(strings, name)
            entry += step
        if not following:
            return
        at += following


def _defined_versions(data: bytes, strings: bytes) -> Iterator[tuple[int, str]]:
    at = 0
    while at < len(data):
        _, flags, index, _, _, first, following = struct.unpack_from("<HHHHIII", data, at)
        name = struct.unpack_from("<I", data, at + first)[0]
        if not flags & 1:  # VER_FLG_BASE names the file itself
            yield index, _text(strings, name)
        if not following:
            return
        at += following


def _text(strings: bytes, offset: int) -> str:
    return strings[offset : strings.index(b"\0", offset)].decode("utf-8", "replace")
