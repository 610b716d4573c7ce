"""Arrays in an OpenCL device's memory, between red zones by which a write outside of one is noticed.

    | red zone | data (nbytes) | red zone |

The zones hold canary bytes, which are looked at after each launch: by this process where the device computes in its
memory, by a kernel elsewhere.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any
from typing import Dict
from typing import Optional
from typing import Sequence

from .memory import Array
from .memory import CANARY
from .memory import Memory
from .memory import PAGE

_POCL = "Portable Computing Language"
_SLOTS = 128  # arguments of a launch that are looked at; no device takes many more
_ZONE = 1024  # bytes at each end on a device with memory of its own
_FOUND = struct.Struct("=iiii")  # lowest offset behind the data, highest one before it, their numbers
_NOTHING = _FOUND.pack((1 << 31) - 1, -(1 << 31), 0, 0)
_SOURCE = """
__kernel void xd_zones(
    __global const uchar *block, uint slot, uint zone, ulong nbytes, uchar canary, volatile __global int *found)
{
    size_t i = get_global_id(0);
    int offset = (int)i - (int)zone;
    found += 4 * slot;
    if (block[i < zone ? i : i + nbytes] == canary) return;
    if (i < zone) { atomic_max(found + 1, offset); atomic_inc(found + 3); }
    else { atomic_min(found, offset); atomic_inc(found + 2); }
}
"""

Violation = Dict[str, int]


class Buffer:
    """A block of device memory.

    Attributes
    ----------
    handle : pyopencl.Buffer
        The data.
    nbytes : int
    behind : Array, pyopencl.Buffer or None
        What its memory lies in, with the red zones.
    """

    def __init__(self, handle: Any, nbytes: int, behind: Any = None) -> None:
        self.handle = handle
        self.nbytes = nbytes
        self.behind = behind


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

    def violation(self, buffers: Sequence[Optional[Buffer]]) -> Optional[Violation]:
        """Return which argument's red zone was written, where (in bytes from its start) and how much, or None."""
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
        self._check = cl.Kernel(cl.Program(queue.context, _SOURCE).build(), "xd_zones")
        self._found = cl.Buffer(queue.context, self._flags, _SLOTS * _FOUND.size)
        self._forget()

    def allocate(self, nbytes: int) -> Buffer:
        zone, size = self._zone, max(nbytes, 1)
        block = self._cl.Buffer(self._queue.context, self._flags, zone + size + zone)
        canary = bytes([CANARY])
        self._cl.enqueue_fill_buffer(self._queue, block, canary, 0, zone)
        self._cl.enqueue_fill_buffer(self._queue, block, canary, zone + nbytes, zone)
        return Buffer(block.get_sub_region(zone, size, self._flags), nbytes, block)

    def free(self, buffer: Buffer) -> None:
        buffer.handle.release()
        buffer.behind.release()

    def violation(self, buffers: Sequence[Optional[Buffer]]) -> Optional[Violation]:
        given = [(position, buffer) for position, buffer in enumerate(buffers) if buffer is not None][:_SLOTS]
        for slot, (_, buffer) in enumerate(given):
            sizes = struct.pack("=IIQB", slot, self._zone, buffer.nbytes, CANARY)
            for index, value in enumerate((buffer.behind, sizes[:4], sizes[4:8], sizes[8:16], sizes[16:], self._found)):
                self._check.set_arg(index, value)
            self._cl.enqueue_nd_range_kernel(self._queue, self._check, (2 * self._zone,), None)
        answer = bytearray(len(given) * _FOUND.size)
        if given:
            self._cl.enqueue_copy(self._queue, answer, self._found, is_blocking=True)
        for (position, buffer), (behind, before, many_behind, many_before) in zip(given, _FOUND.iter_unpack(answer)):
            if many_behind or many_before:
                self._forget()
                offset, count = (before, many_before) if many_before else (buffer.nbytes + behind, many_behind)
                return {"position": position, "offset": offset, "count": count, "nbytes": buffer.nbytes}
        return None

    def _forget(self) -> None:
        self._cl.enqueue_copy(self._queue, self._found, _NOTHING * _SLOTS, is_blocking=True)
