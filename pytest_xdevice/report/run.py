"""What is known of a run when it is over: the contents of every report. ``schema.json`` describes its JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

from ..disturbances import Conditions
from ..disturbances import told

if TYPE_CHECKING:
    from .picture import Picture
    from .usage import DeviceUsage

SCHEMA_VERSION: Final = 1
# What is told of a test rather than what comes after it, where its setup, call and teardown came out differently.
OUTCOMES: Final = ("failed", "error", "xpassed", "xfailed", "skipped", "passed")


@dataclass(frozen=True)
class OpenCLFacts:
    """An OpenCL device that tests ran on. `memory` is in bytes."""

    name: str
    platform: str
    version: str
    driver: str
    device_type: str
    compute_units: int
    memory: int


@dataclass(frozen=True)
class DeviceFacts:
    """A device that tests ran on. `memory` is in bytes; `opencl` is empty where no test asked for it."""

    name: str
    address: str
    target: str
    cpu: str
    cores: int
    memory: int
    system: str
    python: str
    opencl: tuple[OpenCLFacts, ...] = ()


@dataclass(frozen=True)
class ArtifactFacts:
    """A kernel that was built and launched in the run. `size` is that of its object or program, in bytes."""

    device: str
    kind: str
    kernel: str
    target: str
    threads: int
    key: str
    size: int


@dataclass(frozen=True)
class Section:
    """Text that was captured while a test ran, or that the plugin adds to a failure."""

    title: str
    text: str


@dataclass(frozen=True)
class TestResult:
    """What became of one test, or of a file that could not be collected.

    Attributes
    ----------
    id : str
        The node id.
    name : str
        The node id without the device: the same for one test on several devices.
    device, kind, target : str or None
        Where it ran; None for a test that asks for no device.
    outcome : str
        One of `OUTCOMES`.
    seconds : float
        Duration on the host, with setup and teardown.
    message : str
        Why it failed or was skipped, in a line.
    details : str
        The traceback of a failure.
    picture : Picture or None
        Where the errors are, for a failed `assert_close` of arrays.
    kept : str or None
        The folder in which a failed test left its kernels and arguments.
    """

    __test__ = False  # no test itself

    id: str
    name: str
    device: str | None
    kind: str | None
    target: str | None
    outcome: str
    seconds: float
    message: str = ""
    details: str = ""
    sections: tuple[Section, ...] = ()
    picture: Picture | None = None
    kept: str | None = None

    @property
    def lane(self) -> str:
        """Where it ran, in words; ``"host"`` without a device."""
        return f"{self.device} {self.kind}" if self.device else "host"


@dataclass(frozen=True)
class TimingResult:
    """A measurement of a kernel: where it was taken, what its user property says, and what that of a baseline does."""

    test: str
    device: str
    kind: str
    measured: dict[str, Any]
    baseline: dict[str, Any] | None = None


@dataclass(frozen=True)
class RunResult:
    """A whole run. `started` is an ISO 8601 time with its zone, `seconds` the duration."""

    started: str
    seconds: float
    environment: dict[str, str]
    devices: tuple[DeviceFacts, ...] = ()
    tests: tuple[TestResult, ...] = ()
    timings: tuple[TimingResult, ...] = ()
    artifacts: tuple[ArtifactFacts, ...] = ()
    usage: tuple[DeviceUsage, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many tests had each outcome; those that none had are left out."""
        outcomes = [test.outcome for test in self.tests]
        return {outcome: outcomes.count(outcome) for outcome in OUTCOMES if outcome in outcomes}

    @property
    def failures(self) -> list[TestResult]:
        """The tests that failed, or could not be run."""
        return [test for test in self.tests if test.outcome in ("failed", "error")]

    @property
    def lanes(self) -> list[str]:
        """Where tests ran, in words, in order of appearance; the host last."""
        found = dict.fromkeys(test.lane for test in self.tests if test.device)
        return [*found, *(["host"] if any(test.device is None for test in self.tests) else [])]

    def matrix(self) -> dict[str, dict[str, TestResult]]:
        """Return tests by name, and of each by lane; of one that ran there several times, what went worst."""
        rows: dict[str, dict[str, TestResult]] = {}
        for test in self.tests:
            row = rows.setdefault(test.name, {})
            row[test.lane] = min(row.get(test.lane, test), test, key=lambda found: OUTCOMES.index(found.outcome))
        return rows

    @property
    def disturbances(self) -> list[str]:
        """What makes timings doubtful: a line on each device and cause."""
        return told(
            (timing.device, Conditions.from_wire(found) if (found := timing.measured.get("conditions")) else None)
            for timing in self.timings
        )

    def to_json(self) -> dict[str, Any]:
        """Return the run as plain JSON values, in which null stands for a number that is not finite."""
        timings = [
            {
                "test": found.test, "device": found.device, "kind": found.kind, **found.measured,
                "baseline": found.baseline,
            }
            for found in self.timings
        ]  # fmt: skip
        data: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "started": self.started,
            "seconds": self.seconds,
            "environment": self.environment,
            "counts": self.counts,
            "devices": [dataclasses.asdict(device) for device in self.devices],
            "tests": [dataclasses.asdict(test) for test in self.tests],
            "timings": timings,
            "artifacts": [dataclasses.asdict(artifact) for artifact in self.artifacts],
            "usage": [dataclasses.asdict(usage) for usage in self.usage],
        }
        plain: dict[str, Any] = _plain(data)
        return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
