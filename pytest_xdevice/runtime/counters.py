"""The counters of the processor and the kernel, by Linux's perf_event_open: what the threads of this process do."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from typing import Sequence
from typing import Tuple

# The system call's number; that of a 64-bit kernel's 32-bit programs is their own.
_NUMBERS = {"x86_64": 298, "aarch64": 241, "riscv64": 241}
_NARROW_NUMBERS = {"arm": 364, "aarch": 364, "i": 336, "x86": 336}  # by how the machine's name starts
# Name, type and config of <linux/perf_event.h>, and whether the kernel itself has to be looked into.
_EVENTS = (
    ("cycles", 0, 0, False),
    ("instructions", 0, 1, False),
    ("cache_misses", 0, 3, False),
    ("branch_misses", 0, 5, False),
    ("task_clock", 1, 1, False),
    ("page_faults", 1, 2, False),
    ("context_switches", 1, 3, True),
)
_EXCLUDE_KERNEL, _EXCLUDE_HV = 1 << 5, 1 << 6
_ENABLED_AND_RUNNING = 1 | 2  # PERF_FORMAT_TOTAL_TIME_*: a counter may have to share the hardware with others
_ATTRIBUTES = struct.Struct("=IIQQQQQ")  # as far as the flags; the rest is 0
_SIZE = 64  # PERF_ATTR_SIZE_VER0
_CLOEXEC = 1 << 3
_VALUES = struct.Struct("=QQQ")
_PARANOID = "/proc/sys/kernel/perf_event_paranoid"


class Counters:
    """Counters of all threads that this process has now, open until `close`.

    Attributes
    ----------
    missing : str
        Why some or all are missing; empty where none is.
    """

    def __init__(self) -> None:
        self._open: Dict[str, List[int]] = {}
        refused: Dict[str, List[str]] = {}
        for name, kind, config, in_kernel in _EVENTS:
            problem = self._add(name, kind, config, in_kernel)
            if problem:
                refused.setdefault(problem, []).append(name)
        self.missing = "; ".join(f"{', '.join(names)}: {problem}" for problem, names in refused.items())

    def read(self) -> Dict[str, float]:
        """Return what each counter that there is has counted so far; ``task_clock`` is in seconds."""
        return {name: sum(map(_value, files)) * _unit(name) for name, files in self._open.items()}

    def close(self) -> None:
        """Give the counters back."""
        for files in self._open.values():
            _close(files)
        self._open = {}

    def _add(self, name: str, kind: int, config: int, in_kernel: bool) -> str:
        """Open an event for each thread; return why it cannot be had, or nothing."""
        files: List[int] = []
        for thread in _threads():
            try:
                files.append(_perf_event_open(kind, config, thread, in_kernel))
            except OSError as error:
                if error.errno != errno.ESRCH:  # a thread that has ended counts nothing
                    _close(files)
                    return _reason(error)
        self._open[name] = files
        return ""


class Counted:
    """A sample whose counts are kept: see `runtime.timing.Sample`.

    Parameters
    ----------
    sample : callable
    counters : Counters
    """

    def __init__(self, sample: Any, counters: Counters) -> None:
        self._sample = sample
        self._counters = counters
        self._taken: List[Tuple[int, Dict[str, float]]] = []

    def __call__(self, calls: int) -> float:
        """Take a sample of so many calls; return its seconds."""
        before = self._counters.read()
        seconds = float(self._sample(calls))
        after = self._counters.read()
        self._taken.append((calls, {name: after[name] - count for name, count in before.items()}))
        return seconds

    def per_call(self, samples: int) -> Dict[str, float]:
        """Return the counts of one call, on average over the last `samples`, less those of a sample without a call."""
        kept = self._taken[-samples:]
        calls = sum(number for number, _ in kept)
        for _ in kept:
            self(0)
        empty = self._taken[len(self._taken) - len(kept) :]
        return {
            name: max(0.0, sum(counts[name] for _, counts in kept) - sum(counts[name] for _, counts in empty)) / calls
            for name in kept[0][1]
        }


def _perf_event_open(kind: int, config: int, thread: int, in_kernel: bool) -> int:
    number = _number()
    if number is None:
        raise OSError(errno.ENOSYS, "not known")
    flags = 0 if in_kernel else _EXCLUDE_KERNEL | _EXCLUDE_HV
    head = _ATTRIBUTES.pack(kind, _SIZE, config, 0, 0, _ENABLED_AND_RUNNING, flags)
    attributes = ctypes.create_string_buffer(head, _SIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    file = libc.syscall(
        ctypes.c_long(number), attributes, ctypes.c_int(thread), ctypes.c_int(-1), ctypes.c_int(-1),
        ctypes.c_ulong(_CLOEXEC),
    )  # fmt: skip
    if file < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(file)


def _number() -> Optional[int]:
    """Return the number of the system call on this processor, or None."""
    machine = platform.machine()
    if struct.calcsize("P") == 8:
        return _NUMBERS.get(machine)
    return next((number for start, number in _NARROW_NUMBERS.items() if machine.startswith(start)), None)


def _threads() -> Sequence[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/task")]
    except OSError:
        return [0]  # no /proc: the thread that asks


def _value(file: int) -> float:
    """Return what one counter has, made up for the time that it had to wait for the hardware."""
    count, enabled, running = _VALUES.unpack(os.read(file, _VALUES.size))
    return count * enabled / running if running else 0.0


def _unit(name: str) -> float:
    return 1e-9 if name == "task_clock" else 1.0


def _reason(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM):
        return (
            f"not allowed ({_PARANOID} is {_paranoid()}); sudo sysctl kernel.perf_event_paranoid=1, and in a container "
            "CAP_PERFMON"
        )
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
        return "the processor shows none here, as in most virtual machines"
    if error.errno == errno.ENOSYS:
        return "this system has no perf_event_open"
    return f"perf_event_open failed: {error.strerror}"


def _paranoid() -> str:
    try:
        with open(_PARANOID) as file:
            return file.read().strip()
    except OSError:
        return "not there"


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)
