"""Faults of kernels: what the worker prepares for one, and what the session makes of the report that it leaves.

A handler in native code (`toolchain.fault_reporter`) completes a report that lies ready in memory and writes it to a
pipe that the session reads once the worker is dead. With the address come the places of the arrays of the launch, so
that the session can say which of them was meant.

    block: addresses of write, raise, signal, pause; descriptor, length; report
    report: signal, code, address, stack pointer, access, program counter; top of the stack, address of the entry;
            address, nbytes, low, high of each argument
"""

from __future__ import annotations

import ctypes
import mmap
import os
import re
import signal
import struct
from typing import Any
from typing import Callable
from typing import Dict
from typing import List
from typing import Optional
from typing import Sequence
from typing import Tuple
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .memory import Array

FUNCTIONS = ("write", "raise", "signal", "pause")
UNKNOWN, READ, WRITE = 0, 1, 2  # what the kernel did, as far as the processor says
REPORT_AT = 8 * len(FUNCTIONS) + 8
BLOCK_BYTES = 4096  # no more than a pipe takes in one piece

_HEADER = struct.Struct("=iiQQQQQQ")
_ENTRY = struct.Struct("=QQQQ")
_ENTRIES = (BLOCK_BYTES - REPORT_AT - _HEADER.size) // _ENTRY.size
_OF_CODE = (signal.SIGFPE, signal.SIGILL, signal.SIGTRAP)  # an instruction's own, whatever address there is
_SIGNALS = (signal.SIGSEGV, signal.SIGBUS, *_OF_CODE)
_SA_SIGINFO, _SA_ONSTACK = 4, 0x08000000  # <asm/signal.h>, the same on all our architectures
_SIGNAL_STACK = 64 << 10  # bytes; AVX-512 or SVE registers alone take several thousand
_SI_USER = 0  # <asm/siginfo.h>, and what is below: kill(), raise() and their like
_SI_KERNEL = 128  # <asm/siginfo.h>: the address is none
_STACK_REACH = 64 << 10  # how far below the stack pointer code may reach into a frame that it has just made
_STACK_SPAN = 128 << 20  # Linux leaves as much free for the first thread's stack
_NULL_REACH = 64 << 10  # what counts as a field or an early element of a null pointer

_MEANING = {UNKNOWN: "touched", READ: "read", WRITE: "wrote"}


class _Action(ctypes.Structure):
    """``struct sigaction`` of glibc and musl."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class _Stack(ctypes.Structure):
    """``stack_t``."""

    _fields_ = (("base", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


class FaultReporter:
    """Has this process report the address of a fault before it dies of it.

    Parameters
    ----------
    library : ctypes.CDLL
        What `toolchain.fault_reporter` was compiled to.
    descriptor : int
        The pipe that takes the report.
    fenced : callable
        Returns the array in this process's memory that a backend's array is, or None.
    """

    def __init__(self, library: Any, descriptor: int, fenced: Callable[[Any], Optional[Array]]) -> None:
        self._fenced = fenced
        self._block = (ctypes.c_char * BLOCK_BYTES).in_dll(library, "xd_fault_block")
        self._watched: Tuple[Sequence[Any], int] = ((), 0)
        libc = ctypes.CDLL(None, use_errno=True)
        addresses = [ctypes.cast(getattr(libc, name), ctypes.c_void_p).value or 0 for name in FUNCTIONS]
        self._put(0, struct.pack(f"={len(addresses)}Qii", *addresses, descriptor, _HEADER.size))
        self._put(REPORT_AT + _HEADER.size - 16, struct.pack("=Q", _top_of_stack()))
        self._install(libc, ctypes.cast(library.xd_fault, ctypes.c_void_p))

    def watch(self, arrays: Sequence[Any], entry: int = 0) -> None:
        """Have the next report tell where these arrays of a backend's are, and how far from `entry` the fault was.

        Parameters
        ----------
        arrays : sequence
            One for each argument, None for a value.
        entry : int
            The address at which the kernel starts, where it has one.
        """
        if (arrays, entry) == self._watched:
            return
        self._watched = (arrays, entry)
        here = [None if array is None else self._fenced(array) for array in arrays[:_ENTRIES]]
        places = [(a.address, a.nbytes, a.base, a.base + a.span) if a else (0, 0, 0, 0) for a in here]
        table = b"".join(_ENTRY.pack(*place) for place in places)
        self._put(REPORT_AT + _HEADER.size - 8, struct.pack("=Q", entry))
        self._put(REPORT_AT + _HEADER.size, table)
        self._put(REPORT_AT - 4, struct.pack("=i", _HEADER.size + len(table)))

    def _put(self, offset: int, data: bytes) -> None:
        ctypes.memmove(ctypes.addressof(self._block) + offset, data, len(data))

    def _install(self, libc: Any, handler: ctypes.c_void_p) -> None:
        """Install the handler, on a stack of its own: the kernel may have used up the other."""
        self._memory = mmap.mmap(-1, _SIGNAL_STACK)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        libc.sigaltstack(ctypes.byref(_Stack(base, 0, _SIGNAL_STACK)), None)
        action = _Action(handler=handler.value, flags=_SA_SIGINFO | _SA_ONSTACK)
        for number in _SIGNALS:  # LLVM, in an OpenCL driver, has a handler there that cleans up and ends the process
            libc.sigaction(ctypes.c_int(number), ctypes.byref(action), None)


def read_report(descriptor: int) -> Optional[Dict[str, Any]]:
    """Return what a worker that is dead reported, or None.

    Returns
    -------
    dict or None
        ``access`` ("read", "wrote" or "touched"), ``address`` (None where the processor has none), ``instruction``
        (bytes from the kernel's entry), and ``place``: "argument", "null", "stack", "code" (where no address has to do
        with it), "sent" (no fault: a process sent the signal) or "elsewhere". With the first of them come ``position``
        (which argument), ``offset`` (bytes from its start) and its ``nbytes``; with the last those of the nearest
        argument, if any.
    """
    os.set_blocking(descriptor, False)
    try:
        data = os.read(descriptor, BLOCK_BYTES)
    except BlockingIOError:
        return None
    if len(data) < _HEADER.size:
        return None
    number, code, address, stack, access, counter, top, entry = _HEADER.unpack_from(data)
    report: Dict[str, Any] = {
        "access": _MEANING.get(access, "touched"),
        "address": address,
        "instruction": counter - entry,
    }
    if code <= _SI_USER:
        return dict(report, address=None, place="sent")
    if number in _OF_CODE:
        return dict(report, address=None, place="code")
    if code == _SI_KERNEL:
        return dict(report, address=None, place="elsewhere")
    end = len(data) - (len(data) - _HEADER.size) % _ENTRY.size
    table = list(_ENTRY.iter_unpack(data[_HEADER.size : end]))
    for position, (start, nbytes, low, high) in enumerate(table):
        if low <= address < high:
            return dict(report, place="argument", position=position, offset=address - start, nbytes=nbytes)
    if address < _NULL_REACH:
        return dict(report, place="null")
    if _is_of_the_stack(address, stack, top):
        return dict(report, place="stack")
    return dict(report, place="elsewhere", **_nearest(table, address))


def _is_of_the_stack(address: int, stack: int, top: int) -> bool:
    """Tell whether an address is the stack's; where that ends is known of the first thread's alone."""
    end = top if top - _STACK_SPAN <= stack < top else stack + _STACK_REACH
    return stack - _STACK_REACH <= address < end


def _nearest(table: List[Tuple[int, int, int, int]], address: int) -> Dict[str, int]:
    """Return which argument an address is nearest to, and how far from its start."""
    distances = [
        (max(start - address, address - start - nbytes), position)
        for position, (start, nbytes, low, high) in enumerate(table)
        if high
    ]
    if not distances:
        return {}
    position = min(distances)[1]
    start, nbytes = table[position][:2]
    return {"position": position, "offset": address - start, "nbytes": nbytes}


def _top_of_stack() -> int:
    """Return where the main thread's stack ends, or 0 where the system does not say."""
    try:
        with open("/proc/self/maps") as lines:
            for line in lines:
                if line.rstrip().endswith("[stack]"):
                    found = re.match(r"[0-9a-f]+-([0-9a-f]+) ", line)
                    return int(found.group(1), 16) if found else 0
    except OSError:
        pass
    return 0
