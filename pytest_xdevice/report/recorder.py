"""Collects what reports tell while the tests run, and has them written at the end."""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
import time
from collections.abc import Generator
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from typing import Any
from typing import Final
from typing import TYPE_CHECKING

import pytest

from ..lab import LAB
from ..lanes import identifiers
from . import properties
from .files import write_all
from .phases import execution
from .phases import is_of_a_subtest
from .progress import ProgressLine
from .report_file import ReportFile
from .run import ArtifactFacts
from .run import DeviceFacts
from .run import OpenCLFacts
from .run import OUTCOMES
from .run import RunResult
from .run import Section
from .run import TestResult
from .run import TimingResult
from .usage import DeviceUsage
from .usage import USAGE
from .usage import UsageSection

if TYPE_CHECKING:
    from ..remote import Session
    from .picture import Picture

# Under these names a worker of xdist hands its devices, and what it built for them, to the process that reports.
_WORKER_OUTPUT: Final = "xdevice_devices"
_WORKER_ARTIFACTS: Final = "xdevice_artifacts"
# And under this one the picture of a failure is with its report, which JUnit shows no part of.
_PICTURE: Final = "xdevice_picture"
_TOLD_PACKAGES: Final = ("pytest-xdevice", "pytest", "numpy", "llvmlite", "pyopencl", "execnet", "hypothesis")


class DeviceNotes:
    """Notes the devices that a process has sessions with, and where errors are; xdist's workers hand both on."""

    def __init__(self) -> None:
        self._sessions: list[Session] = []

    def pytest_xdevice_connected(self, session: Session) -> None:
        self._sessions.append(session)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.excinfo is not None:
            from .picture import Picture

            picture = Picture.of(call.excinfo.value)
            report.__dict__[_PICTURE] = None if picture is None else picture.to_json()
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[_WORKER_OUTPUT] = json.dumps([asdict(facts) for facts in self.facts()])
            output[_WORKER_ARTIFACTS] = json.dumps([asdict(facts) for facts in self.artifacts()])

    def facts(self) -> list[DeviceFacts]:
        """Describe the devices."""
        return [_device_facts(session) for session in self._sessions]

    def artifacts(self) -> list[ArtifactFacts]:
        """Describe what was launched on them."""
        return [
            ArtifactFacts(device=session.name, **asdict(built))
            for session in self._sessions
            for built in session.launched.values()
        ]


class Recorder:
    """Collects the results of all tests, those of xdist's workers too, and writes the reports when the run ends."""

    def __init__(self, config: pytest.Config, files: Sequence[ReportFile], notes: DeviceNotes) -> None:
        self._config = config
        self._files = files
        self._notes = notes
        self._started = datetime.datetime.now().astimezone()
        self._clock = time.perf_counter()
        self._reports: dict[tuple[str, str], list[pytest.TestReport]] = {}
        self._broken: list[pytest.CollectReport] = []
        self._devices: dict[str, DeviceFacts] = {}
        self._artifacts: dict[ArtifactFacts, None] = {}  # in their order
        self._lines: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._broken.append(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "setup":
            self._reports.pop(execution(report), None)  # a test that is run again starts anew
        self._reports.setdefault(execution(report), []).append(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the devices and artifacts of one of xdist's workers; one that crashed has left none."""
        output = getattr(node, "workeroutput", {})
        for facts in json.loads(output.get(_WORKER_ARTIFACTS, "[]")):
            self._artifacts[ArtifactFacts(**facts)] = None
        for facts in json.loads(output.get(_WORKER_OUTPUT, "[]")):
            opencl = tuple(OpenCLFacts(**inner) for inner in facts.pop("opencl"))
            self._add(DeviceFacts(**facts, opencl=opencl))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._config.option.collectonly:
            return
        for facts in self._notes.facts():
            self._add(facts)
        self._artifacts.update(dict.fromkeys(self._notes.artifacts()))
        progress = ProgressLine(self._config)
        progress("writing reports")  # the plots of a large run take a while
        self._lines = write_all(self._files, self.result())
        progress("")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self._lines:
            if terminalreporter.verbosity >= 0 or "cannot" in line:
                terminalreporter.write_line(line)

    def result(self) -> RunResult:
        """Return all that was collected."""
        tests = [_broken_result(report) for report in self._broken]
        tests += [self._test_result(reports) for reports in self._reports.values()]
        return RunResult(
            started=self._started.isoformat(timespec="seconds"),
            seconds=time.perf_counter() - self._clock,
            environment=_environment(self._config),
            devices=tuple(self._devices.values()),
            tests=tuple(tests),
            usage=self._usage(),
            timings=tuple(timing for reports in self._reports.values() for timing in _timings(reports[-1])),
            artifacts=tuple(self._artifacts),
        )

    def _usage(self) -> tuple[DeviceUsage, ...]:
        section: UsageSection | None = self._config.pluginmanager.getplugin(USAGE)
        return () if section is None else tuple(section.usage())

    def _add(self, facts: DeviceFacts) -> None:
        known = self._devices.get(facts.name)
        if known is None or not known.opencl:
            self._devices[facts.name] = facts

    def _test_result(self, reports: Sequence[pytest.TestReport]) -> TestResult:
        nodeid = reports[-1].nodeid
        told = {name: str(value) for name, value in reports[-1].user_properties}
        device, kind = told.get(properties.DEVICE), told.get(properties.KIND)
        outcomes = [_outcome(report) for report in reports]
        outcome = min(outcomes, key=OUTCOMES.index)
        decisive = reports[outcomes.index(outcome)]
        failed = outcome in ("failed", "error")
        return TestResult(
            id=nodeid,
            name=nodeid if device is None or kind is None else self._without_lane(nodeid, device, kind),
            device=device,
            kind=kind,
            target=told.get(properties.TARGET),
            outcome=outcome,
            seconds=sum(report.duration for report in reports if not is_of_a_subtest(report)),
            message=_message(decisive, outcome),
            details=decisive.longreprtext if failed else "",
            sections=tuple(Section(title, text) for title, text in decisive.sections) if failed else (),
            picture=_picture(decisive) if failed else None,
            kept=told.get(properties.KEPT),
        )

    def _without_lane(self, nodeid: str, device: str, kind: str) -> str:
        """Return a node id without the part that says where the test ran."""
        devices = self._config.stash[LAB].devices
        names = dict(zip((config.name for config in devices), identifiers(devices), strict=True))
        lanes = [*([f"{names[device]}-{kind}"] if device in names else []), kind]
        pattern = rf"(?:^|-)(?:{'|'.join(map(re.escape, lanes))})(?=-|\]$)"
        path, bracket, arguments = nodeid.partition("[")
        others = re.sub(pattern, "", arguments, count=1).removeprefix("-")
        return path if others == "]" else f"{path}{bracket}{others}"


def _outcome(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "skipped" if report.skipped else "passed"


def _picture(report: pytest.TestReport) -> Picture | None:
    data = report.__dict__.get(_PICTURE)
    if data is None:
        return None
    from .picture import Picture

    return Picture.from_json(data)


def _message(report: pytest.TestReport, outcome: str) -> str:
    """Return why a test failed or was skipped, in a line."""
    if outcome == "passed":
        return ""
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail)
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else report.longreprtext
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _broken_result(report: pytest.CollectReport) -> TestResult:
    text = report.longreprtext
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    return TestResult(report.nodeid, report.nodeid, None, None, None, "error", 0.0, last.removeprefix("E   "), text)


def _timings(report: pytest.TestReport) -> list[TimingResult]:
    told = {name: str(value) for name, value in report.user_properties}
    device, kind = told.get(properties.DEVICE, ""), told.get(properties.KIND, "")
    measured = _values(report, properties.TIMING)
    # One that failed before its figures were compared has none; one that was run again has those of earlier tries, too.
    found = _values(report, properties.BASELINE)
    verdicts = [*[None] * len(measured), *found][len(found) :]
    return [
        TimingResult(report.nodeid, device, kind, each, verdict)
        for each, verdict in zip(measured, verdicts, strict=True)
    ]


def _values(report: pytest.TestReport, wanted: str) -> list[dict[str, Any]]:
    return [json.loads(str(value)) for name, value in report.user_properties if name == wanted]


def _device_facts(session: Session) -> DeviceFacts:
    from .device import cpu_name

    info = session.info
    return DeviceFacts(
        name=session.name,
        address=session.address,
        target=str(session.target),
        cpu=cpu_name(session),
        cores=info.cores,
        memory=info.memory,
        system=" ".join(part for part in (info.system, info.release, info.machine) if part),
        python=info.python,
        opencl=tuple(
            OpenCLFacts(
                found.name,
                found.platform,
                found.version,
                found.driver,
                found.device_type,
                found.compute_units,
                found.memory,
            )
            for found in session.known_opencl_devices
        ),
    )


def _environment(config: pytest.Config) -> dict[str, str]:
    """Return what a run depends on, in words."""
    found = {
        "host": platform.node(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "command": " ".join(["pytest", *map(str, config.invocation_params.args)]),
        "folder": str(config.rootpath),
    }
    for name in _TOLD_PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for name in ("GITHUB_REPOSITORY", "GITHUB_SHA", "GITHUB_REF_NAME", "CI_COMMIT_SHA", "CI_COMMIT_REF_NAME"):
        if os.environ.get(name):
            found[name.lower()] = os.environ[name]
    return found
