"""Which devices there are: the forms of a specification, named devices in pyproject.toml, the environment."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from typing import Final

from .errors import ConfigError

FORMS: Final = (
    "local",
    "HOST:PORT",
    "ssh://user@host[:port]",
    "exec:COMMAND (any command that gives a Python on the device)",
    "a name from [tool.xdevice.devices.NAME] in pyproject.toml",
    "an execnet spec (popen//python=..., ssh=...)",
)

_KEYS: Final = ("address", "target", "token-file", "python", "tls-fingerprint", "insecure")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# Forms that may hold spaces and commas of their own: an exec: command and execnet's key=value specs.
_SPACED_FORM: Final = re.compile(r"exec:|popen\b|[a-z_]+=")


@dataclass(frozen=True)
class DeviceConfig:
    """One device, as the command line, an ini file, the environment or pyproject.toml names it.

    Attributes
    ----------
    name : str
        Stable name for test ids and reports: the configured name, else the specification itself.
    address : str
        How it is reached, in one of the forms of `FORMS` other than a name.
    target : str or None
        The target to compile for; None reads it off the device.
    token_file : Path or None
        File that holds the token of the device's server.
    python : str or None
        The device's Python, for ``ssh://``; None is ``python3``.
    tls_fingerprint : str or None
        SHA-256 of the certificate that the device's server must show, as 64 hexadecimal digits; None is without TLS.
    insecure : bool
        Whether to go without a token, to a server on this machine that does too.
    """

    name: str
    address: str
    target: str | None = None
    token_file: Path | None = None
    python: str | None = None
    tls_fingerprint: str | None = None
    insecure: bool = False

    def say(self, problem: object) -> str:
        """Return a sentence on this device, led by its name, which `problem` may begin with already."""
        return f"{self.name}: {str(problem).removeprefix(f'{self.name}: ')}"


@dataclass(frozen=True)
class Settings:
    """What the command line says for all devices.

    Attributes
    ----------
    timeout : float
        Seconds that a launch may take.
    guard : bool
        Whether arrays sit against guard pages and canaries.
    opencl : str or None
        Part of the name of the OpenCL device to use, or of its platform; None takes the first.
    token : str or None
        The token of the devices' servers, as text.
    token_file : Path or None
        File that holds that token; used where a device names none of its own.
    target : str or None
        The target to compile for; used where a device names none of its own.
    artifacts : Path or None
        Where failing tests leave their kernels and arguments.
    tls_fingerprint : str or None
        Of the server's certificate; used where a device names none of its own.
    insecure : bool
        Whether to go without a token where a device names no token file of its own.
    lease_timeout : float
        Seconds to wait for a device that somebody else has.
    pin : int or None
        The core of each device that kernels are run on; None leaves that to the device.
    """

    timeout: float = 60.0
    guard: bool = True
    opencl: str | None = None
    token: str | None = None
    token_file: Path | None = None
    target: str | None = None
    artifacts: Path | None = None
    tls_fingerprint: str | None = None
    insecure: bool = False
    lease_timeout: float = 600.0
    pin: int | None = None


def token_of_environment() -> str | None:
    """Return the token in ``XDEVICE_TOKEN``, or None; its `repr` does not tell it."""
    from .runtime.tokens import Token

    return Token(os.environ.get("XDEVICE_TOKEN", "").strip()) or None


def split_environment(text: str) -> list[str]:
    """Split the value of ``XDEVICE`` into specifications.

    They are separated by ``;``, a new line, a comma or white space. An ``exec:`` command and an execnet
    spec may hold commas and spaces themselves, so such a one reaches to the next ``;`` or the end of its line.
    """
    specs = []
    for line in re.split(r"[;\n]", text):
        rest = line.strip(" \t\r,")
        while rest:
            if _SPACED_FORM.match(rest):
                spec, rest = rest, ""
            else:
                spec, *tail = re.split(r"[,\s]+", rest, maxsplit=1)
                rest = tail[0] if tail else ""
            specs.append(spec)
    return specs


def resolve_devices(specs: Iterable[str], pyproject: Path) -> tuple[DeviceConfig, ...]:
    """Return the devices that `specs` stand for, each once.

    Parameters
    ----------
    specs : iterable of str
        Specifications as the user wrote them, in any of the `FORMS`.
    pyproject : Path
        The pyproject.toml with the named devices; it need not exist.

    Raises
    ------
    ConfigError
        If a specification is neither a configured name nor of a known form, or the table is not right.
    """
    wanted = list(dict.fromkeys(spec.strip() for spec in specs))
    # The table is read only when a specification can be a name, so that most runs do not pay for it.
    named = read_named_devices(pyproject) if any(spec != "local" for spec in wanted) else {}
    return tuple(_resolve(spec, named) for spec in wanted)


def read_named_devices(pyproject: Path) -> dict[str, DeviceConfig]:
    """Read the tables ``[tool.xdevice.devices.NAME]``: address (required), target, token-file, python,
    tls-fingerprint, insecure.

    Raises
    ------
    ConfigError
        If the file cannot be read as TOML, or holds a key or a value that is not understood.
    """
    if not pyproject.is_file():
        return {}
    table = _load_toml(pyproject).get("tool", {}).get("xdevice", {})
    where = f"[tool.xdevice] of {pyproject}"
    _check_keys(table, ("devices",), where)
    devices = table.get("devices", {})
    if not isinstance(devices, dict):
        raise ConfigError(f"{where}: devices is a table of tables, [tool.xdevice.devices.NAME]; got {devices!r}")
    return {name: _read_device(name, entry, pyproject) for name, entry in devices.items()}


def find_pyproject(start: Path) -> Path:
    """Return the nearest pyproject.toml in `start` or above it, or where one would be in `start`."""
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file():
            return folder / "pyproject.toml"
    return start / "pyproject.toml"


def _load_toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read the devices in {path}: {error}") from None
    return content


def _read_device(name: str, entry: object, pyproject: Path) -> DeviceConfig:
    where = f"[tool.xdevice.devices.{name}] of {pyproject}"
    if not _NAME.fullmatch(name) or name in ("local", "popen"):
        raise ConfigError(
            f"{where}: {name!r} cannot name a device; use letters, digits, '.', '_' and '-', and not 'local' or 'popen'"
        )
    if not isinstance(entry, dict):
        raise ConfigError(f"{where}: expected a table with the keys {', '.join(_KEYS)}; got {entry!r}")
    _check_keys(entry, _KEYS, where)
    for key, value in entry.items():
        if key == "insecure":
            if not isinstance(value, bool):
                raise ConfigError(f"{where}: insecure is true or false; got {value!r}")
        elif not isinstance(value, str) or not value.strip():
            raise ConfigError(f"{where}: {key} is a string that is not empty; got {value!r}")
    if "address" not in entry:
        raise ConfigError(f"{where}: address is missing; it is one of: {'; '.join(_address_forms())}")
    _check_address(entry["address"], where)
    token_file, fingerprint = entry.get("token-file"), entry.get("tls-fingerprint")
    return DeviceConfig(
        name=name,
        address=entry["address"].strip(),
        target=entry.get("target"),
        token_file=None if token_file is None else pyproject.parent / Path(token_file).expanduser(),
        python=entry.get("python"),
        tls_fingerprint=None if fingerprint is None else _read_fingerprint(fingerprint, where),
        insecure=entry.get("insecure", False),
    )


def read_fingerprint(text: str) -> str:
    """Return a SHA-256 fingerprint as 64 hexadecimal digits; colons and capitals, as openssl writes it, are taken too.

    Raises
    ------
    ConfigError
        If it is none.
    """
    digits = text.strip().lower().replace(":", "")
    if not re.fullmatch("[0-9a-f]{64}", digits):
        raise ConfigError(
            f"{text!r} is no SHA-256 fingerprint: 64 hexadecimal digits, as the server prints at its start"
        )
    return digits


def _read_fingerprint(text: str, where: str) -> str:
    try:
        return read_fingerprint(text)
    except ConfigError as error:
        raise ConfigError(f"{where}: tls-fingerprint: {error}") from None


def _check_keys(table: Mapping[str, object], known: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in known:
            near = near_match(key, known)
            raise ConfigError(f"{where}: unknown key {key!r}{near}; known: {', '.join(known)}")


def near_match(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known word nearest to `word`, or nothing."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _resolve(spec: str, named: Mapping[str, DeviceConfig]) -> DeviceConfig:
    if spec in named:
        return named[spec]
    if spec != "local":
        _check_form(spec, named)
    return DeviceConfig(name=spec, address=spec)


def _check_form(spec: str, named: Mapping[str, DeviceConfig]) -> None:
    """Refuse a specification that is no configured name and has none of the forms of an address."""
    if _NAME.fullmatch(spec) and spec != "popen":
        names = f"configured: {', '.join(sorted(named))}" if named else "no device is configured in pyproject.toml"
        raise ConfigError(f"unknown device {spec!r}{near_match(spec, named)}; {names}. A device is {_list(FORMS)}")
    try:
        _parse_address(spec)
    except ConfigError as error:
        raise ConfigError(f"cannot understand the device {spec!r}: {error}. A device is {_list(FORMS)}") from None


def _check_address(address: str, where: str) -> None:
    try:
        _parse_address(address.strip())
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}. An address is {_list(_address_forms())}") from None


def _parse_address(address: str) -> None:
    from .transport.spec import parse

    parse(address)


def _address_forms() -> tuple[str, ...]:
    return tuple(form for form in FORMS if not form.startswith("a name"))


def _list(forms: tuple[str, ...]) -> str:
    return f"{', '.join(forms[:-1])}, or {forms[-1]}"
