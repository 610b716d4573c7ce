"""``xdevice list``: the named devices there are."""

from __future__ import annotations

import json
from pathlib import Path

from ..config import DeviceConfig
from ..config import read_named_devices


def list_devices(pyproject: Path, own: Path | None, *, as_json: bool) -> None:
    """Print the named devices: one a line with address and tags, or all as one JSON document.

    Parameters
    ----------
    pyproject, own : Path
        As `resolve_devices` has them.
    as_json : bool

    Raises
    ------
    ConfigError
        If the tables are not right.
    """
    devices = list(read_named_devices(pyproject, own).values())
    if as_json:
        print(json.dumps([_plain(device) for device in devices], indent=2))
        return
    if not devices:
        print("no device has a name yet; `xdevice init NAME --address SPEC` writes an entry")
    widths = [max((len(text) for text in column), default=0) for column in zip(*map(_columns, devices), strict=True)]
    for device in devices:
        print("  ".join(text.ljust(width) for text, width in zip(_columns(device), widths, strict=True)).rstrip())


def _columns(device: DeviceConfig) -> tuple[str, str, str]:
    return device.name, device.address, ", ".join(device.tags)


def _plain(device: DeviceConfig) -> dict[str, object]:
    """Return what a list shows of a device; the values of its environment may be secret, and are left out."""
    return {
        "name": device.name,
        "address": device.address,
        "tags": list(device.tags),
        "target": device.target,
        "python": device.python,
        "pin": list(device.pin),
        "timeout": device.timeout,
        "env": [name for name, _ in device.env],
    }
