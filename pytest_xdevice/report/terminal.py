"""The section of timings at the end of a run."""

from __future__ import annotations

import shutil

import pytest

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
        if not self._reports or terminalreporter.verbosity < -1 or terminalreporter.no_summary:
            return
        from .table import timing_table
        from .table import timings_of

        timings = [timing for report in self._reports for timing in timings_of(report.user_properties)]
        terminalreporter.write_sep("=", "xdevice timings")
        for line in timing_table(timings, max(60, shutil.get_terminal_size().columns)):
            terminalreporter.write_line(line)
