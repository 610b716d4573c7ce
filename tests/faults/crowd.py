"""Hosts that come for one device and die at random: ``python -m tests.faults.crowd SPEC --clients 20 --seconds 600``.

Each takes the device for a moment. Half of them are killed, while they wait or while they have it. Whoever lives is to
get the device, nobody together with another.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pytest_xdevice import XDeviceError
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import transport_to

HOLD_SECONDS = 0.05
PATIENCE = 60.0  # seconds that nobody in a crowd should have to wait
TURN, UNFAIR, TWO_AT_ONCE = 0, 3, 4


@dataclass
class Outcome:
    """What became of a crowd.

    Attributes
    ----------
    turns, killed, failed : int
        How many had the device, died as they were meant to, and did not get what they should have.
    worst : float
        Seconds that the one which waited longest lived.
    """

    turns: int = 0
    killed: int = 0
    failed: int = 0
    worst: float = 0.0


def run_crowd(address: str, token_file: Path | None, *, clients: int, seconds: float, seed: int = 0) -> Outcome:
    """Have `clients` at a time come for a device, for `seconds`; then wait for those that are left."""
    drawn = random.Random(seed)
    outcome, living = Outcome(), {}
    with tempfile.TemporaryDirectory() as folder:
        end = time.monotonic() + seconds
        while living or time.monotonic() < end:
            while len(living) < clients and time.monotonic() < end:
                lifetime = drawn.uniform(0.0, 3.0) if drawn.random() < 0.5 else None
                living[_fork(address, token_file, Path(folder), lifetime)] = (time.monotonic(), lifetime)
            pid, status = os.wait()
            began, lifetime = living.pop(pid)
            if lifetime is not None and os.WIFSIGNALED(status):
                outcome.killed += 1
            elif os.waitstatus_to_exitcode(status) == TURN:
                outcome.turns += 1
                outcome.worst = max(outcome.worst, time.monotonic() - began)
            else:
                outcome.failed += 1
    return outcome


def _fork(address: str, token_file: Path | None, folder: Path, lifetime: float | None) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = UNFAIR
    try:
        if lifetime is not None:
            threading.Timer(lifetime, os.kill, (os.getpid(), signal.SIGKILL)).start()
        status = _take_a_turn(address, token_file, folder)
    except XDeviceError as error:
        print(f"{os.getpid()}: {error}", file=sys.stderr)
    finally:
        os._exit(status)


def _take_a_turn(address: str, token_file: Path | None, folder: Path) -> int:
    settings = Settings(token_file=token_file, lease_timeout=PATIENCE)
    transport = transport_to(DeviceConfig("board", address), settings)
    transport.open()
    with open(folder / "held", "w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return TWO_AT_ONCE
        time.sleep(HOLD_SECONDS)
    transport.close()
    return TURN


def main() -> int:
    """Run the command; 1 when somebody did not get what they should have."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.crowd", description=__doc__)
    parser.add_argument("device", metavar="SPEC")
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    outcome = run_crowd(
        options.device, options.token_file, clients=options.clients, seconds=options.seconds, seed=options.seed
    )
    print(outcome)
    return 1 if outcome.failed or not outcome.turns else 0


if __name__ == "__main__":
    sys.exit(main())
