"""Compares the figures of a run with a baseline: ``--xdevice-baseline`` and ``--xdevice-fail-slower``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

import pytest

from .errors import ConfigError
from .options import baseline_path
from .options import fail_slower
from .report import properties
from .writable import obstacle

if TYPE_CHECKING:
    from .baseline import Baseline
    from .baseline import Figure
    from .baseline import Verdict

_WORKER_INPUT: Final = "xdevice_baseline"
_DEFAULT_THRESHOLD: Final = 0.1  # for what is told, where no test fails for it


def register_baseline(config: pytest.Config) -> None:
    """Have the run's figures compared, where a baseline is given.

    Raises
    ------
    pytest.UsageError
        If the options or the file make no sense, or the file could not be written at the end.
    """
    threshold = fail_slower(config)
    path = baseline_path(config)
    if path is None:
        if config.getoption("xdevice_fail_slower") is not None:
            raise pytest.UsageError(
                "--xdevice-fail-slower needs --xdevice-baseline FILE, whose figures it compares with"
            )
        return
    from .baseline import Baseline  # loads what a run without a baseline has no use for

    worker: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker is not None:
        baseline = Baseline.from_text(worker[_WORKER_INPUT])
        config.pluginmanager.register(RegressionCheck(baseline, threshold), "xdevice-regressions")
        return
    found = _read(path)
    # One that is there may be read-only: it is, where it has all figures of the run.
    if found is None and (problem := obstacle(path)) is not None:
        raise pytest.UsageError(f"--xdevice-baseline {path}: it cannot be written: {problem}")
    baseline = found or Baseline()
    config.pluginmanager.register(RegressionCheck(baseline, threshold), "xdevice-regressions")
    config.pluginmanager.register(BaselineKeeper(path, baseline, existed=found is not None), "xdevice-baseline")


class RegressionCheck:
    """Fails the tests whose kernels became slower; in each process that runs tests."""

    def __init__(self, baseline: Baseline, threshold: float | None) -> None:
        self._baseline = baseline
        self._threshold = threshold

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        result = yield
        threshold = _DEFAULT_THRESHOLD if self._threshold is None else self._threshold
        verdicts = self._baseline.compare(item.nodeid, _figures(item.user_properties), threshold)
        for verdict in verdicts:
            properties.add_property(item, properties.BASELINE, json.dumps(asdict(verdict)))
        slower = [verdict for verdict in verdicts if verdict.finding == "slower"]
        if slower and self._threshold is not None:
            pytest.fail(
                "\n".join([_headline(slower, self._threshold), *(each.message for each in slower)]), pytrace=False
            )
        return result


class BaselineKeeper:
    """Collects the figures of all processes, tells of them, and writes those that are new."""

    def __init__(self, path: Path, baseline: Baseline, *, existed: bool) -> None:
        self._path = path
        self._baseline = baseline
        self._existed = existed
        self._text = baseline.to_text()
        self._findings: Counter[str] = Counter()
        self._told: list[str] = []
        self._problem = ""

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Give a worker of xdist what the file said at the start."""
        node.workerinput[_WORKER_INPUT] = self._text

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call":
            return
        verdicts = [json.loads(str(value)) for name, value in report.user_properties if name == properties.BASELINE]
        for figure, verdict in zip(_figures(report.user_properties), verdicts, strict=False):
            finding = verdict["finding"]
            self._findings[finding] += 1
            if finding == "new" and report.passed:
                self._baseline.add(report.nodeid, [figure])
            if finding in ("elsewhere", "unusable") or (finding == "slower" and report.passed):
                self._told.append(f"{report.nodeid}: {finding}: {verdict['message']}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        if not self._findings["new"]:
            return
        try:
            self._baseline.save(self._path)
        except OSError as error:
            why = error.strerror or error
            self._problem = f"{self._path} could not be written ({why}): its figures are in the reports alone"

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self._findings and not self._problem:
            return
        nothing_new = set(self._findings) <= {"as before", "faster"}
        if terminalreporter.verbosity < 0 and nothing_new and not self._problem:
            return
        terminalreporter.write_sep("=", "xdevice baseline")
        counts = ", ".join(f"{count} {finding}" for finding, count in self._findings.items())
        terminalreporter.write_line(f"{self._path}: {counts}")
        for line in self._told:
            terminalreporter.write_line(line, yellow=True)
        if self._findings["elsewhere"]:
            terminalreporter.write_line(
                "Figures of another device are not compared: give a file for each device, or remove this one to have "
                "it written anew.",
                yellow=True,
            )
        if self._problem:
            terminalreporter.write_line(self._problem, red=True)
        elif self._findings["new"]:
            added = "were added to it" if self._existed else "are what it has; there was none before"
            terminalreporter.write_line(f"The new figures {added}. Later runs are compared with them.")


def _headline(slower: Sequence[Verdict], threshold: float) -> str:
    """Return the line that a test's failure is told by: the worst of its kernels."""
    most = max((verdict.ratio or 0.0 for verdict in slower), default=0.0)
    took = f": {most:.2f} times the baseline" if most else ""
    return f"slower by more than {threshold * 100:g}%{took}"


def _figures(found: list[tuple[str, object]]) -> list[Figure]:
    """Return the measurements among a test's properties."""
    from .baseline import Figure

    return [Figure.from_json(json.loads(str(value))) for name, value in found if name == properties.TIMING]


def _read(path: Path) -> Baseline | None:
    """Return the baseline that is in a file; None where there is no file yet."""
    from .baseline import Baseline

    if path.exists() and not path.is_file():
        problem = "it is a folder; give a file in it" if path.is_dir() else "it is no file; give one"
        raise pytest.UsageError(f"--xdevice-baseline {path}: {problem}")
    advice = "mend it, or remove it to have this run write a new one"
    try:
        return Baseline.from_text(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ConfigError as error:
        raise pytest.UsageError(f"--xdevice-baseline {path}: {error}; {advice}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"--xdevice-baseline {path}: it cannot be read ({error}); {advice}") from None
