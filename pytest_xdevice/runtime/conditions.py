"""What on a device gets between a kernel and a trustworthy timing: other work, clocks that change, heat, emulation."""

from __future__ import annotations

import glob
import os
import time
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from typing import Set

_CPUS = "sys/devices/system/cpu/cpu[0-9]*/"
_EMULATOR = "qemu"


def conditions(root: str = "/") -> Dict[str, Any]:
    """Return what may disturb a timing at this moment, as plain JSON values; None stands for what is not known.

    Parameters
    ----------
    root : str
        Folder that ``/sys`` and ``/proc`` are read in.

    Returns
    -------
    dict
        ``load``: processes that ran or waited in the last minute on average; ``governors``: the distinct ones of the
        cores, empty where they cannot be read; ``tick``: resolution of the clock that times kernels, in seconds;
        ``cpu``: the core that this process is on; ``frequency`` and ``max_frequency`` of it, in Hz; ``throttled``: how
        often heat has slowed the cores since the device was started; ``temperature``: the highest there is, in °C;
        ``emulator``: the program that plays the processor, empty for a real one; ``cores``: those that this process may
        use; ``pinned``: the one that it was bound to, of several; ``uneven``: whether its cores differ in speed.
    """
    allowed = _allowed()
    cpu = _current_cpu(root)
    cpufreq = os.path.join(root, f"sys/devices/system/cpu/cpu{cpu}/cpufreq/")
    return {
        "load": _load(root),
        "governors": sorted(set(filter(None, map(_read, _paths(root, _CPUS + "cpufreq/scaling_governor"))))),
        "tick": time.get_clock_info("monotonic").resolution,
        "cpu": cpu,
        "frequency": _hertz(cpufreq + "scaling_cur_freq"),
        "max_frequency": _hertz(cpufreq + "cpuinfo_max_freq"),
        "throttled": throttle_count(root),
        "temperature": _temperature(root),
        "emulator": _emulator(root),
        "cores": len(allowed),
        "pinned": min(allowed) if len(allowed) == 1 and (os.cpu_count() or 1) > 1 else None,
        "uneven": _is_uneven(root, allowed),
    }


def throttled_since(before: Dict[str, Any], after: Dict[str, Any]) -> Dict[str, Any]:
    """Return the later one of two `conditions`, with ``throttled`` counted since the earlier, which needs no more."""
    counts = (before["throttled"], after["throttled"])
    return dict(after, throttled=None if None in counts else counts[1] - counts[0])


def _allowed() -> Set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _current_cpu(root: str) -> Optional[int]:
    """Return the core that this process is on: field 39 of its stat, counted from behind the name."""
    fields = _read(os.path.join(root, "proc/self/stat")).rpartition(")")[2].split()
    return _integer(fields[36]) if len(fields) > 36 else None


def _load(root: str) -> Optional[float]:
    try:
        return float(_read(os.path.join(root, "proc/loadavg")).split()[0])
    except (IndexError, ValueError):
        return None  # as on Android, where /proc/loadavg is closed


def _hertz(path: str) -> Optional[int]:
    kilohertz = _integer(_read(path))
    return None if kilohertz is None else 1000 * kilohertz


def throttle_count(root: str = "/") -> Optional[int]:
    """Return how often heat has slowed the cores: the sum of their counters, which Intel's processors have."""
    counts = _integers(root, _CPUS + "thermal_throttle/core_throttle_count")
    return sum(counts) if counts else None


def _temperature(root: str) -> Optional[float]:
    degrees = [thousandths / 1000 for thousandths in _integers(root, "sys/class/thermal/thermal_zone[0-9]*/temp")]
    # A sensor that is switched off says 0, or what no board survives.
    return max((found for found in degrees if 0 < found < 150), default=None)


def _emulator(root: str) -> str:
    """Return the name of QEMU's program where it runs this process.

    It answers for ``/proc/self/exe`` with the program that it runs, and not for the same link of a thread.
    """
    try:
        name = os.path.basename(os.readlink(os.path.join(root, f"proc/self/task/{os.getpid()}/exe")))
    except OSError:
        return ""
    return name if name.startswith(_EMULATOR) else ""


def _is_uneven(root: str, allowed: Set[int]) -> bool:
    paths = [os.path.join(root, f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity") for cpu in sorted(allowed)]
    return len(set(filter(None, map(_read, paths)))) > 1


def _integers(root: str, pattern: str) -> List[int]:
    found = (_integer(_read(path)) for path in _paths(root, pattern))
    return [number for number in found if number is not None]


def _paths(root: str, pattern: str) -> List[str]:
    return glob.glob(os.path.join(glob.escape(root), pattern))


def _integer(text: str) -> Optional[int]:
    try:
        return int(text)
    except ValueError:
        return None


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""  # not on this system, closed to this user, or the core went to sleep
