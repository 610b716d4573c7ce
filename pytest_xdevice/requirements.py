"""What the markers `xdevice` and `opencl` require of a device, and whether a device has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

import pytest

from .config import near_match
from .errors import ConfigError
from .lanes import Lane
from .timing import format_bytes

if TYPE_CHECKING:
    from .remote import OpenCLDevice
    from .remote import Session

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
_DEVICE_TYPES: Final = ("cpu", "gpu", "accelerator", "custom")
_UNITS: Final = {
    "": 1, "b": 1,
    "k": 1 << 10, "kib": 1 << 10, "kb": 10**3,
    "m": 1 << 20, "mib": 1 << 20, "mb": 10**6,
    "g": 1 << 30, "gib": 1 << 30, "gb": 10**9,
    "t": 1 << 40, "tib": 1 << 40, "tb": 10**12,
}  # fmt: skip
# Names by which people know an architecture, by the one that `uname -m` has.
_ARCH_NAMES: Final = {
    "x86_64": ("x86_64", "x86-64", "amd64", "x64"),
    "aarch64": ("aarch64", "arm64", "armv8"),
    "arm": ("arm", "arm32", "armv7", "armv7l", "armv7a", "armhf"),
    "armv6": ("arm", "arm32", "armv6", "armv6l", "armhf"),
    "i686": ("i686", "i386", "x86"),
    "riscv64": ("riscv64", "rv64", "rv64gc"),
}


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


def unmet_requirement(item: pytest.Item, lane: Lane, session: Session) -> str | None:
    """Return what `item` requires that the device of `lane` has not, or None.

    The sentence names the requirement and what the device has instead.
    """
    opencl: OpenCLDevice | None = None
    if lane.kind == "opencl":
        found = session.opencl_devices()
        if not found:
            return f"{lane.device.name}: {session.opencl_problem or 'it has no OpenCL device'}"
        opencl = found[0]
    for problem in _problems(item, lane, session, opencl):
        return f"{lane.device.name}: {problem}"
    return None


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
    elif not _texts(value):
        raise ConfigError(f"{where}: {name} is a text or a list of texts; got {value!r}")
    elif name == "device_type" and any(text.lower() not in _DEVICE_TYPES for text in _texts(value)):
        raise ConfigError(f"{where}: device_type is one of {', '.join(_DEVICE_TYPES)}; got {value!r}")


def _texts(value: object) -> tuple[str, ...]:
    """Return a text, or a list of texts, as a tuple; empty when it is neither."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple, set, frozenset)) and all(isinstance(text, str) for text in value):
        return tuple(value)
    return ()


def _problems(item: pytest.Item, lane: Lane, session: Session, opencl: OpenCLDevice | None) -> Iterator[str]:
    for mark in item.iter_markers("xdevice"):
        yield from _device_problems(mark.kwargs, lane, session, opencl)
    if opencl is not None:
        for mark in item.iter_markers("opencl"):
            yield from _opencl_problems(mark.kwargs, opencl)


def _device_problems(
    wanted: Mapping[str, Any], lane: Lane, session: Session, opencl: OpenCLDevice | None
) -> Iterator[str]:
    names = _texts(wanted.get("name", "*"))
    if not any(fnmatchcase(lane.device.name, pattern) for pattern in names):
        yield f"needs a device named {_alternatives(names)}"
    if "arch" in wanted:
        yield from _arch_problem(_texts(wanted["arch"]), session)
    if "features" in wanted:
        yield from _feature_problem(_texts(wanted["features"]), session)
    if "memory" in wanted:
        needed = parse_memory(wanted["memory"])
        has, what = (session.info.memory, "memory") if opencl is None else (opencl.memory, "OpenCL memory")
        if has < needed:
            yield f"needs {format_bytes(needed)} of {what}; it has {format_bytes(has)}"


def _arch_problem(wanted: tuple[str, ...], session: Session) -> Iterator[str]:
    arch = device_arch(session)
    known = {arch, *_ARCH_NAMES.get(arch, ())}
    if not known & {name.lower() for name in wanted}:
        yield f"needs arch {_alternatives(wanted)}; it is {arch}"


def device_arch(session: Session) -> str:
    """Return the architecture of the device's user space: a 64-bit kernel may carry a 32-bit one."""
    machine = session.info.machine.lower()
    if machine.startswith("armv6"):
        return "armv6"
    if machine.startswith("arm") or (machine == "aarch64" and session.info.bits == 32):
        return "arm"
    if machine in ("x86_64", "amd64"):
        return "i686" if session.info.bits == 32 else "x86_64"
    return "i686" if re.fullmatch(r"i[3-6]86", machine) else machine


def _feature_problem(wanted: tuple[str, ...], session: Session) -> Iterator[str]:
    has = {_plain(name) for name in session.info.features}
    # Linux calls the vectors of 64-bit Arm asimd, LLVM and everybody else neon.
    has |= {"neon"} if "asimd" in has else set()
    missing = [name for name in wanted if _plain(name) not in has]
    if missing:
        yield f"needs the CPU feature{'s' if len(missing) > 1 else ''} {', '.join(missing)}, which it does not have"


def _plain(feature: str) -> str:
    """Return a feature's name without what LLVM (``+sse4.2``) and Linux (``sse4_2``) spell differently."""
    return re.sub(r"[^a-z0-9]", "", feature.lower())


def _opencl_problems(wanted: Mapping[str, Any], device: OpenCLDevice) -> Iterator[str]:
    missing = [name for name in _texts(wanted.get("extensions", ())) if name not in device.extensions]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        yield f"needs the OpenCL extension{plural} {', '.join(missing)}, which {device.name} does not have"
    version = wanted.get("version")
    if version is not None and _version(device.version) < _version(version):
        yield f"needs OpenCL {version}; {device.name} has {device.version}"
    types = _texts(wanted.get("device_type", ()))
    if types and device.device_type.lower() not in {text.lower() for text in types}:
        yield f"needs an OpenCL device of type {_alternatives(types)}; {device.name} is a {device.device_type}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _alternatives(texts: tuple[str, ...]) -> str:
    return " or ".join(texts)
