"""How a device is named on the command line: the forms of a device specification, taken apart."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Final
from typing import Literal
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..runtime.handshake import split_address

FORMS: Final = "local, HOST:PORT, ssh://user@host[:port], exec:COMMAND..., or an execnet spec such as ssh=host"


@dataclass(frozen=True)
class Spec:
    """A device specification.

    Attributes
    ----------
    kind : {"local", "socket", "ssh", "exec"}
    host : str
        Name or address, for a socket and for ssh (``user@host``).
    port : int or None
    command : tuple of str
        A command that runs a Python on the device, for "local" and "exec".
    python : str or None
        The device's Python, for ssh.
    ssh_options : tuple of str
        Further arguments for the ssh command.
    """

    kind: Literal["local", "socket", "ssh", "exec"]
    host: str = ""
    port: int | None = None
    command: tuple[str, ...] = ()
    python: str | None = None
    ssh_options: tuple[str, ...] = ()


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
    if text.startswith("ssh://"):
        return _ssh(text)
    if text.startswith("exec:"):
        return _exec(text)
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
    if not parts.hostname or parts.path not in ("", "/") or parts.query or parts.password:
        raise ConfigError(f"{text!r} is no ssh address: write ssh://user@host[:port] and nothing after it")
    # urlsplit lower-cases the host name, which names in an ssh configuration do not survive.
    host = parts.netloc.rpartition("@")[2]
    host = host.removesuffix(f":{port}") if port is not None else host
    return Spec("ssh", f"{parts.username}@{host}" if parts.username else host, port)


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
