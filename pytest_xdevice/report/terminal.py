"""The sections at the end of a run: timings, and devices that were lost."""

from __future__ import annotations

import shutil

import pytest

from .properties import LOST
from .properties import TIMING


class TimingSection:
    """Collects the timings of all tests, those of other processes too, and writes them as a table."""

    def __init__(self) -> None:
        self._reports: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # The last of a test's reports has all of its properties.
        if report.when == "teardown" and any(name == TIMING for name, _ in report.user_properties):
            self._reports.append(report)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._reports or terminalreporter.verbosity < 0 or terminalreporter.no_summary:
            return
        from ..disturbances import told
        from .table import timing_table
        from .table import timings_of

        timings = [timing for report in self._reports for timing in timings_of(report.user_properties)]
        terminalreporter.write_sep("=", "xdevice timings")
        for line in timing_table(timings, max(60, shutil.get_terminal_size().columns)):
            terminalreporter.write_line(line)
        for line in told((timed.device, timed.record.timing.conditions) for timed in timings):
            terminalreporter.write_line(f"warning: {line}", yellow=True)


class LostSection:
    """Counts the tests that could not run since a device was lost, and says once what happened and what to do."""

    def __init__(self) -> None:
        self._tests: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "setup":
            for _, message in (entry for entry in report.user_properties if entry[0] == LOST):
                self._tests[str(message)] = self._tests.get(str(message), 0) + 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._tests:
            return
        terminalreporter.write_sep("=", "xdevice: lost devices")
        for message, count in self._tests.items():
            terminalreporter.write_line(f"{message}")
            terminalreporter.write_line(
                f"{count} test{'' if count == 1 else 's'} could not run there. See to its power, its link and, where "
                "one runs, its server; `xdevice info SPEC` tries a connection; `pytest --lf` runs what is missing."
            )
