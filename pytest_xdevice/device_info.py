"""What a device says of itself: architecture, C library, CPU, features, resources, OpenCL devices."""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Literal
from typing import Protocol

DeviceKind = Literal["cpu", "opencl"]


class NamedDevice(Protocol):
    """What messages and scripts call a device by."""

    @property
    def name(self) -> str:
        """As in test ids and reports."""
        ...

    @property
    def address(self) -> str:
        """How it is reached, as a specification."""
        ...

    @property
    def kind(self) -> DeviceKind:
        """Which part of it runs kernels."""
        ...


@dataclass(frozen=True)
class DeviceInfo:
    """The facts that the runtime reports about its device; what it could not find out has the empty default.

    Attributes
    ----------
    hostname, system, release : str
        As ``uname`` gives them.
    machine : str
        The kernel's architecture, ``uname -m``: ``"aarch64"`` also under a 32-bit user space.
    bits : int
        Pointer width of the device's Python, 32 or 64; 0 when unknown.
    libc : tuple of (str, str)
        Name and version: ``("glibc", "2.36")``, ``("musl", "1.2.4")``.
    python : str
        Version of the device's Python.
    cpu : dict of str to str
        The first processor block of /proc/cpuinfo, keys lower-cased, spaces as underscores.
    cpus : tuple of (str, str, int)
        On Arm, each distinct (implementer, part) with the number of its cores.
    features : frozenset of str
        ISA extensions as /proc/cpuinfo spells them; empty when unknown.
    float_abi : str
        ``"hard"`` or ``"soft"`` on 32-bit Arm, else empty.
    cores, memory : int
        Number of CPU cores, and memory in bytes.
    allowed : tuple of int
        Numbers of the CPU cores that its processes may use; empty when unknown.
    cc : str
        Path of a C compiler driver on the device, or empty.
    boot_id : str
        The kernel's boot id: equal to this host's when the device is this machine.
    """

    hostname: str = ""
    machine: str = ""
    bits: int = 0
    system: str = ""
    release: str = ""
    libc: tuple[str, str] = ("", "")
    python: str = ""
    cpu: Mapping[str, str] = field(default_factory=dict, hash=False)
    cpus: tuple[tuple[str, str, int], ...] = ()
    features: frozenset[str] = frozenset()
    float_abi: str = ""
    cores: int = 0
    memory: int = 0
    allowed: tuple[int, ...] = ()
    cc: str = ""
    boot_id: str = ""

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> DeviceInfo:
        """Read the runtime's report, a mapping of JSON values; keys that are missing or empty keep their defaults."""
        libc = [str(part) for part in data.get("libc") or ()]
        return cls(
            hostname=str(data.get("hostname") or ""),
            machine=str(data.get("machine") or ""),
            bits=int(data.get("bits") or 0),
            system=str(data.get("system") or ""),
            release=str(data.get("release") or ""),
            libc=(libc[0] if libc else "", libc[1] if len(libc) > 1 else ""),
            python=str(data.get("python") or ""),
            cpu={str(key): str(value) for key, value in (data.get("cpu") or {}).items()},
            cpus=tuple(_distinct_cpus(data.get("cpus") or ())),
            features=frozenset(str(name) for name in data.get("features") or ()),
            float_abi=str(data.get("float_abi") or ""),
            cores=int(data.get("cores") or 0),
            memory=int(data.get("memory") or 0),
            allowed=tuple(int(cpu) for cpu in data.get("allowed") or ()),
            cc=str(data.get("cc") or ""),
            boot_id=str(data.get("boot_id") or ""),
        )

    @property
    def glibc(self) -> tuple[int, int] | None:
        """The device's glibc as (major, minor); None when it has another C library or did not say."""
        name, version = self.libc
        found = re.match(r"(\d+)\.(\d+)", version)
        return (int(found[1]), int(found[2])) if name == "glibc" and found else None


def _distinct_cpus(entries: Iterable[Any]) -> Iterable[tuple[str, str, int]]:
    for entry in entries:
        implementer, part, *count = entry
        yield str(implementer), str(part), int(count[0]) if count else 1


@dataclass(frozen=True)
class OpenCLDevice:
    """An OpenCL device, as its driver describes it. `memory` and `max_allocation` are in bytes."""

    name: str
    platform: str
    version: str
    c_version: str
    driver: str
    device_type: str
    extensions: tuple[str, ...]
    memory: int
    max_allocation: int
    compute_units: int
    max_work_group_size: int
    max_work_item_sizes: tuple[int, ...]

    @classmethod
    def from_wire(cls, facts: dict[str, Any]) -> OpenCLDevice:
        """Make one of what the worker reported."""
        sizes = tuple(facts["max_work_item_sizes"])
        return cls(**{**facts, "extensions": tuple(facts["extensions"]), "max_work_item_sizes": sizes})
