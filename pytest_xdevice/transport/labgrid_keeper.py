"""The process that has a labgrid place: it gives the place back when its input ends, however its host has ended.

labgrid's coordinator leaves a place acquired when the client who has it is gone, so that somebody must be there who
outlives the host. It is started by `labgrid`, reads a request as one line of JSON, and answers with such lines.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any
from typing import Final

from labgrid.remote.common import Place

from .labgrid_coordinator import Coordinator
from .labgrid_coordinator import CoordinatorError
from .labgrid_coordinator import Wanted

_LOOK_SECONDS: Final = 0.5
_GIVE_BACK_SECONDS: Final = 15.0


@dataclass(frozen=True)
class _Request:
    """What is asked for.

    Attributes
    ----------
    purpose : {"hold", "who", "release"}
    coordinator : str
        Its address.
    wanted : Wanted
    priority : float
        Of the reservation: who has a higher one comes first.
    """

    purpose: str
    coordinator: str
    wanted: Wanted
    priority: float


def main() -> None:
    """Do what the first line of the input asks, and end with the input."""
    given = json.loads(sys.stdin.readline())
    request = _Request(
        given["purpose"], given["coordinator"], Wanted(given["name"], given["tags"]), float(given["priority"])
    )
    ended = _end_of_input()
    try:
        with Coordinator(request.coordinator) as coordinator:
            if request.purpose == "hold":
                _hold(coordinator, request, ended)
            else:
                _answer_about(coordinator, _only(coordinator, request.wanted), request.purpose)
    except CoordinatorError as error:
        _say(state="failed", problem=str(error))


def _end_of_input() -> threading.Event:
    """Return what is set when the input ends, or somebody ends this process."""
    ended = threading.Event()

    def read() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    return ended


def _say(**answer: object) -> None:
    with contextlib.suppress(BrokenPipeError):  # the host is gone, and so will be the input
        print(json.dumps(answer), flush=True)


def _fitting(coordinator: Coordinator, wanted: Wanted) -> list[Place]:
    """Return the places that fit.

    Raises
    ------
    CoordinatorError
        If there is none; to wait for such a one would be in vain.
    """
    there = coordinator.places()
    places = [place for place in there if wanted.fits(place)]
    if not places and wanted.name:
        names = ", ".join(sorted(place.name for place in there)) or "none"
        raise CoordinatorError(f"the labgrid coordinator has no place {wanted}; there are: {names}")
    if not places:
        tags = sorted({f"{key}={value}" for place in there for key, value in place.tags.items()})
        raise CoordinatorError(f"no labgrid place has {wanted}; there are: {', '.join(tags) or 'no tags at all'}")
    return places


def _no_service(place: str) -> str:
    return (
        f"the labgrid place {place} has no NetworkService, by which a device is reached: see that its exporter runs "
        "and exports one, and that a match of the place takes it in (labgrid-client -p PLACE show)"
    )


def _only(coordinator: Coordinator, wanted: Wanted) -> Place:
    places = _fitting(coordinator, wanted)
    if len(places) > 1:
        names = ", ".join(sorted(place.name for place in places))
        raise CoordinatorError(f"{wanted} stands for several labgrid places, and one is needed: {names}")
    return places[0]


def _hold(coordinator: Coordinator, request: _Request, ended: threading.Event) -> None:
    """Wait in line for a place, take it, and have it until the input ends."""
    place = _acquire(coordinator, request, ended)
    if place is None:
        return
    try:
        _say(state="granted", place=place, **_service(coordinator, place))
        ended.wait()
    finally:
        _give_back(coordinator, place)


def _give_back(coordinator: Coordinator, place: str) -> None:
    """Release a place, unless somebody took it away; a coordinator that is away for a moment is asked again."""
    give_up = time.monotonic() + _GIVE_BACK_SECONDS
    while not coordinator.is_taken:
        try:
            coordinator.release(place, coordinator.owner)
        except CoordinatorError:
            if time.monotonic() > give_up:
                raise
            time.sleep(_LOOK_SECONDS)
        else:
            return


def _acquire(coordinator: Coordinator, request: _Request, ended: threading.Event) -> str | None:
    """Return the place that was taken, or None where the input ended before."""
    wanted = request.wanted
    while not ended.is_set():
        places = _fitting(coordinator, wanted)
        if not any(coordinator.services(place) for place in places):
            raise CoordinatorError(_no_service(", ".join(place.name for place in places)))
        # A reservation knows places by their names alone, not by aliases.
        filters = {"name": places[0].name} if wanted.name else wanted.tags
        token = coordinator.reserve(filters, request.priority)
        try:
            name = _wait_in_line(coordinator, wanted, token, ended)
            if name is not None and _took(coordinator, name):
                return name
        finally:
            with contextlib.suppress(CoordinatorError):  # it ends by itself in a minute
                coordinator.cancel(token)
    return None


def _took(coordinator: Coordinator, name: str) -> bool:
    """Acquire a place that is kept for this client, if nobody of the same name did so without a reservation."""
    try:
        coordinator.acquire(name)
    except CoordinatorError:
        if not any(place.acquired for place in coordinator.places() if place.name == name):
            raise
        return False
    return True


def _wait_in_line(coordinator: Coordinator, wanted: Wanted, token: str, ended: threading.Event) -> str | None:
    while (name := coordinator.allocated(token)) is None:
        if ended.wait(_LOOK_SECONDS):
            return None
        places = [place for place in coordinator.places() if wanted.fits(place)]
        line = [each.token for each in _line(coordinator, places)]
        ahead = line.index(token) if token in line else 0
        _say(state="waiting", ahead=ahead, **_holders(places))
    return name


def _line(coordinator: Coordinator, places: list[Place]) -> list[Any]:
    """Return the reservations that wait for any of these places."""
    return [
        each
        for each in coordinator.reservations()
        if any(each.filters["main"].items() <= {**place.tags, "name": place.name}.items() for place in places)
    ]


def _holders(places: list[Place]) -> dict[str, object]:
    taken = [place for place in places if place.acquired]
    holders = ", ".join(dict.fromkeys(place.acquired for place in taken))
    since = min((place.changed for place in taken), default=time.time())
    return {"holder": holders or "a reservation of somebody", "held": max(0.0, time.time() - since)}


def _service(coordinator: Coordinator, name: str) -> dict[str, object]:
    """Return how the device of a place is reached."""
    (place,) = (place for place in coordinator.places() if place.name == name)
    services = coordinator.services(place)
    if not services:
        raise CoordinatorError(_no_service(name))
    if len(services) > 1:
        names = ", ".join(services)
        raise CoordinatorError(f"the labgrid place {name} has several NetworkServices, and one is needed: {names}")
    (service,) = services.values()
    extra = service.get("extra") or {}
    return {
        "address": service["address"],
        "username": service.get("username") or "",
        "port": int(service.get("port") or 22),
        "proxy": extra["proxy"] if extra.get("proxy_required") else "",
    }


def _answer_about(coordinator: Coordinator, place: Place, purpose: str) -> None:
    holder = place.acquired
    if purpose == "release":
        if holder:
            coordinator.release(place.name, holder)
        _say(state="released", released=holder)
        return
    waiting = [each.owner for each in _line(coordinator, [place])]
    held = max(0.0, time.time() - place.changed) if holder else 0.0
    _say(state="known", holder=holder, held=held, waiting=waiting)


if __name__ == "__main__":
    main()
