"""Arrays in an OpenCL device's memory, between red zones by which a write outside of one is noticed.

    | red zone | data (nbytes) | red zone |

The zones hold canary bytes, which are looked at after each launch: by this process where the device computes in its
memory, by a kernel elsewhere.
"""

from __future__ import annotations

import ctypes
import struct
from collections import deque
from typing import Any
from typing import Deque
from typing import Dict
from typing import Iterator
from typing import List
from typing import Optional
from typing import Sequence
from typing import Tuple

from .memory import Array
from .memory import Memory
from .memory import next_canary
from .memory import PAGE

_POCL = "Portable Computing Language"
_TOGETHER = 8  # arrays that one launch of the kernel below looks at
_KEPT_BYTES = 32 << 20  # of arrays that were freed, for the next ones of their size
_NEAR = 1 << 30  # bytes of a buffer that every driver fills
_ZONE = 1024  # bytes at each end on a device with memory of its own
_FOUND = struct.Struct("=iiii")  # lowest offset behind the data, highest one before it, their numbers
_NOTHING = _FOUND.pack((1 << 31) - 1, -(1 << 31), 0, 0)
_BLOCKS = range(_TOGETHER)
_SOURCE = """
__kernel void xd_zones({blocks}, {sizes}, uint zone, uchar8 canaries, volatile __global int *found)
{{
    __global const uchar *blocks[] = {{ {names} }};
    const ulong sizes[] = {{ {numbers} }};
    size_t i = get_global_id(0), slot = get_global_id(1);
    int offset = (int)i - (int)zone;
    uchar canary = ((const uchar *)&canaries)[slot];
    if (blocks[slot][i < zone ? i : i + sizes[slot]] == canary) return;
    found += 4 * slot;
    if (i < zone) {{ atomic_max(found + 1, offset); atomic_inc(found + 3); }}
    else {{ atomic_min(found, offset); atomic_inc(found + 2); }}
}}
""".format(
    blocks=", ".join(f"__global const uchar *b{k}" for k in _BLOCKS),
    sizes=", ".join(f"ulong n{k}" for k in _BLOCKS),
    names=", ".join(f"b{k}" for k in _BLOCKS),
    numbers=", ".join(f"n{k}" for k in _BLOCKS),
)

Violation = Dict[str, int]


def fill(cl: Any, queue: Any, buffer: Any, byte: int, start: int, length: int) -> None:
    """Set bytes of a buffer.

    NVIDIA's driver fills at wrong addresses from 2**31 on. Its copies go to the right ones, so that there bytes come
    from what was filled before, or from this process.
    """
    if not length:
        return
    filled = min(length, _NEAR - start)
    if filled > 0:
        cl.enqueue_fill_buffer(queue, buffer, bytes([byte]), start, filled)
    else:
        filled = min(length, _NEAR)
        cl.enqueue_copy(queue, buffer, bytes([byte]) * filled, dst_offset=start, is_blocking=True)
    for offset in range(filled, length, filled):
        count = min(filled, length - offset)
        cl.enqueue_copy(queue, buffer, buffer, src_offset=start, dst_offset=start + offset, byte_count=count)


class Buffer:
    """A block of device memory.

    Attributes
    ----------
    handle : pyopencl.Buffer
        The data.
    nbytes : int
    behind : Array, pyopencl.Buffer or None
        What its memory lies in, with the red zones.
    canary : int
        The byte that fills red zones on the device.
    """

    def __init__(self, handle: Any, nbytes: int, behind: Any = None, canary: int = 0) -> None:
        self.handle = handle
        self.nbytes = nbytes
        self.behind = behind
        self.canary = canary


def memory_of(cl: Any, device: Any, queue: Any, guard: bool) -> PlainMemory:
    """Return where the arrays of a device live, with red zones if `guard` says so."""
    if not guard:
        return PlainMemory(cl, queue)
    if device.platform.name.strip() == _POCL and device.type & cl.device_type.CPU:
        return SharedMemory(cl, queue)
    return ZonedMemory(cl, queue)


class PlainMemory:
    """Arrays without red zones."""

    def __init__(self, cl: Any, queue: Any) -> None:
        self._cl = cl
        self._queue = queue
        self._flags = cl.mem_flags.READ_WRITE

    def allocate(self, nbytes: int) -> Buffer:
        """Return a block whose contents are undefined.

        Raises
        ------
        OutOfMemory, pyopencl.Error
            If there is no room.
        """
        return Buffer(self._cl.Buffer(self._queue.context, self._flags, max(nbytes, 1)), nbytes)

    def free(self, buffer: Buffer) -> None:
        """Give a block back."""
        buffer.handle.release()

    def look(self, buffers: Sequence[Optional[Buffer]]) -> None:
        """Have the red zones looked at as soon as the device has done what it was given."""

    def violation(self, buffers: Sequence[Optional[Buffer]]) -> Optional[Violation]:
        """Return which argument's red zone was written, where (in bytes from its start) and how much, or None.

        The device has finished since `look` was called.
        """
        return None


class SharedMemory(PlainMemory):
    """Arrays in this process's memory, in which PoCL computes: beyond the red zones are guard pages."""

    def __init__(self, cl: Any, queue: Any) -> None:
        super().__init__(cl, queue)
        self._memory = Memory(guard=True, margin=PAGE // 2)

    def allocate(self, nbytes: int) -> Buffer:
        array = self._memory.allocate(nbytes)
        # Not the array's own view, to which pyopencl would keep a reference.
        data = (ctypes.c_char * max(nbytes, 1)).from_address(array.address)
        try:
            flags = self._flags | self._cl.mem_flags.USE_HOST_PTR
            return Buffer(self._cl.Buffer(self._queue.context, flags, hostbuf=data), nbytes, array)
        except self._cl.Error:
            self._memory.free(array)
            raise

    def free(self, buffer: Buffer) -> None:
        self._queue.finish()  # it may still be filled
        buffer.handle.release()
        self._memory.free(buffer.behind)

    def violation(self, buffers: Sequence[Optional[Buffer]]) -> Optional[Violation]:
        for position, buffer in enumerate(buffers):
            if buffer is not None:
                array: Array = buffer.behind
                found = array.violation()
                if found is not None:
                    return {"position": position, "offset": found[0], "count": found[1], "nbytes": buffer.nbytes}
        return None


class ZonedMemory(PlainMemory):
    """Arrays in the middle of larger blocks of the device's own memory."""

    def __init__(self, cl: Any, queue: Any) -> None:
        super().__init__(cl, queue)
        alignment = max(queue.device.mem_base_addr_align // 8, 1)
        self._zone = -(-_ZONE // alignment) * alignment
        self._program = cl.Program(queue.context, _SOURCE).build()
        self._watched: List[Optional[Buffer]] = []
        self._checks: List[_Check] = []
        self._damaged: List[Buffer] = []
        self._kept: Dict[int, Deque[Buffer]] = {}
        self._kept_bytes = 0

    def allocate(self, nbytes: int) -> Buffer:
        kept = self._kept.get(nbytes)
        if kept:
            self._kept_bytes -= nbytes
            return kept.popleft()  # in the order that they came in, so that the same launch gets the same ones
        zone, size = self._zone, max(nbytes, 1)
        block = self._cl.Buffer(self._queue.context, self._flags, zone + size + zone)
        canary = next_canary()
        fill(self._cl, self._queue, block, canary, 0, zone)
        fill(self._cl, self._queue, block, canary, zone + nbytes, zone)
        return Buffer(block.get_sub_region(zone, size, self._flags), nbytes, block, canary)

    def free(self, buffer: Buffer) -> None:
        if buffer not in self._damaged and self._kept_bytes + buffer.nbytes <= _KEPT_BYTES:
            self._kept.setdefault(buffer.nbytes, deque()).append(buffer)
            self._kept_bytes += buffer.nbytes
            return
        if buffer in self._damaged:
            self._damaged.remove(buffer)
        if buffer in self._watched:
            self._watched, self._checks = [], []
        buffer.handle.release()
        buffer.behind.release()

    def look(self, buffers: Sequence[Optional[Buffer]]) -> None:
        watched = list(buffers)
        if watched != self._watched:
            given = [(position, buffer) for position, buffer in enumerate(watched) if buffer is not None]
            groups = [given[start : start + _TOGETHER] for start in range(0, len(given), _TOGETHER)]
            self._checks = [_Check(self._cl, self._queue, self._program, self._zone, group) for group in groups]
            self._watched = watched
        for check in self._checks:
            check.enqueue()

    def violation(self, buffers: Sequence[Optional[Buffer]]) -> Optional[Violation]:
        found = [damage for check in self._checks for damage in check.damages()]
        if not found:
            return None
        self._watched, self._checks = [], []  # what was counted is not to be counted again
        self._damaged += [buffer for _, buffer, _, _ in found if buffer not in self._damaged]
        position, buffer, offset, count = found[0]
        return {"position": position, "offset": offset, "count": count, "nbytes": buffer.nbytes}


class _Check:
    """A launch of the kernel that looks at the red zones of a few arrays, to be made again and again."""

    def __init__(self, cl: Any, queue: Any, program: Any, zone: int, given: List[Tuple[int, Buffer]]) -> None:
        self._cl = cl
        self._queue = queue
        self._given = given
        self._size = (2 * zone, len(given))
        self._nothing = _NOTHING * len(given)
        self._answer = bytearray(self._nothing)
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
        self._found = cl.Buffer(queue.context, flags, hostbuf=self._answer)
        self._kernel = cl.Kernel(program, "xd_zones")
        padded = [buffer for _, buffer in given] + [given[0][1]] * (_TOGETHER - len(given))
        for index, buffer in enumerate(padded):
            self._kernel.set_arg(index, buffer.behind)
            self._kernel.set_arg(_TOGETHER + index, struct.pack("=Q", buffer.nbytes))
        canaries = bytes(buffer.canary for buffer in padded)
        for index, value in enumerate((struct.pack("=I", zone), canaries, self._found)):
            self._kernel.set_arg(2 * _TOGETHER + index, value)

    def enqueue(self) -> None:
        """Have the device look once it has done what it was given before."""
        self._cl.enqueue_nd_range_kernel(self._queue, self._kernel, self._size, None)
        self._cl.enqueue_copy(self._queue, self._answer, self._found, is_blocking=False)

    def damages(self) -> Iterator[Tuple[int, Buffer, int, int]]:
        """Yield what was found: an argument's position, its array, where that was written outside, and how much."""
        if self._answer == self._nothing:
            return
        for (position, buffer), (behind, before, many_behind, many_before) in zip(
            self._given, _FOUND.iter_unpack(self._answer)
        ):
            if many_behind or many_before:
                offset, count = (before, many_before) if many_before else (buffer.nbytes + behind, many_behind)
                yield position, buffer, offset, count
