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

from .lanes import Lane
from .markers import parse_memory
from .markers import texts
from .timing import format_bytes

if TYPE_CHECKING:
    from .remote import OpenCLDevice
    from .remote import Session

# Names by which people know an architecture, by the one that `uname -m` has.
_ARCH_NAMES: Final = {
    "x86_64": ("x86_64", "x86-64", "amd64", "x64"),
    "aarch64": ("aarch64", "arm64", "armv8"),
    "arm": ("arm", "arm32", "armv7", "armv7l", "armv7a", "armhf"),
    "armv6": ("arm", "arm32", "armv6", "armv6l", "armhf"),
    "i686": ("i686", "i386", "x86"),
    "riscv64": ("riscv64", "rv64", "rv64gc"),
}


def unmet_requirement(item: pytest.Item, lane: Lane, session: Session) -> str | None:
    """Return what `item` requires that the device of `lane` has not, or None.

    The sentence names the requirement and what the device has instead.
    """
    opencl: OpenCLDevice | None = None
    if lane.kind == "opencl":
        found = session.opencl_devices()
        if not found:
            return lane.device.say(session.opencl_problem or "it has no OpenCL device")
        opencl = found[0]
    for problem in _problems(item, lane, session, opencl):
        return lane.device.say(problem)
    return None


def unmet_by_name(item: pytest.Item, lane: Lane) -> str | None:
    """Return what `item` requires of a device's name, if that of `lane` is another; a connection is not needed."""
    for mark in item.iter_markers("xdevice"):
        for problem in _name_problem(mark.kwargs, lane):
            return lane.device.say(problem)
    return None


def _problems(item: pytest.Item, lane: Lane, session: Session, opencl: OpenCLDevice | None) -> Iterator[str]:
    for mark in item.iter_markers("xdevice"):
        yield from _device_problems(mark.kwargs, lane, session, opencl)
    if opencl is not None:
        for mark in item.iter_markers("opencl"):
            yield from _opencl_problems(mark.kwargs, opencl)


def _device_problems(
    wanted: Mapping[str, Any], lane: Lane, session: Session, opencl: OpenCLDevice | None
) -> Iterator[str]:
    yield from _name_problem(wanted, lane)
    if "arch" in wanted:
        yield from _arch_problem(texts(wanted["arch"]), session)
    if "features" in wanted:
        yield from _feature_problem(texts(wanted["features"]), session)
    if "memory" in wanted:
        needed = parse_memory(wanted["memory"])
        has, what = (session.info.memory, "memory") if opencl is None else (opencl.memory, "OpenCL memory")
        if has < needed:
            yield f"needs {format_bytes(needed)} of {what}; it has {format_bytes(has)}"


def _name_problem(wanted: Mapping[str, Any], lane: Lane) -> Iterator[str]:
    names = texts(wanted.get("name", "*"))
    if not any(fnmatchcase(lane.device.name, pattern) for pattern in names):
        yield f"needs a device named {_alternatives(names)}"


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
    missing = [name for name in texts(wanted.get("extensions", ())) if name not in device.extensions]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        yield f"needs the OpenCL extension{plural} {', '.join(missing)}, which {device.name} does not have"
    version = wanted.get("version")
    if version is not None and _version(device.version) < _version(version):
        yield f"needs OpenCL {version}; {device.name} has {device.version}"
    types = texts(wanted.get("device_type", ()))
    if types and device.device_type.lower() not in {text.lower() for text in types}:
        yield f"needs an OpenCL device of type {_alternatives(types)}; {device.name} is a {device.device_type}"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _alternatives(texts: tuple[str, ...]) -> str:
    return " or ".join(texts)
