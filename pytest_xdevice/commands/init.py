"""``xdevice init``: writes a device's entry."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Final

from ..config import read_named_devices
from ..device_entry import name_problem
from ..device_tables import DeviceFile
from ..errors import ConfigError
from ..errors import XDeviceError
from .entry_flags import Entry

# The questions at a terminal: key, what is asked.
_QUESTIONS: Final = (
    ("address", "address (local, HOST:PORT, ssh://user@host, exec:COMMAND)"),
    ("target", "target (empty: read off the device)"),
    ("token-file", "file with its server's token (empty: none)"),
)


def init(name: str, entry: Entry, pyproject: Path, own: Path, *, force: bool) -> None:
    """Write an entry to an xdevice.toml; what flags do not say is asked for at a terminal.

    Parameters
    ----------
    name : str
        The device's.
    entry : mapping
        Its keys with their values, as far as they are given.
    pyproject, own : Path
        The file that may name devices as well, and the one to write.
    force : bool
        Replace an entry of that name.

    Raises
    ------
    ConfigError
        If there is such an entry already, or the new one would not be right; nothing is written then.
    XDeviceError
        If the file cannot be written.
    """
    problem = name_problem(name)
    if problem is not None:
        raise ConfigError(problem)
    own_file = DeviceFile.load(own) if own.exists() else DeviceFile(own, (), "")
    if pyproject.is_file() and name in read_named_devices(pyproject, pyproject):
        raise ConfigError(f"{pyproject} has a device {name!r} already: change it there, or choose another name")
    there = own_file.devices()
    if name in there and not force:
        raise ConfigError(f"there is a device {name!r} already, at {there[name].address}: --force replaces it")
    kept = _without(own_file, name) if name in there else own_file.text
    if "address" not in entry:
        entry = {**entry, **_answers(entry)}
    text = kept.rstrip("\n") + "\n\n" * bool(kept.strip()) + _table(name, entry)
    DeviceFile(own, (), text).devices()
    _write(own, text)
    print(f"wrote {name} to {own}; `xdevice doctor {name}` checks each step to it")


def _answers(entry: Entry) -> dict[str, str]:
    if not sys.stdin.isatty():
        raise ConfigError("init needs --address SPEC, since there is no terminal to ask at")
    try:
        asked = {key: input(f"{text}: ").strip() for key, text in _QUESTIONS if key not in entry}
    except EOFError:
        raise ConfigError(
            "no more answers came, and nothing was written; --address SPEC says it without asking"
        ) from None
    return {key: answer for key, answer in asked.items() if answer}


def _table(name: str, entry: Entry) -> str:
    lines = [f"{key} = {_value(value)}" for key, value in entry.items()]
    return "\n".join([f"[devices.{_key(name)}]", *lines, ""])


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)


def _value(value: object) -> str:
    """Return a value as TOML writes it, in which JSON's texts, lists and switches are right as well."""
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(name)} = {_value(text)}" for name, text in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False)


def _without(file: DeviceFile, name: str) -> str:
    """Return a file's text without a device's table, which reaches to the next header.

    Raises
    ------
    ConfigError
        If the entry is written in another form.
    """
    lines = file.text.split("\n")
    start = (file.line("devices", name) or 1) - 1
    end = next((at for at in range(start + 1, len(lines)) if lines[at].lstrip().startswith("[")), len(lines))
    left = "\n".join([*lines[:start], *lines[end:]])
    try:
        is_left = name in DeviceFile(file.path, (), left).devices()
    except ConfigError:
        is_left = True  # in part, as a table of its own below it
    if is_left or not lines[start].lstrip().startswith("["):
        raise file.error("this entry is no single table: change it by hand", "devices", name)
    return left


def _write(path: Path, text: str) -> None:
    """Write a file, whole or not at all; one that is there keeps its mode, and a link to it stays one."""
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise XDeviceError(f"cannot write {path}: {error.strerror}") from None
