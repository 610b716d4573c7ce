"""The way that operations take to a device, and what goes wrong there as the errors that a user sees."""

from __future__ import annotations

from typing import Any

from .artifact import Artifact
from .client import Batch
from .client import Problem
from .client import WorkerClient
from .client import WorkerEnded
from .connection import Connection
from .crashes import error_of_end
from .device_info import DeviceInfo
from .device_info import DeviceKind
from .errors import DeviceLost
from .misbehaviour import error_of_problem
from .target import Target


class CommandQueue:
    """What is done on a device's CPU, or on its OpenCL device, one batch of operations after the other.

    Attributes
    ----------
    session : Connection
    kind : {"cpu", "opencl"}
        Whether kernels run on the device's CPU or on its OpenCL device.
    """

    def __init__(self, session: Connection, kind: DeviceKind) -> None:
        self.session = session
        self.kind: DeviceKind = kind

    def __repr__(self) -> str:
        return f"<Device {self.name} {self.kind}: {self.target_summary}>"

    @property
    def name(self) -> str:
        """The device's name in reports."""
        return self.session.name

    @property
    def address(self) -> str:
        """The specification that the device was reached by."""
        return self.session.address

    @property
    def info(self) -> DeviceInfo:
        """What the device is."""
        return self.session.info

    @property
    def target(self) -> Target | str:
        """What kernels are compiled for: a `Target`, or ``"opencl"``."""
        return self.session.target if self.kind == "cpu" else "opencl"

    @property
    def target_summary(self) -> str:
        """The target in a few words; the extensions of a CPU would fill a screen."""
        return self.session.target.summary if self.kind == "cpu" else "opencl"

    def worker(self) -> WorkerClient:
        """Return the worker that this device's operations go to."""
        __tracebackhide__ = True
        try:
            return self.session.worker(self.kind)
        except DeviceLost as lost:
            raise DeviceLost(f"{self.name}: {lost}") from None

    def submit(
        self,
        batch: Batch,
        worker: WorkerClient,
        kernel: str,
        seconds: float,
        *,
        samples: int = 1,
        between: float = 0.0,
        artifact: Artifact | None = None,
    ) -> list[Any]:
        """Have `worker` carry out a batch in which `kernel` is launched, and turn what goes wrong into our errors.

        The kernel is allowed `seconds`, each time where there are `samples`, with so many seconds `between` them.
        """
        __tracebackhide__ = True
        try:
            return worker.submit(batch, (seconds + between) * samples)
        except WorkerEnded as end:
            self.session.prepare(self.kind)
            raise error_of_end(end, kernel, artifact, self, seconds, timed=samples > 1) from None
        except DeviceLost as lost:
            raise DeviceLost(f"{self.name}: {lost}") from None
        except Problem as problem:
            raise error_of_problem(problem, kernel, artifact) from None

    def request(self, batch: Batch) -> list[Any]:
        """Have the device carry out a batch in which no kernel is launched, and return the answers."""
        __tracebackhide__ = True
        return self.submit(batch, self.worker(), "", self.session.settings.timeout)
