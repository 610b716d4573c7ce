"""What each device had to do in a run: tests, failures, crashes, seconds used and waited."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

import pytest

from . import properties
from .phases import execution
from .phases import is_of_a_subtest

if TYPE_CHECKING:
    from ..lab import Lab

USAGE: Final = "xdevice-usage"  # the name of the plugin that counts
_WORKER_OUTPUT: Final = "xdevice_waited"
TITLES: Final = ("device", "tests", "failures", "crashes", "used", "waited")


@dataclass
class DeviceUsage:
    """What one device had to do.

    Attributes
    ----------
    device : str
    tests : int
        How many ran there; those that were skipped, or that it was too late for, are not among them.
    failures : int
        How many of these failed.
    crashes : int
        In how many of these a kernel crashed or the session was lost.
    used : float
        Seconds that they took, with setup and teardown.
    waited : float
        Seconds until the device was free and a session was open, of all processes together.
    """

    device: str
    tests: int = 0
    failures: int = 0
    crashes: int = 0
    used: float = 0.0
    waited: float = 0.0

    def cells(self) -> list[str]:
        """Return it as the cells of a table, under `TITLES`."""
        counts = [str(count) for count in (self.tests, self.failures, self.crashes)]
        return [self.device, *counts, f"{self.used:.1f} s", f"{self.waited:.1f} s"]


class UsageNotes:
    """Hands what one of xdist's workers has waited to the process that reports."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        session.config.workeroutput[_WORKER_OUTPUT] = json.dumps(self._lab.sessions.waited)  # type: ignore[attr-defined]


class UsageSection:
    """Counts for each device, from the tests of all processes, and writes a table at the end."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._found: dict[str, DeviceUsage] = {}
        self._failed: set[tuple[str, str]] = set()
        self._passed_over: set[tuple[str, str]] = set()
        self._seconds: dict[tuple[str, str], float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = dict(report.user_properties)
        name = told.get(properties.DEVICE)
        if name is None:
            return
        test = execution(report)
        if report.when == "setup":
            self._seconds[test] = 0.0
        if not is_of_a_subtest(report):
            self._seconds[test] = self._seconds.get(test, 0.0) + report.duration
        if _could_not_run(report, told):
            self._passed_over.add(test)
        elif report.failed or str(report.outcome) == "rerun":
            self._failed.add(test)
        if report.when == "teardown":
            self._count(self._of(str(name)), test, told)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take what one of xdist's workers has waited; one that crashed has not told."""
        self._add_waited(json.loads(getattr(node, "workeroutput", {}).get(_WORKER_OUTPUT, "{}")))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        self._add_waited(self._lab.sessions.waited)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        usage = self.usage()
        quiet = terminalreporter.verbosity < 0 or terminalreporter.no_summary
        if quiet or not usage or (len(self._lab.devices) == 1 and self._lab.distribution == "each"):
            return
        terminalreporter.write_sep("=", "xdevice devices")
        for line in _aligned([list(TITLES), *(found.cells() for found in usage)]):
            terminalreporter.write_line(line)

    def usage(self) -> list[DeviceUsage]:
        """Return what the devices of the run had to do, in the order in which they are configured."""
        return [self._found[device.name] for device in self._lab.devices if device.name in self._found]

    def _of(self, device: str) -> DeviceUsage:
        return self._found.setdefault(device, DeviceUsage(device))

    def _count(self, usage: DeviceUsage, test: tuple[str, str], told: dict[str, object]) -> None:
        seconds = self._seconds.pop(test, 0.0)
        has_failed, was_passed_over = test in self._failed, test in self._passed_over
        self._failed.discard(test)
        self._passed_over.discard(test)
        if was_passed_over:
            return
        usage.tests += 1
        usage.failures += has_failed
        usage.crashes += properties.CRASH in told
        usage.used += seconds

    def _add_waited(self, waited: dict[str, float]) -> None:
        for device, seconds in waited.items():
            self._of(device).waited += seconds


def _could_not_run(report: pytest.TestReport, told: dict[str, object]) -> bool:
    """Return whether a test got no further than its setup: it was skipped, or its device was quarantined."""
    if report.when == "setup" and report.failed:
        return properties.QUARANTINED in told
    return report.skipped and not hasattr(report, "wasxfail")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table's rows as lines, the first column to the left, the others to the right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        "  ".join([row[0].ljust(first), *(cell.rjust(width) for cell, width in zip(row[1:], others, strict=True))])
        for row in rows
    ]
