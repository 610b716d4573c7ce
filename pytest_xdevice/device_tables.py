"""The tables that name devices, in pyproject.toml and xdevice.toml: read, expanded, checked.

`devices.schema.json` says the same to editors.
"""

from __future__ import annotations

import math
import os
import re
import string
import sys
from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from typing import Final

from .device_entry import address_forms
from .device_entry import check_address
from .device_entry import DeviceConfig
from .device_entry import name_problem
from .device_entry import near_match
from .device_entry import read_fingerprint
from .errors import ConfigError
from .toml_lines import Keys
from .toml_lines import lines_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_TAG: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class DeviceFile:
    """A file that names devices.

    Attributes
    ----------
    path : Path
    prefix : tuple of str
        The keys that lead to what is ours in it: ``("tool", "xdevice")`` in pyproject.toml, nothing in xdevice.toml.
    text : str
        Its contents.
    """

    path: Path
    prefix: Keys
    text: str

    @classmethod
    def load(cls, path: Path) -> DeviceFile:
        """Read a file; one that is called pyproject.toml keeps its devices below ``tool.xdevice``.

        Raises
        ------
        ConfigError
            If it cannot be read.
        """
        prefix = ("tool", "xdevice") if path.name == "pyproject.toml" else ()
        try:
            return cls(path, prefix, path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the devices in {path}: {error}") from None

    def header(self, *keys: str) -> str:
        """Return how the table at `keys` below ours is headed."""
        return f"[{'.'.join((*self.prefix, *keys))}]"

    def line(self, *keys: str) -> int | None:
        """Return the line of the innermost of `keys` below ours that has one."""
        path = (*self.prefix, *keys)
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path)

    def error(self, problem: str, *keys: str) -> ConfigError:
        """Return an error in this file, which says where: the table of a device, and the line of what is wrong."""
        line = self.line(*keys)
        place = f"{self.path}:{line}" if line else str(self.path)
        return ConfigError(f"{place}: {self.header(*keys[:2])}: {problem}")

    def devices(self) -> dict[str, DeviceConfig]:
        """Return the devices that it names.

        Raises
        ------
        ConfigError
            If it is no TOML, or holds a key or a value that is not understood.
        """
        return {name: _read_device(self, name, entry) for name, entry in self._entries().items()}

    @cached_property
    def _lines(self) -> dict[Keys, int]:
        return lines_of(self.text)

    def _entries(self) -> dict[str, object]:
        try:
            table: Any = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"cannot read the devices in {self.path}: {error}") from None
        for key in self.prefix:
            table = table.get(key, {})
            if not isinstance(table, dict):
                raise self.error(f"{key} is a table; got {table!r}")
        _check_keys(self, table, ("devices",))
        devices: object = table.get("devices", {})
        if not isinstance(devices, dict):
            raise self.error(
                f"devices is a table of tables, {self.header('devices', 'NAME')}; got {devices!r}", "devices"
            )
        return devices


@dataclass(frozen=True)
class _Value:
    """One value of an entry, and where it stands."""

    file: DeviceFile
    name: str
    key: str
    given: object

    def error(self, problem: str, *inner: str) -> ConfigError:
        return self.file.error(problem, "devices", self.name, self.key, *inner)

    def must_be(self, what: str) -> ConfigError:
        return self.error(f"{self.key} is {what}; got {self.given!r}")

    def expand(self, text: str, *inner: str) -> str:
        """Return `text` with the environment's variables in it."""
        try:
            return string.Template(text).substitute(os.environ)
        except KeyError as missing:
            raise self.error(
                f"{self.key}: the environment variable {missing.args[0]} is not set; set it, or write $$ for a '$'",
                *inner,
            ) from None
        except ValueError:
            raise self.error(
                f"{self.key}: a '$' begins a variable, $NAME or ${{NAME}}; write $$ for a '$' itself: {text!r}", *inner
            ) from None


def _text(value: _Value) -> str:
    if not isinstance(value.given, str) or not value.given.strip():
        raise value.must_be("a string that is not empty")
    expanded = value.expand(value.given).strip()
    if not expanded:
        raise value.error(f"{value.key}: {value.given!r} is empty once its variables are filled in")
    return expanded


def _address(value: _Value) -> str:
    address = _text(value)
    try:
        check_address(address)
    except ConfigError as error:
        raise value.error(f"address: {error}") from None
    return address


def _token_file(value: _Value) -> Path:
    return value.file.path.parent / Path(_text(value)).expanduser()


def _fingerprint(value: _Value) -> str:
    try:
        return read_fingerprint(_text(value))
    except ConfigError as error:
        raise value.error(f"tls-fingerprint: {error}") from None


def _switch(value: _Value) -> bool:
    if not isinstance(value.given, bool):
        raise value.must_be("true or false")
    return value.given


def _tags(value: _Value) -> tuple[str, ...]:
    what = "a list of tags, each of letters, digits, '.', '_' and '-'"
    if not isinstance(value.given, list) or not all(isinstance(tag, str) for tag in value.given):
        raise value.must_be(what)
    tags = tuple(value.expand(tag) for tag in value.given)
    if not all(map(_TAG.fullmatch, tags)):
        raise value.must_be(what)
    return tuple(dict.fromkeys(tags))


def _env(value: _Value) -> tuple[tuple[str, str], ...]:
    if not isinstance(value.given, dict):
        raise value.must_be('a table of strings, such as { POCL_DEBUG = "1" }')
    for name, text in value.given.items():
        if not _VARIABLE.fullmatch(name) or not isinstance(text, str):
            raise value.error(f"env: {name!r} is a variable's name with a string as its value; got {text!r}", name)
    return tuple((name, value.expand(text, name)) for name, text in value.given.items())


def _pin(value: _Value) -> tuple[int, ...]:
    cpus = value.given if isinstance(value.given, list) else []
    are_cpus = all(isinstance(cpu, int) and not isinstance(cpu, bool) and cpu >= 0 for cpu in cpus)
    if not cpus or not are_cpus or len(set(cpus)) < len(cpus):
        raise value.must_be("a list of different CPUs, counted from 0, such as [4, 5]")
    return tuple(cpus)


def _timeout(value: _Value) -> float:
    seconds = value.given
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise value.must_be("a number of seconds above 0")
    return float(seconds)


# What becomes of each key's value; the attribute of `DeviceConfig` has its name, with '_' for '-'.
_READERS: Final[Mapping[str, Callable[[_Value], Any]]] = {
    "address": _address,
    "target": _text,
    "token-file": _token_file,
    "python": _text,
    "tls-fingerprint": _fingerprint,
    "insecure": _switch,
    "tags": _tags,
    "env": _env,
    "pin": _pin,
    "timeout": _timeout,
}
KEYS: Final = tuple(_READERS)


def _read_device(file: DeviceFile, name: str, entry: object) -> DeviceConfig:
    at = ("devices", name)
    problem = name_problem(name)
    if problem is not None:
        raise file.error(problem, *at)
    if not isinstance(entry, dict):
        raise file.error(f"expected a table with the keys {', '.join(KEYS)}; got {entry!r}", *at)
    _check_keys(file, entry, KEYS, *at)
    values = {key: _READERS[key](_Value(file, name, key, given)) for key, given in entry.items()}
    if "address" not in values:
        raise file.error(f"address is missing; it is one of: {'; '.join(address_forms())}", *at)
    return DeviceConfig(name, **{key.replace("-", "_"): value for key, value in values.items()})


def _check_keys(file: DeviceFile, table: Mapping[str, object], known: tuple[str, ...], *at: str) -> None:
    for key in table:
        if key not in known:
            near = near_match(key, known)
            raise file.error(f"unknown key {key!r}{near}; known: {', '.join(known)}", *at, key)
