"""Compiles translation units once for each content of all their files, headers included."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final
from typing import TYPE_CHECKING

from .c_compiler import CCompiler
from .c_compiler import check_unit
from .c_compiler import compile_unit
from .c_compiler import environment
from .c_compiler import Unit
from .cache import Cache

if TYPE_CHECKING:
    from pytest_xdevice.target import Target

_FORMAT: Final = "c object 2"


@dataclass(frozen=True)
class Stamp:
    """What a file was like when it was read; equal as long as nobody writes it."""

    path: str
    facts: tuple[int, int, int] | None

    @classmethod
    def of(cls, path: str) -> Stamp:
        """Return the stamp of a file as it is now."""
        try:
            found = os.stat(path)
        except OSError:
            return cls(path, None)
        return cls(path, (found.st_mtime_ns, found.st_size, found.st_ino))


@dataclass(frozen=True)
class CachedObject:
    """An object file, and the user's files that it depends on; `key` changes with any, and with the system's."""

    key: str
    data: bytes
    stamps: tuple[Stamp, ...]


def compiled(cache: Cache, compiler: CCompiler, unit: Unit, target: Target) -> CachedObject:
    """Return the object of a unit: from the cache, if a compilation of the same files is there.

    Raises
    ------
    CompileError
        With what the compiler wrote.
    """
    command = compiler.command(target, unit.language, unit.flags)
    recipe = _digest([_FORMAT, compiler.identity, environment(), *command, unit.language, unit.folder, unit.path])
    recipe = _digest([recipe, _hash_of(Path(unit.folder, unit.path)) or ""])
    listed = cache.get(recipe)
    if listed is not None:
        files: list[str] = json.loads(listed)
        stamps = _stamps(files, command)
        key = _object_key(recipe, files)
        data = cache.get(key)
        if data is not None:
            return CachedObject(key, data, stamps)
    made = compile_unit(compiler, unit, target)
    files = [os.path.join(unit.folder, name) for name in made.dependencies]
    stamps = _stamps(files, command)
    key = _object_key(recipe, files)
    cache.put(recipe, json.dumps(files).encode())
    cache.put(key, made.data)
    return CachedObject(key, made.data, stamps)


def _stamps(files: Sequence[str], command: Sequence[str]) -> tuple[Stamp, ...]:
    """Return the stamps of those files that may change while this process runs: not of the system's headers."""
    given = [folder for option, folder in pairwise(command) if option == "-isystem"]
    system = tuple(f"{folder}/" for folder in (*given, "/usr/include", "/usr/lib"))
    return tuple(Stamp.of(path) for path in files if not path.startswith(system))


def check_once(cache: Cache, compiler: CCompiler, unit: Unit, target: Target, beside: CachedObject) -> None:
    """Have the compiler check a unit that includes the one `beside` was made of, unless it has found it good before.

    Raises
    ------
    CompileError
        With what the compiler wrote.
    """
    key = _digest([_FORMAT, "checked", beside.key, unit.path, *unit.flags])
    if cache.get(key) is None:
        check_unit(compiler, unit, target)
        cache.put(key, b"")


def _object_key(recipe: str, files: Sequence[str]) -> str:
    """Return what stands for a recipe with the present contents of its files."""
    return _digest([recipe, *(f"{path}\0{_hash_of(Path(path))}" for path in files)])


def _hash_of(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _digest(texts: Iterable[str] | Sequence[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogateescape")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()
