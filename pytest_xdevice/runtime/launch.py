"""What a launch is on the wire, and what the worker's backends have in common."""

from __future__ import annotations

import signal
from typing import Any
from typing import Dict
from typing import List

SLOT = 8  # bytes; scalars and dims travel in slots of this size


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
