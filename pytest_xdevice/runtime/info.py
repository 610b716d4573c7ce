"""The facts of a device that its host needs, read from the system."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import socket
import struct
from typing import Any
from typing import Dict
from typing import List


def device_info() -> Dict[str, Any]:
    """Return what this device is, as plain JSON values.

    Returns
    -------
    dict
        ``hostname machine bits system release libc python cpu cpus features float_abi cores allowed
        memory cc boot_id``;
        `bits` is the width of this Python's user space, `memory` is in bytes, `cpu` is the first block of
        /proc/cpuinfo, `cpus` counts each distinct (implementer, part), `allowed` are the numbers of
        the cores that its processes may use.
    """
    blocks = _cpuinfo()
    first = blocks[0] if blocks else {}
    return {
        "hostname": socket.gethostname(),
        "machine": platform.machine(),
        "bits": struct.calcsize("P") * 8,
        "system": platform.system(),
        "release": platform.release(),
        "libc": _libc(),
        "python": platform.python_version(),
        "cpu": first,
        "cpus": _distinct(blocks),
        "features": _features(first),
        "float_abi": _float_abi(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "allowed": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [],
        "memory": _memory(),
        "cc": shutil.which("cc") or "",
        "boot_id": _read("/proc/sys/kernel/random/boot_id").strip(),
    }


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""  # not on this system; every caller can do without


def _cpuinfo() -> List[Dict[str, str]]:
    """Return the blocks of /proc/cpuinfo, one a core, keys lower-case with underscores."""
    blocks: List[Dict[str, str]] = [{}]
    for line in _read("/proc/cpuinfo").splitlines():
        key, colon, value = line.partition(":")
        if not colon:
            blocks.append({})
            continue
        blocks[-1][key.strip().lower().replace(" ", "_")] = value.strip()
    return [block for block in blocks if block]


def _distinct(blocks: List[Dict[str, str]]) -> List[List[Any]]:
    counts: Dict[Any, int] = {}
    for block in blocks:
        if "cpu_part" in block:
            part = (block.get("cpu_implementer", ""), block["cpu_part"])
            counts[part] = counts.get(part, 0) + 1
    return [[implementer, part, count] for (implementer, part), count in counts.items()]


def _features(block: Dict[str, str]) -> List[str]:
    for key in ("features", "flags"):
        if key in block:
            return block[key].split()
    return _riscv_extensions(block.get("isa", ""))


def _riscv_extensions(isa: str) -> List[str]:
    """Split ``rv64imafdc_zba_zbb`` into its extensions."""
    base, _, rest = isa.lower().partition("_")
    letters = list(base[4:]) if base.startswith("rv") else []
    return letters + [name for name in rest.split("_") if name]


def _float_abi() -> str:
    """Return how a 32-bit Arm passes floats: the dynamic loader's name says so."""
    if not platform.machine().startswith("arm") and struct.calcsize("P") == 8:
        return ""
    if any(os.path.exists(folder + "ld-linux-armhf.so.3") for folder in ("/lib/", "/lib/arm-linux-gnueabihf/")):
        return "hard"
    return "soft" if os.path.exists("/lib/ld-linux.so.3") else ""


def _libc() -> List[str]:
    try:
        version = ctypes.CDLL(None).gnu_get_libc_version
    except (AttributeError, OSError):
        musl = [name for name in os.listdir("/lib") if name.startswith("ld-musl-")] if os.path.isdir("/lib") else []
        return ["musl", ""] if musl else ["", ""]
    version.restype = ctypes.c_char_p
    return ["glibc", version().decode()]


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0
