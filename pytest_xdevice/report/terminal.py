"""What is told of devices while tests run, and the sections at the end: timings, and devices that were left out."""

from __future__ import annotations

import shutil
from typing import Any
from typing import Final

import pytest

from .properties import DEVICE
from .properties import QUARANTINED
from .properties import TIMING

_PLAIN: Final = str.maketrans("µ×…", "ux~")


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
        for line in timing_table(timings, max(40, shutil.get_terminal_size().columns)):
            terminalreporter.write_line(_writable(line, terminalreporter))
        for line in told((timed.device, timed.record.timing.conditions) for timed in timings):
            terminalreporter.write_line(f"warning: {line}", yellow=True)


def _writable(line: str, reporter: pytest.TerminalReporter) -> str:
    """Return a line in letters that a terminal without Unicode has as well, as many of them, so that columns stay."""
    encoding = getattr(reporter._tw._file, "encoding", None) or "utf-8"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return line.translate(_PLAIN)
    return line


class QuarantineSection:
    """Says at once, and again at the end, which devices the run goes on without, and how many tests that cost."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._tests: dict[str, int] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "setup":
            return
        for _, message in (entry for entry in report.user_properties if entry[0] == QUARANTINED):
            if message not in self._tests:
                self._tell(str(message))
            self._tests[str(message)] = self._tests.get(str(message), 0) + report.failed

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._tests:
            return
        terminalreporter.write_sep("=", "xdevice: quarantined devices")
        for message, count in self._tests.items():
            terminalreporter.write_line(f"{message}")
            missing = f"{count} test{'' if count == 1 else 's'} could not run there. " if count else ""
            again = "; `pytest --lf` runs what is missing" if count else ""
            terminalreporter.write_line(
                f"{missing}See to its power, its link and, where one runs, its server; `xdevice info SPEC` tries a "
                f"connection{again}."
            )

    def _tell(self, message: str) -> None:
        reporter = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is not None and self._config.option.verbose >= 0:
            reporter.ensure_newline()
            if reporter._tw.width_of_current_line:  # dots of xdist's workers, of which pytest does not know
                reporter._tw.line()
            reporter.write_line(message, yellow=True)


def with_device(status: tuple[str, str, Any], report: pytest.CollectReport | pytest.TestReport) -> tuple[str, str, Any]:
    """Return what is said of a test's outcome with the device that it ran on, where it did."""
    category, letter, word = status
    device = dict(getattr(report, "user_properties", ())).get(DEVICE)
    if not device or not word:
        return status
    text, *markup = word if isinstance(word, tuple) else (word,)
    text = f"{text} on {device}"
    return category, letter, (text, *markup) if markup else text
