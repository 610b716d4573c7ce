"""A labgrid coordinator and an exporter on loopback, with places, and somebody else who may have them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.harness.server import REPOSITORY
from tests.harness.service import Service

PROGRAMS = Path(sys.executable).parent
STRANGER = "elsewhere/somebody"

_CONNECT = """
import json, sys
import grpc
from labgrid.remote.generated import labgrid_coordinator_pb2 as pb2
from labgrid.remote.generated.labgrid_coordinator_pb2_grpc import CoordinatorStub

stub = CoordinatorStub(grpc.insecure_channel(sys.argv[1]))
"""
# As labgrid-client does, all in one process, which takes a second to start.
_MAKE_PLACES = """
for name, place in json.loads(sys.argv[2]).items():
    stub.AddPlace(pb2.AddPlaceRequest(name=name))
    stub.AddPlaceMatch(pb2.AddPlaceMatchRequest(placename=name, pattern=place["match"]))
    stub.SetPlaceTags(pb2.SetPlaceTagsRequest(placename=name, tags=place["tags"]))
    stub.AddPlaceAlias(pb2.AddPlaceAliasRequest(placename=name, alias=name + "-alias"))
"""
_TELL_OWNERS = """
places = stub.GetPlaces(pb2.GetPlacesRequest()).places
reservations = stub.GetReservations(pb2.GetReservationsRequest()).reservations
held = {place.name: place.acquired for place in places if place.acquired}
print(json.dumps({**held, **{"reservation " + each.token: each.owner for each in reservations}}))
"""


@dataclass(frozen=True)
class Labgrid:
    """A coordinator that runs.

    Attributes
    ----------
    coordinator : str
        Its address, for ``LG_COORDINATOR``.
    """

    coordinator: str

    def client(self, *arguments: str, owner: str = STRANGER) -> str:
        """Run labgrid's own client as somebody, and return what it printed."""
        host, user = owner.split("/")
        return subprocess.run(
            [PROGRAMS / "labgrid-client", "-x", self.coordinator, *arguments],
            env={**os.environ, "LG_HOSTNAME": host, "LG_USERNAME": user},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    def owners(self) -> dict[str, str]:
        """Return the places that somebody has, and the reservations, with ``host/user`` of each."""
        owners: dict[str, str] = json.loads(_run(_TELL_OWNERS, self.coordinator))
        return owners


def _run(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", _CONNECT + script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


@contextlib.contextmanager
def running_labgrid(
    directory: Path, resources: Mapping[str, object], places: Mapping[str, Mapping[str, object]], *options: str
) -> Iterator[Labgrid]:
    """Have a coordinator, and an exporter of the name "rack", for as long as the block runs.

    Parameters
    ----------
    directory : Path
        Where they write.
    resources : mapping
        What is exported: a group's name to its resources, as in an exporter's configuration.
    places : mapping
        A place's name to ``match``, a pattern of resources, and ``tags``.
    options : str
        More arguments for the exporter.
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
    with contextlib.ExitStack() as stack:
        command = [str(PROGRAMS / "labgrid-coordinator"), "-l", "127.0.0.1:0"]
        coordinator = stack.enter_context(Service(command, env=environment, cwd=str(directory)))
        labgrid = Labgrid(coordinator.await_line("listening on ").split()[-1])
        configuration = directory / "exporter.yaml"
        configuration.write_text(json.dumps(resources))  # which is YAML
        command = [
            str(PROGRAMS / "labgrid-exporter"),
            "-c",
            labgrid.coordinator,
            "-n",
            "rack",
            *options,
            str(configuration),
        ]
        stack.enter_context(Service(command, env=environment, cwd=str(directory)))
        for group in resources:
            coordinator.await_line(f"set_resource {group} ", limit=60)
        _run(_MAKE_PLACES, labgrid.coordinator, json.dumps(places))
        yield labgrid
