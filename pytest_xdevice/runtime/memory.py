"""Arrays in the worker's memory, fenced so that an access outside of one is noticed.

    | guard pages | canary ... | data (nbytes) | canary < 64 | guard pages |

The data ends as close to the rear guard as an alignment of 64 bytes allows, so that an overrun faults at the
instruction that makes it; what slack is left holds canary bytes, which are checked after every launch. No other array
shares the pages of the data, so that they can be read-only while a kernel runs that has no business to write them.
"""

from __future__ import annotations

import ctypes
import itertools
import mmap
import os
import sys
from functools import lru_cache
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from typing import Tuple

ALIGNMENT = 64  # a cache line, and the widest vector that there is
PAGE = mmap.PAGESIZE
GUARD = max(64 << 10, PAGE)  # bytes at each end: a stride that misses the first page is still put down to the array

_PROT_NONE, _PROT_READ, _PROT_RW = 0, mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE
_FLAGS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_MAP_FAILED = ctypes.c_void_p(-1).value
_REUSE_BYTES = 32 << 20
_LARGE = 32 << 20  # from here on it is worth asking the kernel first
# From here on an array is filled without being touched: memory that nobody uses costs nothing. Its pages stay small,
# which would show in the timings of lesser arrays.
SPARSE = 1 << 30
_PATTERN = 64 << 20
_FIXED = mmap.MAP_PRIVATE | 0x10  # MAP_FIXED of <sys/mman.h>


def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.memcmp.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    return libc


_LIBC = _libc()
# Neither poison nor a number that is often met. Each array has another than its neighbours, so that a loop that goes on
# too far from one array to the other does not copy canaries on to canaries, which would show nothing.
_CANARIES = itertools.cycle(range(0xC1, 0xFE))


def next_canary() -> int:
    """Return the byte that fills the slack around the next array."""
    return next(_CANARIES)


@lru_cache(maxsize=None)
def _canaries(byte: int) -> bytes:
    """Return as many of a byte as there can be on one side of an array."""
    return bytes([byte]) * (2 * PAGE + ALIGNMENT)


class OutOfMemory(Exception):
    """The device has no room for an array of the size asked for."""


class Array:
    """A block of `nbytes` bytes at `address`, with its fences.

    Attributes
    ----------
    address : int
        Where the data begins; a multiple of 64.
    nbytes : int
    view : memoryview
        The data as writable bytes.
    """

    def __init__(self, base: int, span: int, nbytes: int, guarded: bool, margin: int) -> None:
        self.base = base
        self.span = span
        self.nbytes = nbytes
        self.guarded = guarded
        self._is_read_only = False
        rear = base + span - GUARD
        self.address = (rear - margin - nbytes) // ALIGNMENT * ALIGNMENT
        self._front = self.address - (base + GUARD)
        self._back = rear - (self.address + nbytes)
        self.view = memoryview((ctypes.c_char * nbytes).from_address(self.address)).cast("B")
        if guarded:
            self._canary = next_canary()
            ctypes.memset(base + GUARD, self._canary, self._front)
            ctypes.memset(self.address + nbytes, self._canary, self._back)

    def protect(self, read_only: bool) -> None:
        """Let the data be written or not; without guards it always can be."""
        if self._is_read_only is not read_only and self.guarded:
            self._is_read_only = read_only
            _LIBC.mprotect(self.base + GUARD, self.span - 2 * GUARD, _PROT_READ if read_only else _PROT_RW)

    def fill(self, byte: int) -> None:
        """Set every byte of the data; that of a huge array takes no memory until it is written."""
        self.protect(False)
        end = self.address + self.nbytes
        first, last = -(-self.address // PAGE) * PAGE, end // PAGE * PAGE
        if self.nbytes < SPARSE or not _map_pattern(first, last, byte):
            first = last = end
        ctypes.memset(self.address, byte, first - self.address)
        ctypes.memset(last, byte, end - last)

    def violation(self) -> Optional[Tuple[int, int]]:
        """Return where a canary byte has changed, in bytes from the start of the data, and how many did, or None."""
        if not self.guarded:
            return None
        canaries = _canaries(self._canary)
        if self._front and _LIBC.memcmp(self.address - self._front, canaries, self._front):
            front = ctypes.string_at(self.address - self._front, self._front)
            changed = [i for i, byte in enumerate(front) if byte != self._canary]
            return changed[-1] - self._front, len(changed)
        if self._back and _LIBC.memcmp(self.address + self.nbytes, canaries, self._back):
            back = ctypes.string_at(self.address + self.nbytes, self._back)
            changed = [i for i, byte in enumerate(back) if byte != self._canary]
            return self.nbytes + changed[0], len(changed)
        return None


class Memory:
    """All arrays of one worker. Blocks that are freed are kept, up to 32 MiB, for the next array of their size.

    Parameters
    ----------
    guard : bool
        Whether arrays are fenced.
    margin : int
        Bytes of canaries, up to a page, that each end of an array has at least.
    """

    def __init__(self, guard: bool, margin: int = 0) -> None:
        self._guard = guard
        self._margin = margin
        self._free: Dict[int, List[int]] = {}
        self._free_bytes = 0

    def allocate(self, nbytes: int) -> Array:
        """Return a fresh array; its contents are undefined.

        Raises
        ------
        OutOfMemory
            If the device cannot give that much.
        """
        span = (max(nbytes, 1) + 2 * self._margin + PAGE - 1) // PAGE * PAGE + 2 * GUARD
        blocks = self._free.get(span)
        if blocks:
            self._free_bytes -= span - 2 * GUARD
            return Array(blocks.pop(), span, nbytes, self._guard, self._margin)
        return Array(self._map(span, nbytes), span, nbytes, self._guard, self._margin)

    def free(self, array: Array) -> None:
        """Give the array's memory back; its view must not be used afterwards."""
        array.view.release()
        array.protect(False)
        if self._free_bytes + array.span - 2 * GUARD <= _REUSE_BYTES:
            self._free.setdefault(array.span, []).append(array.base)
            self._free_bytes += array.span - 2 * GUARD
        else:
            _LIBC.munmap(array.base, array.span)

    def _map(self, span: int, nbytes: int) -> int:
        if span > sys.maxsize:
            raise OutOfMemory(
                f"{nbytes} bytes are more than a process of this device can address ({sys.maxsize} bytes)"
            )
        if span > _LARGE and span > _available():
            raise OutOfMemory(f"{nbytes} bytes are more than this device has free ({_available()} bytes)")
        base = _LIBC.mmap(None, span, _PROT_NONE if self._guard else _PROT_RW, _FLAGS, -1, 0)
        if base is None or base == _MAP_FAILED:
            reason = os.strerror(ctypes.get_errno())
            raise OutOfMemory(f"no room for {nbytes} bytes ({reason}; {_available()} bytes are free)")
        if self._guard and _LIBC.mprotect(base + GUARD, span - 2 * GUARD, _PROT_RW):
            reason = os.strerror(ctypes.get_errno())
            _LIBC.munmap(base, span)
            raise OutOfMemory(f"no room for {nbytes} bytes ({reason}; {_available()} bytes are free)")
        return int(base)


def _map_pattern(start: int, end: int, byte: int) -> bool:
    """Fill whole pages with copies of one piece of memory, each of which becomes a page of its own when it is written.

    False where the device cannot do that.
    """
    try:
        descriptor = _pattern(byte)
    except (AttributeError, OSError):
        return False  # no memfd_create, or no room for the piece itself
    for place in range(start, end, _PATTERN):
        mapped = _LIBC.mmap(place, min(_PATTERN, end - place), _PROT_RW, _FIXED, descriptor, 0)
        if mapped is None or mapped == _MAP_FAILED:
            return False
    return True


@lru_cache(maxsize=None)
def _pattern(byte: int) -> int:
    """Return the descriptor of a piece of memory whose bytes are all `byte`."""
    descriptor = os.memfd_create(f"xdevice-{byte:02x}")
    for _ in range(_PATTERN >> 20):
        os.write(descriptor, bytes([byte]) * (1 << 20))
    return descriptor


def _available() -> int:
    """Return how many bytes can be had without the kernel killing someone: MemAvailable, or no bound where unknown."""
    try:
        with open("/proc/meminfo") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        return 1 << 62  # not Linux as we know it: let mmap decide
    return 1 << 62
