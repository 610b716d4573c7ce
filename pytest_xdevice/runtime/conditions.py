"""What on a device gets between a kernel and a trustworthy timing: other work, and clocks that change."""

from __future__ import annotations

import glob
import os
import time
from typing import Any
from typing import Dict
from typing import Optional

_GOVERNORS = "/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor"


def conditions() -> Dict[str, Any]:
    """Return how busy the device is and how its clocks are governed, as plain JSON values.

    Returns
    -------
    dict
        ``load``: processes that ran or waited in the last minute on average, None where that is not known;
        ``governors``: the distinct ones of the cores, empty where they cannot be read; ``tick``: resolution of the
        clock that times kernels, in seconds.
    """
    try:
        load: Optional[float] = os.getloadavg()[0]
    except (OSError, AttributeError):
        load = None  # as on Android, where /proc/loadavg is closed
    return {
        "load": load,
        "governors": sorted(set(filter(None, map(_governor, glob.glob(_GOVERNORS))))),
        "tick": time.get_clock_info("monotonic").resolution,
    }


def _governor(path: str) -> str:
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return ""  # closed to this user, or the core went to sleep
