"""What is asked of a labgrid coordinator, by the stubs of its gRPC interface that labgrid comes with.

It is imported in a process of its own alone (`labgrid_keeper`): a process that forks does not want gRPC's threads.
"""

from __future__ import annotations

import getpass
import os
import queue
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from typing import Final

import grpc
from labgrid.remote.common import Place
from labgrid.remote.common import Reservation
from labgrid.remote.common import ReservationState
from labgrid.remote.common import ResourceEntry
from labgrid.remote.generated import labgrid_coordinator_pb2 as pb2
from labgrid.remote.generated.labgrid_coordinator_pb2_grpc import CoordinatorStub
from labgrid.util import labgrid_version

_ANSWER_SECONDS: Final = 15.0
_ACQUIRE_SECONDS: Final = 60.0  # a coordinator gives an exporter 10 for each resource
_SERVICE: Final = "NetworkService"
# As labgrid's own client has them: a coordinator that is gone is noticed within 20 s.
_CHANNEL_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 7500),
    ("grpc.keepalive_timeout_ms", 10000),
    ("grpc.http2.ping_timeout_ms", 10000),
    ("grpc.http2.max_pings_without_data", 0),
)


class CoordinatorError(Exception):
    """The coordinator is away, or said no; the message says which."""


@dataclass(frozen=True)
class Wanted:
    """Which place is wanted.

    Attributes
    ----------
    name : str
        Its name or an alias; empty where tags say it.
    tags : dict
        What a place must have where there is no name.
    """

    name: str
    tags: dict[str, str]

    def __str__(self) -> str:
        return self.name or ",".join(f"{key}={value}" for key, value in self.tags.items())

    def fits(self, place: Place) -> bool:
        """Return whether a place is one that is wanted."""
        if self.name:
            return bool(self.name == place.name or self.name in place.aliases)
        return bool(self.tags.items() <= place.tags.items())


class Coordinator:
    """A connection to a coordinator, which shows this client, its name and what it holds to others.

    Parameters
    ----------
    address : str
        ``host:port``.

    Attributes
    ----------
    owner : str
        What this client is called, as labgrid's own would be: ``host/user``.
    is_taken : bool
        Whether somebody took the place away that was acquired.
    """

    def __init__(self, address: str) -> None:
        host = os.environ.get("LG_HOSTNAME") or socket.gethostname()
        self.owner = f"{host}/{os.environ.get('LG_USERNAME') or getpass.getuser()}"
        self._address = address
        self._channel = grpc.insecure_channel(address, options=_CHANNEL_OPTIONS)
        self._stub = CoordinatorStub(self._channel)
        self._out: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._synced = threading.Event()
        self._ended = ""
        self._resources: dict[tuple[str, str, str], ResourceEntry] = {}
        self._held = ""
        self._is_ours = False
        self.is_taken = False

    def __enter__(self) -> Coordinator:
        self.places()  # says at once when there is none
        for message in _greeting(self.owner):
            self._out.put(message)
        threading.Thread(target=self._listen, daemon=True).start()
        if not self._synced.wait(_ANSWER_SECONDS) or self._ended:
            raise CoordinatorError(f"the labgrid coordinator at {self._address} does not answer {self._ended}".rstrip())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._out.put(None)
        self._channel.close()

    def places(self) -> list[Place]:
        """Return all places."""
        return [Place.from_pb2(place) for place in self._call(self._stub.GetPlaces, pb2.GetPlacesRequest()).places]

    def reservations(self) -> list[Reservation]:
        """Return all reservations that wait, the next one first."""
        answer = self._call(self._stub.GetReservations, pb2.GetReservationsRequest())
        found = [Reservation.from_pb2(each) for each in answer.reservations]
        waiting = [each for each in found if each.state is ReservationState.waiting]
        return sorted(waiting, key=lambda each: (-each.prio, each.created))

    def reserve(self, filters: dict[str, str], priority: float) -> str:
        """Get in line for a place with these tags, of which ``name`` is one; return the reservation's token."""
        request = pb2.CreateReservationRequest(prio=priority)
        request.filters["main"].CopyFrom(pb2.Reservation.Filter(filter=filters))
        token: str = self._call(self._stub.CreateReservation, request).reservation.token
        return token

    def allocated(self, token: str) -> str | None:
        """Return the place that is kept for a reservation, or None as long as it waits; it stays in line by this."""
        answer = self._call(self._stub.PollReservation, pb2.PollReservationRequest(token=token))
        reservation = Reservation.from_pb2(answer.reservation)
        if reservation.state is ReservationState.allocated:
            (place,) = reservation.allocations["main"]
            return str(place)
        return None

    def cancel(self, token: str) -> None:
        """Leave the line."""
        self._call(self._stub.CancelReservation, pb2.CancelReservationRequest(token=token))

    def acquire(self, place: str) -> None:
        """Take a place."""
        self._held, self._is_ours, self.is_taken = place, False, False
        self._call(self._stub.AcquirePlace, pb2.AcquirePlaceRequest(placename=place), _ACQUIRE_SECONDS)

    def release(self, place: str, owner: str) -> None:
        """Give a place back, or take it from `owner`; nothing where somebody else has it by now."""
        if place == self._held:
            self._held = ""
        self._call(self._stub.ReleasePlace, pb2.ReleasePlaceRequest(placename=place, fromuser=owner))

    def services(self, place: Place) -> dict[str, dict[str, Any]]:
        """Return the parameters of the NetworkServices that a place has, by their names."""
        found = {}
        for (exporter, group, name), resource in sorted(self._resources.items()):
            path = (exporter, group, resource.cls, name)
            match = place.getmatch(path)
            if resource.cls == _SERVICE and match is not None:
                found[match.rename or name] = resource.params
        return found

    def _call(self, method: Any, request: Any, seconds: float = _ANSWER_SECONDS) -> Any:
        try:
            return method(request, timeout=seconds)
        except grpc.RpcError as error:
            if error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise CoordinatorError(
                    f"no labgrid coordinator answers at {self._address}: {_reason(error.details())}. Start "
                    "labgrid-coordinator there, or name another in LG_COORDINATOR (host:port)"
                ) from None
            raise CoordinatorError(f"the labgrid coordinator at {self._address} says: {error.details()}") from None

    def _listen(self) -> None:
        """Keep up with what the coordinator tells of resources, and of the place that is held."""
        try:
            for message in self._stub.ClientStream(iter(self._out.get, None)):
                for update in message.updates:
                    self._take_in(update)
                if message.HasField("sync"):
                    self._synced.set()
        except grpc.RpcError as error:
            self._ended = f"({_reason(error.details())})"
        finally:
            self._synced.set()

    def _take_in(self, update: Any) -> None:
        kind = update.WhichOneof("kind")
        if kind == "resource":
            self._resources[_path(update.resource.path)] = ResourceEntry(ResourceEntry.data_from_pb2(update.resource))
        elif kind == "del_resource":
            self._resources.pop(_path(update.del_resource), None)
        elif kind == "place" and update.place.name == self._held:
            was_ours, self._is_ours = self._is_ours, update.place.acquired == self.owner
            self.is_taken |= was_ours and not self._is_ours


def _greeting(owner: str) -> Iterable[Any]:
    startup = pb2.StartupDone(version=labgrid_version(), name=owner)
    yield pb2.ClientInMessage(startup=startup)
    yield pb2.ClientInMessage(subscribe=pb2.Subscribe(all_places=True))
    yield pb2.ClientInMessage(subscribe=pb2.Subscribe(all_resources=True))
    yield pb2.ClientInMessage(sync=pb2.Sync(id=1))


def _path(path: Any) -> tuple[str, str, str]:
    return path.exporter_name, path.group_name, path.resource_name


def _reason(details: str | None) -> str:
    """Return the last part of what gRPC says, which is the system's own word; a part of it may be in brackets."""
    return (details or "no answer").rpartition(": ")[2].rstrip("]")
