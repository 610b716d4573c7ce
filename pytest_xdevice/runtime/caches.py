"""Evicts what the caches of a CPU hold, so that a kernel finds its data in memory."""

from __future__ import annotations

import glob
from typing import Optional

_UNKNOWN = 32 << 20  # bytes, where the kernel does not tell how large the caches are
_LARGEST = 512 << 20  # bytes that are read to evict, at most
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class CacheFlusher:
    """Reads twice as much memory as the largest cache holds; the memory is taken when first needed."""

    def __init__(self) -> None:
        self._block: Optional[bytes] = None

    def __call__(self) -> None:
        """Evict. The search is native code, and reads: large writes may go past the caches."""
        if self._block is None:
            # Not zeros: memory that was never written is one page, however much of it is read.
            self._block = b"\x55" * min(2 * largest_cache(), _LARGEST)
        self._block.find(b"\x01")


def largest_cache() -> int:
    """Return the size of the largest cache of any CPU, in bytes."""
    sizes = []
    for path in glob.glob("/sys/devices/system/cpu/cpu*/cache/index*/size"):
        try:
            with open(path, encoding="ascii") as file:
                text = file.read().strip()
            sizes.append(int(text.rstrip("KMG")) * _UNITS.get(text[-1:], 1))
        except (OSError, ValueError):
            continue  # a CPU that went offline, or a driver that knows no size
    return max(sizes, default=0) or _UNKNOWN
