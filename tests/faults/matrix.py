"""What a user sees of a machine that fails, and after how long, by each way to it: ``python -m tests.faults.matrix``.

A machine of namespaces is reached over a socket, over ssh and by a command at the same time. A fault is injected while
each is at something; then it is mended, and each is to be used again.
"""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_xdevice import XDeviceError
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from pytest_xdevice.transport.gateway import BOOT_LINE
from tests.boards.processes import command_line
from tests.boards.processes import still_running
from tests.faults.kernels import add_one
from tests.faults.kernels import spin
from tests.harness.far_machine import far_machine
from tests.harness.far_machine import FarMachine
from tests.harness.server import module_command
from tests.harness.server import running_server
from tests.harness.sshd import running_sshd
from tests.harness.sshd import Sshd

WAYS = ("socket", "ssh", "exec")
TIMEOUT = 1.0  # seconds that a launch may take
LIMIT = TIMEOUT + 5.0  # seconds until it is told
GONE_SECONDS = 10.0  # within which nothing of a session runs any more on a device that lost its host
LARGE = 200 << 20  # bytes of an upload that a fault meets on its way


@dataclass(frozen=True)
class Fault:
    """What happens to a machine, and how it is undone; a machine without power stays so."""

    inject: Callable[[FarMachine], None]
    mend: Callable[[FarMachine], None] | None


FAULTS = {
    "link down": Fault(FarMachine.cut_the_link, FarMachine.mend_the_link),
    "100 % loss": Fault(lambda machine: machine.lose(100), FarMachine.lose_nothing),
    "20 % loss": Fault(lambda machine: machine.lose(20), FarMachine.lose_nothing),
    "frozen": Fault(FarMachine.freeze, FarMachine.thaw),
    "power cut": Fault(FarMachine.cut_the_power, None),
}


@dataclass(frozen=True)
class Seen:
    """What a user saw of a fault.

    Attributes
    ----------
    error : XDeviceError or None
        None where all went well.
    seconds : float
        After which that was.
    again : XDeviceError or None
        What they saw when they used the mended device again.
    """

    error: XDeviceError | None
    seconds: float
    again: XDeviceError | None = None


def add(session: Session) -> None:
    """Use a device."""
    values = np.arange(50_000, dtype=np.float32)
    np.testing.assert_array_equal(session.device("cpu").run(add_one, values), values + 1)


def launch(session: Session) -> None:
    """Start what does not end by itself."""
    session.device("cpu").run(spin, np.zeros(1, np.int32), np.zeros(1, np.int32))


def upload(session: Session) -> None:
    """Send what takes a while."""
    session.device("cpu").run(add_one, np.zeros(LARGE // 4, np.float32))


MOMENTS = {"between launches": add, "in a launch": launch, "in an upload": upload}


@contextlib.contextmanager
def ways_to(machine: FarMachine, folder: Path, *ways: str, timeout: float = TIMEOUT) -> Iterator[dict[str, Session]]:
    """Have sessions with a machine, each used once, by some ways to it, or all; a launch may take `timeout` seconds."""
    for name in WAYS:
        (folder / name).mkdir()
    with contextlib.ExitStack() as stack:
        command = [*machine.enter, *module_command()]
        server = stack.enter_context(running_server(command, folder / "socket", "--host", machine.address))
        sshd = stack.enter_context(running_sshd(folder / "ssh", address=machine.address, enter=machine.enter))
        settings = Settings(timeout=timeout, token_file=server.token_file)
        addresses = {
            "socket": server.address,
            "ssh": sshd.execnet_spec,
            "exec": f"exec:{_far_python(folder / 'exec', sshd)}",
        }
        sessions = {way: Session.open(DeviceConfig(way, addresses[way]), settings) for way in ways or WAYS}
        try:
            for session in sessions.values():
                add(session)
            yield sessions
        finally:
            for session in sessions.values():
                with contextlib.suppress(XDeviceError, OSError):
                    session.close()


def _far_python(folder: Path, sshd: Sshd) -> Path:
    """Return a command that gives a Python beyond ssh, as a user would write one; its lease is not that of ssh."""
    script = folder / "far-python"
    remote = f"TMPDIR={folder} python3 -u -c {shlex.quote(BOOT_LINE)}"
    script.write_text(f"#!/bin/sh\nexec ssh -F {sshd.config} xdevice-sshd {shlex.quote(remote)}\n")
    script.chmod(0o755)
    return script


def inject(
    fault: Fault, machine: FarMachine, sessions: Mapping[str, Session], action: Callable[[Session], None]
) -> dict[str, Seen]:
    """Have a fault happen while each session is at something; then mend it, and have each used again."""
    at_work = threading.Barrier(len(sessions) + 1)

    def use(session: Session) -> Seen:
        at_work.wait()
        began = time.monotonic()
        error = _error_of(lambda: action(session))
        return Seen(error, time.monotonic() - began)

    def use_again(session: Session, seen: Seen) -> Seen:
        def again() -> None:
            if session.lost is not None:
                session.reconnect()
            add(session)

        return Seen(seen.error, seen.seconds, _error_of(again))

    with ThreadPoolExecutor() as pool:
        if action is add:
            fault.inject(machine)
        running = {way: pool.submit(use, session) for way, session in sessions.items()}
        at_work.wait()
        if action is not add:
            fault.inject(machine)
        seen = {way: future.result() for way, future in running.items()}
        if fault.mend is None:
            return seen
        fault.mend(machine)
        return dict(zip(sessions, pool.map(use_again, sessions.values(), seen.values()), strict=True))


def _error_of(action: Callable[[], None]) -> XDeviceError | None:
    try:
        action()
    except XDeviceError as error:
        return error
    return None


def sessions_on(machine: FarMachine) -> list[int]:
    """Return the processes of sessions that run on a machine: what is neither its sshd nor its server."""
    services = ("sshd", "-m pytest_xdevice.runtime", "setpriv")
    found = {pid: command_line(pid) for pid in machine.processes()}
    return [pid for pid, words in found.items() if words and not any(service in words for service in services)]


def main() -> int:
    """Run the command; 1 when something came too late, or a mended device could not be used."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.matrix", description=__doc__)
    parser.add_argument("--fault", choices=FAULTS, help="one fault alone")
    parser.add_argument("--moment", choices=MOMENTS, help="one moment alone")
    options = parser.parse_args()
    failures = 0
    for name, fault in FAULTS.items():
        for moment, action in MOMENTS.items():
            if options.fault in (None, name) and options.moment in (None, moment):
                failures += _report(f"{name}, {moment}", fault, action)
    return 1 if failures else 0


def _report(title: str, fault: Fault, action: Callable[[Session], None]) -> int:
    """Print what came of a fault; return how often that was not what it should be."""
    failures = 0
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, far_machine() as machine:
        with ways_to(machine, Path(folder)) as sessions:
            for way, seen in inject(fault, machine, sessions, action).items():
                failures += seen.again is not None
                print(f"{title}, {way}: {_said(seen.error)} after {seen.seconds:.1f} s; then {_said(seen.again)}")
        left = still_running(sessions_on(machine), limit=GONE_SECONDS) if fault.mend else []
        for pid in left:
            print(f"{title}: left: {command_line(pid)}")
    sys.stdout.flush()
    return failures + len(left)


def _said(error: XDeviceError | None) -> str:
    return "no error" if error is None else f"{type(error).__name__} ({str(error).partition(chr(10))[0]:.100})"


if __name__ == "__main__":
    sys.exit(main())
