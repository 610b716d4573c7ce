"""The device that a labgrid coordinator lends: its place is acquired, and its NetworkService reached by ssh."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any
from typing import Final

from ..errors import DeviceUnreachable
from ..errors import JumpHostError
from .companion import Companion
from .control import Control
from .lease import Applicant
from .lease import Occupancy
from .protocol import StreamWay
from .spec import Spec
from .ssh import SshTransport

ACQUIRED: Final = "the device of the labgrid place"  # how an error begins that is the device's, not the place's
DEFAULT_COORDINATOR: Final = "127.0.0.1:20408"  # labgrid's own
_SILENCE_SECONDS: Final = 120.0  # more than the keeper's calls may take together
_END_SECONDS: Final = 20.0
_PACKAGE_ROOT: Final = str(Path(__file__).resolve().parents[2])
_START: Final = (
    "import sys; sys.path[:] = [{root!r}] + [entry for entry in sys.path if entry]; "
    "from pytest_xdevice.transport.labgrid_keeper import main; main()"
)


class LabgridTransport:
    """A place that a process beside this one holds, and an ssh connection to its device.

    That process gives the place back when this one ends, however it does: to labgrid's coordinator a place stays
    acquired when the client is gone.
    """

    stream_way: StreamWay = "unix"

    def __init__(self, spec: Spec, applicant: Applicant) -> None:
        self._spec = spec
        self._applicant = applicant
        wanted = spec.host or ",".join(f"{key}={value}" for key, value in spec.tags)
        self._label = f"labgrid:{wanted}"
        self._exit = contextlib.ExitStack()
        self._ssh: SshTransport | None = None

    def open(self) -> Control:
        """Wait in line for the place, acquire it, and connect to its device."""
        try:
            self._start("hold")
            place = self._applicant.wait(self._label, self._answer)
            self._ssh = SshTransport(self._reached_by(place), self._applicant)
            try:
                control = self._ssh.open()
            except JumpHostError:
                raise
            except DeviceUnreachable as error:
                raise DeviceUnreachable(f"{ACQUIRED} {place['place']}: {error}") from None
        except BaseException:
            self.close()
            raise
        self.stream_way = self._ssh.stream_way
        return control

    def stream(self, path: str) -> socket.socket:
        """Open a stream to a worker, over ssh."""
        assert self._ssh is not None, "it is not open"
        return self._ssh.stream(path)

    def who(self) -> Occupancy:
        """Ask the coordinator who has the place."""
        return Occupancy.from_wire(self._ask("who"))

    def release(self) -> str | None:
        """Have the coordinator take the place away from who has it."""
        holder: str | None = self._ask("release")["released"]
        return holder

    def close(self) -> None:
        """End the connection, and give the place back."""
        with self._exit:
            if self._ssh is not None:
                self._ssh.close()

    def _reached_by(self, place: dict[str, Any]) -> Spec:
        """Return the specification of what a place's NetworkService says."""
        user, proxy = place["username"], place["proxy"]
        host = f"{user}@{place['address']}" if user else place["address"]
        via = (proxy,) if proxy else ()
        return Spec("ssh", host, place["port"], python=self._spec.python, via=via)

    def _ask(self, purpose: str) -> dict[str, Any]:
        with contextlib.closing(self):
            self._start(purpose)
            return self._answer()

    def _start(self, purpose: str) -> None:
        """Start the process that speaks with the coordinator."""
        if importlib.util.find_spec("labgrid") is None:
            raise DeviceUnreachable(
                f'{self._label}: labgrid is not installed on this host: pip install "pytest-xdevice[labgrid]"'
            )
        # gRPC's own, that is: an answer has what matters.
        self._remarks = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._exit.callback(self._remarks.close)
        command = [sys.executable, "-c", _START.format(root=_PACKAGE_ROOT)]
        self._keeper = Companion(command, self._remarks.fileno(), _END_SECONDS)
        self._exit.callback(self._keeper.close)
        request = {
            "purpose": purpose,
            "coordinator": os.environ.get("LG_COORDINATOR") or DEFAULT_COORDINATOR,
            "name": self._spec.host,
            "tags": dict(self._spec.tags),
            "priority": self._spec.priority,
        }
        self._keeper.tell(json.dumps(request).encode())

    def _answer(self) -> dict[str, Any]:
        line = self._keeper.line(_SILENCE_SECONDS)
        if not line:
            self._remarks.seek(0)
            last = self._remarks.read().decode(errors="replace").strip().rpartition("\n")[2] or "it said nothing"
            raise DeviceUnreachable(f"{self._label}: what speaks with the labgrid coordinator failed: {last}")
        answer: dict[str, Any] = json.loads(line)
        if answer["state"] == "failed":
            raise DeviceUnreachable(f"{self._label}: {answer['problem']}")
        return answer
