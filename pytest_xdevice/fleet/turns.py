"""Gives each test its device: its own, or under ``--xdevice-dist load`` one that is free and has what it needs.

A process that takes turns with others has one leased device at a time and gives it back before it waits for another,
so that no two of them wait for each other.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from typing import Final
from typing import TYPE_CHECKING

import pytest

from ..config import DeviceConfig
from ..errors import DeviceBusy
from ..errors import DeviceLost
from ..errors import DeviceUnreachable
from ..errors import XDeviceError
from ..lanes import end_lane
from ..lanes import Lane
from ..lanes import lane_of
from ..lanes import one_kind_of
from ..lanes import OpenLane
from .claims import is_leased

if TYPE_CHECKING:
    from ..run_options import RunOptions
    from .sessions import Sessions

LOOK_SECONDS: Final = 30.0  # for which a process looks for a free device before it gets in line at one
_SHORT_PAUSE: Final = 0.05  # seconds before a worker of the same run is looked at again
_LONGEST_PAUSE: Final = 0.5  # seconds before a device that somebody else has is asked again
_GROWTH: Final = 1.5
_REST: Final = 4.0  # times as long as asking took
_MOST_ERRORS: Final = 3  # of a device, for one test


class NoMatch(XDeviceError):
    """No device has what a test requires; the message says of each what it lacks."""


@dataclass
class _Attempt:
    """What came of asking for every device that a test could run on.

    Attributes
    ----------
    busy : dict of Lane to DeviceBusy
        What those said that somebody else has.
    is_claimed : bool
        Whether another process of this run has one.
    has_learned : bool
        Whether it became known that one has not what the test requires.
    error : XDeviceError or None
        Why one could not be used.
    """

    busy: dict[Lane, DeviceBusy] = field(default_factory=dict)
    is_claimed: bool = False
    has_learned: bool = False
    error: XDeviceError | None = None

    def __str__(self) -> str:
        return "; ".join(map(str, self.busy.values()))


class _Patience:
    """Waits between attempts, for longer each time, and for `seconds` at most while somebody else has every device.

    It waits for longer than an attempt takes: over ssh that is a second, which the device spends on us.

    Attributes
    ----------
    slept : float
        Seconds spent here.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = self._resumed = time.monotonic()
        self._pause = _SHORT_PAUSE
        self.slept = 0.0

    @property
    def is_over(self) -> bool:
        """Whether to get in line at one device, where others, who stand in line, have always been first."""
        return time.monotonic() - self._began > LOOK_SECONDS

    def wait(self, attempt: _Attempt) -> None:
        now = time.monotonic()
        if attempt.is_claimed:
            self._began = now  # of those who wait for others of this run, each has its turn
        elif now - self._began > self._seconds:
            raise DeviceBusy(f"no device became free: {attempt}")
        time.sleep(max(self._pause, _REST * (now - self._resumed)))
        self._pause = min(self._pause * _GROWTH, _LONGEST_PAUSE) if attempt.busy else _SHORT_PAUSE
        self._resumed = time.monotonic()
        self.slept += self._resumed - now


class Turns:
    """Whose turn it is on which device, as far as this process is concerned.

    Parameters
    ----------
    options : RunOptions
        Which devices there are, and how tests get to them.
    sessions : Sessions
        Those of this process.
    first : int
        Which device to look at first, of those that are as good; so that the workers of a run do not all ask for one.
    """

    def __init__(self, options: RunOptions, sessions: Sessions, first: int) -> None:
        self._options = options
        self._sessions = sessions
        self._first = first
        self._seat: DeviceConfig | None = None  # where the fixtures of the last test were made
        self._is_early = False  # whether what this process has was taken before a test asked for it
        self._told: set[str] = set()
        self._notices: list[str] = []

    def take(self, item: pytest.Item) -> Lane:
        """Have the device of a test, and return where it runs; wait for it where that is needed.

        Raises
        ------
        NoMatch
            If no device has what the test requires.
        XDeviceError
            If its device, or every one that it could run on, is out of reach.
        """
        wanted = lane_of(item)
        if isinstance(wanted, Lane):
            if self._options.takes_turns and is_leased(wanted.device) and not self._sessions.holds(wanted.device):
                self._leave(item)
            self._sessions.take(wanted.device)
            lane = wanted
        elif self._options.distribution == "load":
            lane = self._choose(item, wanted or OpenLane(one_kind_of(item, self._options.kind)))
        else:
            lane = replace(self.lane_by_default(), kind=one_kind_of(item, self._options.kind))
        self._seat = lane.device
        return lane

    def take_any(self, wanted: OpenLane) -> Lane:
        """Have any device that can be reached, the one at hand first; the errors are those of `take`."""
        return self._choose(None, wanted)

    def lane_by_default(self) -> Lane:
        """Return the lane of a test that could not be parametrised, such as a method of a `unittest.TestCase`.

        Raises
        ------
        DeviceUnreachable
            If there are several devices, of which one would have to be chosen.
        """
        if self._options.distribution == "load":
            return self.take_any(OpenLane(self._options.kind))
        if len(self._options.devices) > 1:
            raise DeviceUnreachable(
                "this test cannot be run on each of several devices, since it asks for xdevice without naming it as "
                "an argument of a test function; do that, or give one --xdevice"
            )
        return Lane(self._options.devices[0], self._options.kind)

    def take_early(self, lanes: Iterable[Lane | OpenLane]) -> None:
        """Have a device, if one is free, for a test whose turn may come; the start of a session takes a while."""
        for lane in lanes:
            if isinstance(lane, OpenLane):
                self._is_early = True
                with suppress(XDeviceError):  # the test itself asks again, and tells
                    found = self._try_all(None, self._candidates(None, lane), _Attempt(), may_wait=False)
                    if found is not None:  # what runs kernels starts while other processes are still collecting
                        self._sessions.take(found.device).prepare(found.kind)
                return

    def leave_unused(self) -> None:
        """Give back what `take_early` took, if no test has used it so far."""
        if self._is_early and self._seat is None:
            self._leave(None)
        self._is_early = False

    def take_notices(self) -> list[str]:
        """Return a line on each device that choosing goes on without, which was not returned before."""
        notices, self._notices = self._notices, []
        return notices

    @property
    def reached_none(self) -> bool:
        """Whether no session could be opened with any device."""
        return all(self._sessions.cannot_reach(device) for device in self._options.devices)

    def _choose(self, item: pytest.Item | None, wanted: OpenLane) -> Lane:
        return self._at_hand(item, wanted) or self._look_for(item, wanted)

    def _at_hand(self, item: pytest.Item | None, wanted: OpenLane) -> Lane | None:
        """Return where a test runs without a look at the other devices, if this process has one that will do."""
        held = self._sessions.held
        if len(held) != 1:
            return None
        lane = Lane(held[0], wanted.kind)
        is_known = self._sessions.works(lane.device) and self._sessions.known(lane) is not None
        return lane if is_known and self._unmet(item, lane) is None else None

    def _look_for(self, item: pytest.Item | None, wanted: OpenLane) -> Lane:
        patience = _Patience(self._options.settings.lease_timeout)
        errors = 0
        in_line: Lane | None = None
        while True:
            attempt = _Attempt()
            candidates = self._candidates(item, wanted)
            lane = self._try_all(item, [lane for lane in candidates if lane == in_line] or candidates, attempt)
            if lane is not None:
                self._sessions.note_wait(lane.device, patience.slept)
                return lane
            if attempt.error is not None:
                errors += 1
                if errors > _MOST_ERRORS * len(self._options.devices):  # each is quarantined before that, as a rule
                    raise attempt.error
            elif not attempt.has_learned:
                self._sessions.show(f"xdevice: waiting for a device: {attempt}")
                patience.wait(attempt)
                self._sessions.show("")
                in_line = next(iter(attempt.busy)) if patience.is_over and attempt.busy else None

    def _try_all(
        self, item: pytest.Item | None, candidates: Sequence[Lane], attempt: _Attempt, *, may_wait: bool = True
    ) -> Lane | None:
        """Return the first of the lanes whose device can be had and has what the test requires."""
        for lane in candidates:
            if not self._sessions.holds(lane.device):
                self._leave(item)
            if self._open(lane, attempt, wait=may_wait and len(candidates) == 1):
                if self._unmet(item, lane) is None:
                    return lane
                attempt.has_learned = True
            if attempt.has_learned or attempt.error is not None:
                break
        return None

    def _candidates(self, item: pytest.Item | None, wanted: OpenLane) -> list[Lane]:
        """Return where a test could run for all that is known, the device at hand first."""
        unmet, out, found = [], [], []
        for device in self._options.devices:
            lane = Lane(device, wanted.kind)
            problem = self._unmet(item, lane)
            if problem is not None:
                unmet.append(problem)
            elif (failure := self._sessions.failure(device)) is not None:
                self._note_quarantine(device)
                out.append(device.say(failure))
            else:
                found.append(lane)
        if found:
            turned = [*found[self._first % len(found) :], *found[: self._first % len(found)]]
            return sorted(turned, key=lambda lane: not self._sessions.holds(lane.device))
        if not out:
            raise NoMatch(unmet[0] if len(unmet) == 1 else f"no device matches: {'; '.join(unmet)}")
        if self.reached_none:
            raise DeviceUnreachable("\n".join(f"xdevice {line}" for line in out))
        raise DeviceLost(f"no device is left for this test: {'; '.join([*out, *unmet])}")

    def _open(self, lane: Lane, attempt: _Attempt, *, wait: bool) -> bool:
        """Return whether this process has the device now."""
        try:
            session = self._sessions.take(lane.device) if wait else self._sessions.take_if_free(lane.device)
            if session is not None and lane.kind == "opencl":
                session.opencl_devices()
        except DeviceBusy as busy:
            if wait:
                raise
            attempt.busy[lane] = busy
            return False
        except XDeviceError as error:
            attempt.error = error
            return False
        attempt.is_claimed |= session is None
        return session is not None

    def _unmet(self, item: pytest.Item | None, lane: Lane) -> str | None:
        from ..requirements import unmet_by_name
        from ..requirements import unmet_requirement

        if item is None:
            return None
        session = self._sessions.known(lane)
        return unmet_by_name(item, lane) if session is None else unmet_requirement(item, lane, session)

    def _leave(self, item: pytest.Item | None) -> None:
        """Give back what this process has, after the fixtures that were made there have been torn down."""
        seat, self._seat = self._seat, None
        if seat is not None and item is not None:
            try:
                end_lane(item)
            except DeviceLost:
                if self._sessions.failure(seat) is None:
                    raise  # else it is told that the device is quarantined, and why
        for device in self._sessions.leased:
            self._sessions.give_back(device)

    def _note_quarantine(self, device: DeviceConfig) -> None:
        if device.name not in self._told:
            self._told.add(device.name)
            self._notices.append(f"xdevice {device.say(self._sessions.quarantine(device))}")
