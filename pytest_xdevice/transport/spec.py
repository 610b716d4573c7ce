"""How a device is named on the command line: the forms of a device specification, taken apart."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from dataclasses import replace
from typing import Final
from typing import Literal
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..runtime.handshake import split_address

FORMS: Final = (
    "local, HOST:PORT, ssh://user@host[:port], either with ?via=user@gateway, labgrid:PLACE, exec:COMMAND..., or an "
    "execnet spec such as ssh=host"
)
_PRIORITY: Final = "?priority="
_VIA: Final = "?via="
_PLACE: Final = re.compile(r"[\w.+:@-]+")
_HOP: Final = re.compile(r"(?:[\w.+-]+@)?(?:\w[\w.-]*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


@dataclass(frozen=True)
class Spec:
    """A device specification.

    Attributes
    ----------
    kind : {"local", "socket", "ssh", "exec", "labgrid"}
    host : str
        Name or address, for a socket and for ssh (``user@host``); the name of a labgrid place.
    port : int or None
    command : tuple of str
        A command that runs a Python on the device, for "local" and "exec".
    python : str or None
        The device's Python, for ssh.
    ssh_options : tuple of str
        Further arguments for the ssh command.
    via : tuple of str
        The jump hosts before it, ``user@host[:port]`` each, in order from here; for a socket and for ssh.
    tags : tuple of (str, str)
        What a labgrid place must have, where it is not named.
    priority : float
        Of the reservation of a labgrid place.
    """

    kind: Literal["local", "socket", "ssh", "exec", "labgrid"]
    host: str = ""
    port: int | None = None
    command: tuple[str, ...] = ()
    python: str | None = None
    ssh_options: tuple[str, ...] = ()
    via: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    priority: float = 0.0

    @property
    def destination(self) -> str:
        """What a socket or ssh connects to in the end, for messages."""
        return self.host + (f":{self.port}" if self.port else "")

    @property
    def address(self) -> str:
        """The specification of a device behind a socket or ssh, for messages."""
        scheme = "ssh://" if self.kind == "ssh" else ""
        return scheme + self.destination + (_VIA + ",".join(self.via) if self.via else "")


def parse(address: str) -> Spec:
    """Take a device specification apart.

    Raises
    ------
    ConfigError
        If it has none of the known forms; the message lists them.
    """
    text = address.strip()
    if text == "local":
        return Spec("local")
    if text.startswith("exec:"):
        return _exec(text)
    if text.startswith("labgrid:"):
        return _labgrid(text)
    text, via, hops = text.partition(_VIA)
    spec = _directly(text, address)
    if via and spec.kind not in ("socket", "ssh"):
        raise ConfigError(f"{address!r}: only HOST:PORT and ssh://user@host are reached through a jump host")
    return replace(spec, via=_hops(hops)) if via else spec


def _directly(text: str, address: str) -> Spec:
    """Take a specification without its jump hosts apart; `address` is the whole of it."""
    if text.startswith("ssh://"):
        return _ssh(text)
    if "=" in text or text.split("//")[0] == "popen":
        return _execnet(text)
    try:
        host, port = split_address(text)
    except ValueError:
        raise ConfigError(f"{address!r} names no device: write {FORMS}") from None
    return Spec("socket", host, port)


def _ssh(text: str) -> Spec:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{text!r} is no ssh address ({error}): write ssh://user@host[:port]") from None
    if not parts.hostname or port == 0 or parts.path not in ("", "/") or parts.query or parts.password:
        raise ConfigError(
            f"{text!r} is no ssh address: write ssh://user@host[:port] and nothing after it but ?via=user@gateway"
        )
    # urlsplit lower-cases the host name, which names in an ssh configuration do not survive.
    host = parts.netloc.rpartition("@")[2]
    host = host.removesuffix(f":{port}") if port is not None else host
    return Spec("ssh", f"{parts.username}@{host}" if parts.username else host, port)


def _hops(text: str) -> tuple[str, ...]:
    hops = tuple(part.strip() for part in text.split(","))
    for hop in hops:
        if not _HOP.fullmatch(hop):
            raise ConfigError(f"{hop!r} is no jump host: write ?via=user@gateway[:port], with commas between several")
    return hops


def _labgrid(text: str) -> Spec:
    wanted, _, number = text.removeprefix("labgrid:").partition(_PRIORITY)
    try:
        priority = float(number or 0)
    except ValueError:
        raise ConfigError(f"{text!r}: {number!r} is no priority; write a number, such as ?priority=1") from None
    if _PLACE.fullmatch(wanted):
        return Spec("labgrid", wanted, priority=priority)
    tags = tuple(dict(tag.partition("=")[::2] for tag in wanted.split(",")).items())
    if not all(_PLACE.fullmatch(key) and _PLACE.fullmatch(value) for key, value in tags):
        raise ConfigError(f"{text!r} names no labgrid place: write labgrid:PLACE, or labgrid:tag=value[,tag=value]")
    return Spec("labgrid", tags=tags, priority=priority)


def _exec(text: str) -> Spec:
    try:
        command = tuple(shlex.split(text.removeprefix("exec:")))
    except ValueError as error:
        raise ConfigError(f"{text!r} cannot be split into words ({error})") from None
    if not command:
        raise ConfigError("exec: needs a command that runs a Python on the device, such as exec:chroot /path python3")
    return Spec("exec", command=command)


def _execnet(text: str) -> Spec:
    """Read execnet's own form, ``key=value//key=value``, as far as it says how to get to a Python."""
    keys = dict(part.partition("=")[::2] for part in text.split("//"))
    unknown = set(keys) - {"popen", "ssh", "socket", "python", "ssh_config", "id"}
    if unknown:
        raise ConfigError(f"{text!r}: the key {sorted(unknown)[0]!r} is not supported; write {FORMS}")
    python = keys.get("python") or None
    if keys.get("socket"):
        return parse(keys["socket"])
    if keys.get("ssh"):
        *options, host = shlex.split(keys["ssh"])
        config = ("-F", keys["ssh_config"]) if keys.get("ssh_config") else ()
        return Spec("ssh", host, python=python, ssh_options=(*config, *options))
    if "popen" in keys:
        return Spec("exec", command=tuple(shlex.split(python))) if python else Spec("local")
    raise ConfigError(f"{text!r} names no device: write {FORMS}")
