"""Puts each test on its device: waits for it, checks what the test requires, and says what becomes of it else."""

from __future__ import annotations

import weakref
from typing import Any
from typing import NoReturn

import pytest

from .config import DeviceConfig
from .errors import DeviceLost
from .errors import KernelCrash
from .errors import XDeviceError
from .fleet.turns import NoMatch
from .lab import LAB
from .lanes import Lane
from .lanes import lane_of
from .lanes import only_kind_of
from .lanes import uses_device
from .options import is_strict
from .report import properties

_LANE: pytest.StashKey[Lane] = pytest.StashKey()
_TURN: pytest.StashKey[Lane] = pytest.StashKey()
_NO_TURN: pytest.StashKey[BaseException] = pytest.StashKey()
_FAILED_REQUIREMENT: pytest.StashKey[bool] = pytest.StashKey()
_JUDGED: pytest.StashKey[weakref.ref[XDeviceError]] = pytest.StashKey()


def await_turn(item: pytest.Item) -> None:
    """Wait for the device of a test; what goes wrong is told by `place`, where a test may fail."""
    try:
        item.stash[_TURN] = item.config.stash[LAB].turns.take(item)
    # A fixture on the last device, which is torn down now, may raise anything.
    except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:  # noqa: BLE001
        item.stash[_NO_TURN] = error


def place(item: pytest.Item) -> None:
    """Have the device of a test, and skip or fail the test if that has not what it requires, or is out of reach."""
    unmet = _unmet_on_its_device(item)
    if unmet is not None:
        _refuse(item, unmet)


def _refuse(item: pytest.Item, unmet: str) -> NoReturn:
    """Skip or fail a test for what it requires and its device has not."""
    if is_strict(item.config):
        item.stash[_FAILED_REQUIREMENT] = True
        fail_in_one_line(f"{unmet} (--xdevice-strict)")
    raise pytest.skip.Exception(unmet, _use_item_location=True)


def lane_in_use(item: pytest.Item, device: DeviceConfig) -> Lane:
    """Return where a test runs: on `device`, if it was not known to ask for one, which its markers may refuse then.

    Raises
    ------
    ConfigError
        If its markers ask for more than one run.
    """
    from .requirements import unmet_requirement

    if uses_device(item):
        return item.stash[_LANE]
    lab = item.config.stash[LAB]
    lane = item.stash[_LANE] = Lane(device, only_kind_of(item, lab.kind))
    note_lane(item, lane)
    try:
        session = lab.sessions.take(device)
    except XDeviceError as error:
        fail_in_one_line(f"xdevice {device.say(error)}")
    unmet = unmet_requirement(item, lane, session)
    if unmet is not None:
        _refuse(item, unmet)
    return lane


def note_lane(item: pytest.Item, lane: Lane) -> None:
    """Have reports tell where a test runs."""
    properties.set_property(item, properties.DEVICE, lane.device.name)
    properties.set_property(item, properties.KIND, lane.kind)


def judge(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Note what the outcome of a test says of its device, and count a requirement that is not met as a failure."""
    if report.when == "setup" and item.stash.get(_FAILED_REQUIREMENT, False):
        report.when = "call"  # so that it counts as a failed test, not as an error in making its fixtures
    lane = item.stash.get(_LANE, None)
    if call.when == "teardown" or lane is None:
        return
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, XDeviceError) and _was_judged(item.config, error):
        return
    if isinstance(error, (KernelCrash, DeviceLost)):
        properties.add_property(item, properties.CRASH, type(error).__name__)
    item.config.stash[LAB].sessions.judge(lane.device, error, passed=call.when == "call" and report.passed)


def _was_judged(config: pytest.Config, error: XDeviceError) -> bool:
    """Return whether an error has failed a test already: that of a fixture fails all tests that have it in common."""
    last = config.stash.get(_JUDGED, None)
    config.stash[_JUDGED] = weakref.ref(error)  # what its frames hold is not to be kept
    return last is not None and last() is error


def forget_last_attempt(item: pytest.Item) -> None:
    """Forget what an earlier attempt to run a test has left, where it is run again."""
    properties.forget_all(item)
    keys: tuple[pytest.StashKey[Any], ...] = (_LANE, _FAILED_REQUIREMENT)
    for key in keys:
        if key in item.stash:
            del item.stash[key]
    lane = lane_of(item)
    if isinstance(lane, Lane):
        note_lane(item, lane)


def _unmet_on_its_device(item: pytest.Item) -> str | None:
    """Have the device of a test, and return what the test requires that it has not; fail where that cannot be."""
    from .requirements import unmet_requirement

    lab = item.config.stash[LAB]
    problem = item.stash.get(_NO_TURN, None)
    unmet: str | None = None
    if problem is None:
        try:
            lane = item.stash[_LANE] = _turn(item) or lab.turns.take(item)
            note_lane(item, lane)
            unmet = unmet_requirement(item, lane, lab.sessions.take(lane.device))
        except XDeviceError as error:
            problem = error
    else:
        del item.stash[_NO_TURN]
    for notice in lab.turns.take_notices():
        properties.add_property(item, properties.QUARANTINED, notice)
    if isinstance(problem, NoMatch):
        return str(problem)
    if problem is not None:
        _give_up(item, problem)
    return unmet


def _turn(item: pytest.Item) -> Lane | None:
    """Return where a test runs that has waited for its turn, once: another attempt has a turn of its own."""
    lane = item.stash.get(_TURN, None)
    if lane is not None:
        del item.stash[_TURN]
    return lane


def _give_up(item: pytest.Item, error: BaseException) -> NoReturn:
    """Fail a test whose device cannot be used, and tell the process that may end the run."""
    if not isinstance(error, XDeviceError):
        raise error
    lab, lane = item.config.stash[LAB], lane_of(item)
    device = lane.device if isinstance(lane, Lane) else None
    if lane is None and lab.distribution == "each" and isinstance(error, DeviceLost):
        device = lab.devices[0]  # the only one, else there would be no device to lose
    if device is None:
        message, is_unreachable = str(error), lab.turns.reached_none
    else:
        message, is_unreachable = f"xdevice {device.say(error)}", lab.sessions.cannot_reach(device)
    if is_unreachable:
        properties.add_property(item, properties.UNREACHABLE, message)
    elif isinstance(error, DeviceLost) and device is not None:
        properties.add_property(item, properties.QUARANTINED, message)
    fail_in_one_line(message)


def fail_in_one_line(message: str) -> NoReturn:
    """Fail a test without a traceback, and without the error that led to it."""
    raise pytest.fail.Exception(message, pytrace=False) from None
