"""One device as its entry says it: what that holds, and which forms its name and its address may have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import ConfigError

TAG_FORM: Final = "tag:"
FORMS: Final = (
    "local",
    "HOST:PORT",
    "ssh://user@host[:port]",
    "either of the two with ?via=user@gateway[:port] for one behind a jump host",
    "labgrid:PLACE or labgrid:tag=value for a place that a labgrid coordinator lends",
    "exec:COMMAND (any command that gives a Python on the device)",
    "a name from [tool.xdevice.devices.NAME] in pyproject.toml or [devices.NAME] in xdevice.toml",
    "tag:TAG for all the named devices that have the tag",
    "an execnet spec (popen//python=..., ssh=...)",
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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
    tags : tuple of str
        What ``tag:TAG`` chooses it by.
    env : tuple of (str, str)
        Environment variables, and their values, of the processes that run kernels and functions there.
    pin : tuple of int
        CPUs, counted from 0, that kernels keep to there; empty where none are named. `Settings.pin` comes before them.
    timeout : float or None
        Seconds that a launch may take there; None is the limit that holds for all devices.
    """

    name: str
    address: str
    target: str | None = None
    token_file: Path | None = None
    python: str | None = None
    tls_fingerprint: str | None = None
    insecure: bool = False
    tags: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    pin: tuple[int, ...] = ()
    timeout: float | None = None

    def say(self, problem: object) -> str:
        """Return a sentence on this device, led by its name, which `problem` may begin with already."""
        return f"{self.name}: {str(problem).removeprefix(f'{self.name}: ')}"


def is_device_name(name: str) -> bool:
    """Return whether an entry may have this name: one that is no other form of a specification."""
    return _NAME.fullmatch(name) is not None and name not in ("local", "popen")


def name_problem(name: str) -> str | None:
    """Return why no entry may have this name; None if one may."""
    if is_device_name(name):
        return None
    return f"{name!r} cannot name a device; use letters, digits, '.', '_' and '-', and not 'local' or 'popen'"


def check_address(address: str) -> None:
    """Refuse an entry's address that has none of the forms of one.

    Raises
    ------
    ConfigError
        If so.
    """
    from .transport.spec import parse

    try:
        parse(address)
    except ConfigError as error:
        raise ConfigError(f"{error}. An address is {listed(address_forms())}") from None


def address_forms() -> tuple[str, ...]:
    """Return those of `FORMS` that an entry's address can have."""
    return tuple(form for form in FORMS if not form.startswith(("a name", TAG_FORM)))


def listed(forms: tuple[str, ...]) -> str:
    """Return forms of a specification as a sentence names them."""
    return f"{', '.join(forms[:-1])}, or {forms[-1]}"


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


def near_match(word: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the known word nearest to `word`, or nothing."""
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
