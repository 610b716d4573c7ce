"""The pytest plugin: hooks, markers and fixtures. What they do lives in the modules named for it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator
from collections.abc import Iterator
from typing import Any
from typing import TYPE_CHECKING

import pytest

from . import drawn_tests
from .errors import ConfigError
from .errors import XDeviceError
from .fleet.crew import Crew
from .fleet.run_folder import RunFolder
from .lab import LAB
from .lab import Lab
from .lanes import Lane
from .lanes import lane_of
from .lanes import OpenLane
from .lanes import parametrize
from .lanes import parametrize_openly
from .lanes import uses_device
from .markers import check_markers
from .markers import MARKERS
from .options import add_options
from .options import repeated_devices
from .placement import await_turn
from .placement import fail_in_one_line
from .placement import forget_last_attempt
from .placement import judge
from .placement import lane_in_use
from .placement import note_lane
from .placement import place
from .regressions import register_baseline
from .report import properties
from .report.equality import explain_equality
from .report.registration import register_reports
from .report.terminal import QuarantineSection
from .report.terminal import TimingSection
from .report.terminal import with_device
from .report.usage import USAGE
from .report.usage import UsageNotes
from .report.usage import UsageSection
from .xbenchmark import FIXTURE
from .xbenchmark import register_fixture

if TYPE_CHECKING:
    from .remote import Device
    from .remote import Session

_DEVICE: pytest.StashKey[Device] = pytest.StashKey()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from . import newhooks

    pluginmanager.add_hookspecs(newhooks)


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    for text in MARKERS:
        config.addinivalue_line("markers", text)
    lab = config.stash[LAB] = Lab(config)
    config.add_cleanup(lab.sessions.close)
    if not _is_worker(config):
        config.pluginmanager.register(TimingSection(), "xdevice-timings")
        config.pluginmanager.register(QuarantineSection(config), "xdevice-quarantine")
        config.pluginmanager.register(UsageSection(lab), USAGE)
        config.pluginmanager.register(RunFolder(), "xdevice-run-folder")
        config.pluginmanager.register(Crew(lab, lambda line: _teller(config)(line)), "xdevice-crew")
    else:
        config.pluginmanager.register(UsageNotes(lab), USAGE)
    register_fixture(config)
    register_baseline(config)
    register_reports(config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[LAB].check_configuration()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    # Others are not to wait for a device until everything has been said about the run.
    session.config.stash[LAB].sessions.close()


def pytest_report_header(config: pytest.Config) -> list[str]:
    lab = config.stash[LAB]
    lines = []
    for device in lab.devices:
        place = "" if device.address == device.name else f" at {device.address}"
        target = lab.settings.target or device.target
        lines.append(f"xdevice: {device.name}{place}" + (f", target {target}" if target else ""))
    lines += [f"xdevice: {spec} is given twice, and taken once" for spec in repeated_devices(config)]
    if lab.distribution == "load":
        lines.append("xdevice: each test runs once, on a device that is free (--xdevice-dist=load)")
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    try:
        check_markers(metafunc.definition)
    except ConfigError as error:
        fail_in_one_line(f"{metafunc.definition.nodeid}: {error}")
    if uses_device(metafunc):
        lab = metafunc.config.stash[LAB]
        if lab.distribution == "load":
            parametrize_openly(metafunc, lab.kind)
            return
        # A figure is stored under the test's id, where those of another device must not be taken for it.
        parametrize(metafunc, lab.devices, lab.kind, named=FIXTURE in metafunc.fixturenames)


def pytest_itemcollected(item: pytest.Item) -> None:
    lane = lane_of(item)
    if isinstance(lane, Lane):
        note_lane(item, lane)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Connect to the devices that the selected tests need, before the first of them."""
    config = session.config
    if config.option.collectonly or _only_plans(config) or session.testsfailed:
        return
    lab = config.stash[LAB]
    lanes = dict.fromkeys(lane for lane in map(lane_of, session.items) if lane is not None)
    if _is_worker(config):
        # It cannot end the run by itself: what goes wrong is told when a test needs the device.
        lab.turns.take_early(lanes)
    elif lanes:
        lab.connect(lanes, _teller(config))


@pytest.hookimpl(wrapper=True, tryfirst=True)  # before any clock of the test's is started
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Wait for the device of a test, for however long that takes."""
    if not uses_device(item):
        item.config.stash[LAB].turns.leave_unused()
    elif not _only_plans(item.config):
        await_turn(item)
    return (yield)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip or fail a test whose requirements its device does not meet, before its fixtures are made."""
    forget_last_attempt(item)
    if _DEVICE in item.stash:
        del item.stash[_DEVICE]
    if uses_device(item) and not _only_plans(item.config):
        place(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around hypothesis's own, which looks at a test's fixtures
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    device = item.stash.get(_DEVICE, None)
    if device is None:
        return (yield)
    try:
        with drawn_tests.examples_of(item, device):
            return (yield)
    finally:
        _report_timings(item, device)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # what it changes is not for pytest-rerunfailures, which counts phases
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    judge(item, call, report)
    device = item.stash.get(_DEVICE, None)
    if report.failed and device is not None:
        from .report.failure import describe_run

        report.sections.append(("xdevice", "\n".join([describe_run(device), *_keep(item, device)])))
        if _is_detailed(item.config) and call.excinfo is not None:
            from .report.histogram import ulp_histogram

            if lines := ulp_histogram(call.excinfo.value):
                report.sections.append(("xdevice errors", "\n".join(lines)))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport, config: pytest.Config
) -> Generator[None, Any, Any]:
    """Say with -v which device a test ran on, where its id does not."""
    status = yield
    if status is None or config.stash[LAB].distribution == "each":
        return status
    return with_device(status, report)


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> list[str] | None:
    return explain_equality(op, left, right, detailed=_is_detailed(config))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """End a distributed run whose workers cannot reach a device, as a run in one process ends."""
    if report.failed and hasattr(report, "node"):
        for name, value in report.user_properties:
            if name == properties.UNREACHABLE:
                raise pytest.UsageError(str(value))


@pytest.fixture(scope="session")
def _xdevice_lane(request: pytest.FixtureRequest) -> Lane:
    lane = getattr(request, "param", None)
    if isinstance(lane, Lane):
        return lane
    lab = request.config.stash[LAB]
    try:
        return lab.turns.take_any(lane) if isinstance(lane, OpenLane) else lab.turns.lane_by_default()
    except XDeviceError as error:
        fail_in_one_line(str(error))


@pytest.fixture(scope="session")
def xdevice_session(_xdevice_lane: Lane, pytestconfig: pytest.Config) -> Session:
    """The session with the device that the test runs on, open until the end of the run."""
    try:
        return pytestconfig.stash[LAB].sessions.take(_xdevice_lane.device)
    except XDeviceError as error:
        fail_in_one_line(f"xdevice {_xdevice_lane.device.say(error)}")


@pytest.fixture
def xdevice(xdevice_session: Session, _xdevice_lane: Lane, request: pytest.FixtureRequest) -> Iterator[Device]:
    """The device that the test runs on: `run`, `compile`, `array`, `empty`, `assert_close`, ...

    What a test allocates on it is freed when the test ends.
    """
    try:
        lane = lane_in_use(request.node, _xdevice_lane.device)
        device = xdevice_session.device(lane.kind)
    except XDeviceError as error:
        fail_in_one_line(str(error))
    properties.set_property(request.node, properties.TARGET, str(device.target))
    request.node.stash[_DEVICE] = device
    yield device
    device.release()


def _is_worker(config: pytest.Config) -> bool:
    """Return whether this process is one of xdist's workers."""
    return hasattr(config, "workerinput")


def _is_detailed(config: pytest.Config) -> bool:
    """Return whether failures are to be told at length, as with -vv."""
    return bool(config.option.verbose >= 2)


def _only_plans(config: pytest.Config) -> bool:
    """Return whether no fixture will be made and no test will run, as with --setup-plan."""
    return bool(config.getoption("setupplan", False))


def _teller(config: pytest.Config) -> Callable[[str], None]:
    """Return what writes a line to the terminal, unless that is to be quiet."""
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is None or config.option.verbose < 0:
        return lambda line: None
    write: Callable[[str], None] = reporter.write_line
    return write


def _keep(item: pytest.Item, device: Device) -> Iterator[str]:
    """Leave what a failed test launched where --xdevice-artifacts says, and yield the line that tells of it."""
    directory = device.session.settings.artifacts
    if device.kept is not None and directory is not None:
        try:
            folder = device.kept.write(directory, item.nodeid, device)
        except OSError as error:
            yield f"kept       nothing: {error}"
        else:
            if folder is not None:
                properties.add_property(item, properties.KEPT, str(folder))
                yield f"kept       {folder}"


def _report_timings(item: pytest.Item, device: Device) -> None:
    from .report.device import processor_name
    from .timing import TimingRecord

    for record in device.records:
        if isinstance(record, TimingRecord):
            properties.add_timing(item, record, processor_name(device))
