"""The plugin's markers: what they are for, which arguments they take, and what these may be."""

from __future__ import annotations

import re
from typing import Final

import pytest

from .device_entry import near_match
from .errors import ConfigError

MARKERS: Final = (
    "cpu: run this test on the CPU of every device. Together with `opencl` it runs on both; with neither it runs on "
    "what --xdevice-kind says.",
    "opencl(extensions=['cl_khr_fp64'], version='1.2', device_type='gpu'): run this test through OpenCL on every "
    "device. What an OpenCL device must have can be stated; where it does not, the test is skipped, or fails with "
    "--xdevice-strict.",
    "xdevice(arch='aarch64', features=['neon'], memory='512MiB', name='rk*'): what a device must be for this test, on "
    "whatever it runs. arch and name take a list of alternatives too; where it is not, the test is skipped, or fails "
    "with --xdevice-strict.",
)

_ARGUMENTS: Final = {
    "cpu": (),
    "opencl": ("extensions", "version", "device_type"),
    "xdevice": ("arch", "features", "memory", "name"),
}
_ALL_OF: Final = ("extensions", "features")  # of which a device must have each, so that there may be none
_DEVICE_TYPES: Final = ("cpu", "gpu", "accelerator", "custom")
_UNITS: Final = {
    "": 1, "b": 1,
    "k": 1 << 10, "kib": 1 << 10, "kb": 10**3,
    "m": 1 << 20, "mib": 1 << 20, "mb": 10**6,
    "g": 1 << 30, "gib": 1 << 30, "gb": 10**9,
    "t": 1 << 40, "tib": 1 << 40, "tb": 10**12,
}  # fmt: skip


def check_markers(item: pytest.Item) -> None:
    """Refuse arguments of our markers that mean nothing.

    Raises
    ------
    ConfigError
        If an argument is unknown or of the wrong form.
    """
    for marker, known in _ARGUMENTS.items():
        for mark in item.iter_markers(marker):
            if mark.args:
                raise ConfigError(
                    f"@pytest.mark.{marker} takes no positional argument, such as {mark.args[0]!r}; "
                    + (f"write one of {', '.join(f'{name}=...' for name in known)}" if known else "write it bare")
                )
            for name, value in mark.kwargs.items():
                _check_argument(marker, name, value, known)


def parse_memory(value: int | str) -> int:
    """Return a number of bytes for ``512``, ``"512MiB"``, ``"2 GB"``.

    Raises
    ------
    ConfigError
        If it is no size.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
    if found is None or found[2].lower() not in _UNITS:
        raise ConfigError(f"memory is a number of bytes or text such as '512MiB' or '2GB'; got {value!r}")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def _check_argument(marker: str, name: str, value: object, known: tuple[str, ...]) -> None:
    where = f"@pytest.mark.{marker}"
    if name not in known:
        takes = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ConfigError(f"{where}: unknown argument {name!r}{near_match(name, known)}; {takes}")
    if name == "memory":
        parse_memory(value)  # type: ignore[arg-type]
    elif name == "version":
        if not isinstance(value, str) or not re.fullmatch(r"\d+(\.\d+)?", value):
            raise ConfigError(f"{where}: version is text such as '1.2'; got {value!r}")
    elif not texts(value) and not (name in _ALL_OF and _is_empty(value)):
        raise ConfigError(f"{where}: {name} is a text or a list of texts; got {value!r}")
    elif name == "device_type" and any(text.lower() not in _DEVICE_TYPES for text in texts(value)):
        raise ConfigError(f"{where}: device_type is one of {', '.join(_DEVICE_TYPES)}; got {value!r}")


def _is_empty(value: object) -> bool:
    return isinstance(value, (list, tuple, set, frozenset)) and not value


def texts(value: object) -> tuple[str, ...]:
    """Return a text, or a list of texts, as a tuple; empty when it is neither."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(text, str) for text in value):
        return tuple(value)
    return ()
