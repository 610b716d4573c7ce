"""What a launch is on the wire, and what the worker's backends have in common."""

from __future__ import annotations

import signal
from typing import Any
from typing import Callable
from typing import Dict
from typing import List
from typing import Optional
from typing import Tuple

SLOT = 8  # bytes; scalars and dims travel in slots of this size
_BATCH_SECONDS = 0.0002  # short batches, interleaved with whatever else the machine does, repeat best
_TIMING_BUDGET = 2.0  # seconds after which the number of samples is cut
_MIN_SAMPLES = 5
_DEFAULT_SAMPLES = 31
_NOTHING_TO_MEASURE = 10_000  # calls that take no time at all: a launch over no element enqueues nothing


class DeviceProblem(Exception):
    """The device cannot do what was asked.

    Attributes
    ----------
    kind : str
        What went wrong, for the host to choose its exception: ``"OutOfMemory"``, ``"LoadError"``, ...
    details : dict
        Further JSON values that belong to that kind.
    """

    def __init__(self, kind: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.kind = kind
        self.details = details

    def answer(self) -> Dict[str, Any]:
        """Return what the host is told."""
        return {"kind": self.kind, "message": str(self), **self.details}


class Launch:
    """A launch as it came over the wire.

    Attributes
    ----------
    key, entry : str
        Which program, and which of its symbols.
    arguments : list of int
        One an argument: the id of an array (≥ 0), or ``-1 - slot`` of a value.
    values : bytes
        Values in slots of 8 bytes, little-endian.
    timeout : float
        Seconds that it may take.
    options : dict
        What only some backends need: OpenCL's phases, and the key of the library that times a CPU's kernels.
    prepared : object
        What the backend made of it when it was last carried out: a launch may come again and again.
    """

    def __init__(self, request: Dict[str, Any]) -> None:
        self.key: str = request["key"]
        self.entry: str = request["entry"]
        self.arguments: List[int] = request["arguments"]
        self.values: bytes = bytes.fromhex(request["values"])
        self.timeout: float = float(request["timeout"])
        self.options: Dict[str, Any] = request
        self.prepared: Any = None


class deadline:
    """End this process by SIGALRM if the block takes longer: native code cannot be interrupted otherwise."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(self, *exception: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


Sample = Callable[[int], float]


def measure(
    sample: Sample, number: Optional[int], repeat: Optional[int], min_repeat_ms: Optional[float]
) -> Tuple[int, List[float]]:
    """Take timing samples.

    Parameters
    ----------
    sample : callable
        Runs the kernel that many times in a row and returns the seconds that took, on the device's clock.
    number : int or None
        Calls in a sample; None lets it be found, so that a sample takes about 0.2 ms.
    repeat : int or None
        Samples; None takes 31, fewer when they are long.
    min_repeat_ms : float or None
        Milliseconds that a sample must last at least; `number` is raised until it does.

    Returns
    -------
    tuple of int and list of float
        The number of calls in each sample, and seconds per call, one entry a sample.
    """
    sample(1)  # code and data are brought in before anything counts
    wanted = (min_repeat_ms or 0.0) / 1e3
    if number is None:
        wanted, number = max(wanted, _BATCH_SECONDS), 1
    elapsed = sample(number)
    while elapsed < wanted and (elapsed or number < _NOTHING_TO_MEASURE):
        number = max(number + 1, min(number * 10, int(number * 1.2 * wanted / max(elapsed, 1e-9))))
        elapsed = sample(number)
    if repeat is None:
        repeat = min(_DEFAULT_SAMPLES, max(_MIN_SAMPLES, int(_TIMING_BUDGET / max(elapsed, 1e-9))))
    return number, [sample(number) / number for _ in range(repeat)]
