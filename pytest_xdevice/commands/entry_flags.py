"""The flags of ``xdevice init``, one for each key of a device's entry, and the entry that they make."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final

Entry = Mapping[str, object]

_TEXTS: Final = (
    (
        "address",
        "SPEC",
        "how it is reached: local, HOST:PORT, ssh://user@host[:port], labgrid:PLACE, exec:COMMAND, an execnet spec",
    ),
    ("target", "TARGET", "what to compile for; read off the device by default"),
    ("token-file", "FILE", "file with the token of the device's server, relative to the entry's file"),
    ("tls-fingerprint", "SHA256", "of the certificate that the device's server must show"),
    ("python", "PYTHON", "the device's Python, for ssh://"),
)
_KEYS: Final = (*(key for key, *_ in _TEXTS), "insecure", "tags", "env", "pin", "timeout")


def add_entry_flags(command: argparse.ArgumentParser) -> None:
    """Declare the flags; which values an entry may have is checked when it is written."""
    for key, metavar, text in _TEXTS:
        command.add_argument(f"--{key}", metavar=metavar, help=text)
    command.add_argument(
        "--insecure", action="store_true", default=None, help="go without a token, to a server on this machine"
    )
    command.add_argument("--tag", action="append", dest="tags", metavar="TAG", help="a tag; repeat it for several")
    command.add_argument(
        "--env",
        action="append",
        type=_variable,
        metavar="NAME=VALUE",
        help="an environment variable of the processes that run kernels there; repeat it for several",
    )
    command.add_argument(
        "--pin", type=_cpus, metavar="CPU,...", help="CPUs, counted from 0, that kernels keep to there"
    )
    command.add_argument("--timeout", type=_seconds, metavar="SECONDS", help="how long a launch may take there")


def entry_of(options: argparse.Namespace) -> Entry:
    """Return the entry that the flags make, with the keys that were given."""
    entry = {key: getattr(options, key.replace("-", "_")) for key in _KEYS}
    if entry["env"] is not None:
        entry["env"] = dict(entry["env"])
    return {key: value for key, value in entry.items() if value is not None}


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE")
    return name, value


def _cpus(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of CPUs such as 4,5") from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    return int(seconds) if seconds.is_integer() else seconds
