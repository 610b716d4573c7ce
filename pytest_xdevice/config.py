"""Which devices there are: the forms of a specification, named devices and their tags, the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .device_entry import DeviceConfig
from .device_entry import FORMS
from .device_entry import is_device_name
from .device_entry import listed
from .device_entry import near_match
from .device_entry import read_fingerprint
from .device_entry import TAG_FORM
from .errors import ConfigError

__all__ = [
    "FORMS",
    "OWN_FILE",
    "DeviceConfig",
    "Settings",
    "find_pyproject",
    "read_fingerprint",
    "read_named_devices",
    "resolve_device",
    "resolve_devices",
    "split_environment",
    "token_of_environment",
]

OWN_FILE: Final = "xdevice.toml"
# Forms that may hold spaces and commas of their own: an exec: command and execnet's key=value specs.
_SPACED_FORM: Final = re.compile(r"exec:|popen\b|[a-z_]+=")
# Jump hosts, and the tags of a labgrid place, may have commas between them.
_COMMA_FORM: Final = re.compile(r"[^,\s]+\?via=|labgrid:")


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
    spec may hold commas and spaces themselves, so such a one reaches to the next ``;`` or the end of its line; one with
    ``?via=`` and a ``labgrid:`` one may hold commas, and reach to the next white space.
    """
    specs = []
    for line in re.split(r"[;\n]", text):
        rest = line.strip(" \t\r,")
        while rest:
            if _SPACED_FORM.match(rest):
                spec, rest = rest, ""
            else:
                spec, *tail = re.split(r"\s+" if _COMMA_FORM.match(rest) else r"[,\s]+", rest, maxsplit=1)
                rest = tail[0] if tail else ""
            specs.append(spec)
    return specs


def resolve_devices(specs: Iterable[str], pyproject: Path, own: Path | None = None) -> tuple[DeviceConfig, ...]:
    """Return the devices that `specs` stand for, each once.

    Parameters
    ----------
    specs : iterable of str
        Specifications as the user wrote them, in any of the `FORMS`.
    pyproject : Path
        The pyproject.toml with the named devices; it need not exist.
    own : Path, optional
        A file for named devices alone. By default the ``xdevice.toml`` beside `pyproject`, which need not exist.

    Raises
    ------
    ConfigError
        If a specification is neither a configured name nor of a known form, a tag is on no device, two of the
        devices are one, or the tables are not right.
    """
    wanted = list(dict.fromkeys(spec.strip() for spec in specs))
    # The tables are read only when they are asked for or a specification can be a name: most runs do not pay for it.
    named = read_named_devices(pyproject, own) if own or any(spec != "local" for spec in wanted) else {}
    chosen = dict.fromkeys(device for spec in wanted for device in _resolve(spec, named))
    _check_addresses(chosen)
    return tuple(chosen)


def resolve_device(spec: str, pyproject: Path, own: Path | None = None) -> DeviceConfig:
    """Return the one device that `spec` stands for; the arguments and errors are those of `resolve_devices`.

    Raises
    ------
    ConfigError
        If it stands for several, too.
    """
    devices = resolve_devices([spec], pyproject, own)
    if len(devices) > 1:
        names = ", ".join(device.name for device in devices)
        raise ConfigError(f"{spec} stands for several devices, and one is needed: name one of {names}")
    return devices[0]


def read_named_devices(pyproject: Path, own: Path | None = None) -> dict[str, DeviceConfig]:
    """Read the tables ``[tool.xdevice.devices.NAME]`` of pyproject.toml and ``[devices.NAME]`` of xdevice.toml.

    Parameters
    ----------
    pyproject, own : Path
        As `resolve_devices` has them.

    Raises
    ------
    ConfigError
        If `own` is given and not there, a file cannot be read as TOML, holds a key or a value that is not understood,
        or both name a device alike.
    """
    if own is not None and not own.is_file():
        raise ConfigError(f"--xdevice-config: there is no file {own}; `xdevice init` writes one")
    paths = [path for path in (pyproject, own or pyproject.with_name(OWN_FILE)) if path.is_file()]
    if not paths:
        return {}
    from .device_tables import DeviceFile

    files = [DeviceFile.load(path) for path in dict.fromkeys(paths)]
    named: dict[str, DeviceConfig] = {}
    for file in files:
        for name, device in file.devices().items():
            if name in named:
                raise file.error(
                    f"{name!r} names another device in {files[0].path}:{files[0].line('devices', name)}; "
                    "rename one of the two entries, or remove it",
                    "devices",
                    name,
                )
            named[name] = device
    return named


def find_pyproject(start: Path) -> Path:
    """Return where pyproject.toml is, or would be: in the nearest folder from `start` up with it or xdevice.toml."""
    for folder in (start, *start.parents):
        if (folder / "pyproject.toml").is_file() or (folder / OWN_FILE).is_file():
            return folder / "pyproject.toml"
    return start / "pyproject.toml"


def _resolve(spec: str, named: Mapping[str, DeviceConfig]) -> Iterable[DeviceConfig]:
    if spec in named:
        return (named[spec],)
    if spec.startswith(TAG_FORM):
        return _tagged(spec[len(TAG_FORM) :], named)
    if spec != "local":
        _check_form(spec, named)
    return (DeviceConfig(name=spec, address=spec),)


def _tagged(tag: str, named: Mapping[str, DeviceConfig]) -> list[DeviceConfig]:
    found = [device for device in named.values() if tag in device.tags]
    if not found:
        tags = sorted({tag for device in named.values() for tag in device.tags})
        known = f"tags: {', '.join(tags)}" if tags else "no entry has tags: give one such as tags = ['rk3399']"
        raise ConfigError(f"no configured device has the tag {tag!r}{near_match(tag, tags)}; {known}")
    return found


def _check_addresses(devices: Iterable[DeviceConfig]) -> None:
    """Refuse one device under two names: the second session would wait for the first. `local` is there for all."""
    names: dict[str, str] = {}
    for device in devices:
        other = names.setdefault(device.address, device.name)
        if other != device.name and device.address != "local":
            raise ConfigError(
                f"the devices {other!r} and {device.name!r} are one, at {device.address}, and it runs one session at a "
                "time; leave out one of the two"
            )


def _check_form(spec: str, named: Mapping[str, DeviceConfig]) -> None:
    """Refuse a specification that is no configured name and has none of the forms of an address."""
    if is_device_name(spec):
        names = f"configured: {', '.join(sorted(named))}" if named else "no device is configured in pyproject.toml"
        raise ConfigError(f"unknown device {spec!r}{near_match(spec, named)}; {names}. A device is {listed(FORMS)}")
    from .transport.spec import parse

    try:
        parse(spec)
    except ConfigError as error:
        raise ConfigError(f"cannot understand the device {spec!r}: {error}. A device is {listed(FORMS)}") from None
