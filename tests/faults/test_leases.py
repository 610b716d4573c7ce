"""One session at a time on a device: who waits is told for whom, gets the device in turn, and may take it by force."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_xdevice import DeviceLost
from pytest_xdevice import DeviceUnreachable
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.errors import DeviceBusy
from pytest_xdevice.remote import Session
from pytest_xdevice.remote import transport_to
from pytest_xdevice.transport.lease import Occupancy
from tests.boards.board import REPOSITORY
from tests.harness.server import DeviceServer
from tests.harness.waiting import wait_until

pytestmark = pytest.mark.usefixtures("folder")


@dataclass(frozen=True)
class Device:
    """A device that is leased."""

    address: str
    token_file: Path | None = None

    def open(self, seconds: float = 60.0, told: list[str] | None = None) -> Session:
        progress = (lambda text: None) if told is None else told.append
        settings = Settings(token_file=self.token_file, lease_timeout=seconds)
        return Session.open(DeviceConfig("board", self.address), settings, progress=progress)

    def who(self) -> Occupancy:
        occupancy = transport_to(DeviceConfig("board", self.address), Settings(token_file=self.token_file)).who()
        assert occupancy is not None
        return occupancy

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = "import sys; from pytest_xdevice.cli import main; sys.exit(main())"
        token = [f"--token-file={self.token_file}"] if self.token_file else []
        command = [sys.executable, "-c", program, words[0], self.address, *words[1:], *token]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have sessions that a command starts keep their lease here, and see that nothing of it stays."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    return tmp_path


@pytest.fixture(params=["socket", "exec"])
def device(request: pytest.FixtureRequest) -> Device:
    if request.param == "exec":
        return Device(f"exec:{sys.executable}")
    server: DeviceServer = request.getfixturevalue("server")
    return Device(server.address, server.token_file)


def until_waiting(device: Device, count: int) -> Occupancy:
    """Return who has the device once `count` wait for it."""
    end = time.monotonic() + 20
    while len((found := device.who()).waiting) != count:
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def until_free(device: Device) -> None:
    """Wait for the end of a session that was closed, which the device may know a moment later."""
    wait_until(lambda: device.who().holder is None)


def test_who_waits_is_told_for_whom_and_gets_it_in_order(device: Device) -> None:
    first = device.open()
    order: list[int] = []
    told: list[list[str]] = [[], []]

    def take(number: int) -> None:
        session = device.open(told=told[number])
        order.append(number)
        session.close()

    threads = []
    for number in range(2):
        threads.append(threading.Thread(target=take, args=(number,)))
        threads[-1].start()
        found = until_waiting(device, number + 1)
    me = f"(process {os.getpid()})"
    assert me in str(found.holder)
    assert all(me in name for name in found.waiting)
    assert not order
    first.close()
    for thread in threads:
        thread.join(30)
    assert order == [0, 1]
    assert "waiting for the device, which " in told[0][0]
    assert "(1 ahead)" in told[0][0]
    assert "(2 ahead)" in told[1][0]


def test_waiting_has_an_end_that_says_what_to_do(device: Device) -> None:
    with_it = device.open()
    with pytest.raises(DeviceUnreachable, match=r"not free within 0\.2 s: .* holds it.*--xdevice-lease-timeout"):
        device.open(0.2)
    with_it.close()
    device.open(5.0).close()


def test_one_who_does_not_wait_gets_it_only_when_it_is_free(device: Device) -> None:
    with_it = device.open(0.0)
    with pytest.raises(DeviceBusy, match=rf"not free: .*\(process {os.getpid()}\) .*holds it"):
        device.open(0.0)
    assert until_waiting(device, 0).holder is not None
    with_it.close()
    until_free(device)
    device.open(0.0).close()


def test_it_can_be_seen_and_taken_by_force(device: Device) -> None:
    with_it = device.open()
    seen = device.command("who")
    assert f"(process {os.getpid()})" in seen.stdout
    assert " since " in seen.stdout
    refused = device.command("release")
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    with_it.device("cpu").listdir()
    taken = device.command("release", "--force")
    assert taken.returncode == 0, taken.stderr
    assert "taken from " in taken.stdout
    with pytest.raises(DeviceLost, match=r"is over: it was ended on the device .*`xdevice release --force`"):
        with_it.device("cpu").listdir()
    device.open(5.0).close()
    with_it.close()
    assert device.command("who").stdout.endswith("free\n")


def test_a_lost_session_does_not_wait_for_itself(device: Device) -> None:
    session = device.open(5.0)
    lost, session._transport = (
        session._transport,
        transport_to(DeviceConfig("board", device.address), Settings(token_file=device.token_file)),
    )  # what it closes is not what the device still has
    session.reconnect()
    session.device("cpu").listdir()
    session.close()
    lost.close()


def test_this_machine_is_there_for_all() -> None:
    device = Device("local")
    first, second = device.open(0.1), device.open(0.1)
    first.close()
    second.close()
    assert "not leased" in device.command("who").stdout


def test_nothing_is_left(folder: Path) -> None:
    Device(f"exec:{sys.executable}").open().close()
    assert not list(folder.iterdir())


def test_a_place_in_line_that_cannot_be_read_is_told_of(folder: Path) -> None:
    line = folder / f"xdevice-lease-{os.getuid()}"
    line.mkdir(0o700)
    with (line / "000000000001").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(DeviceLost, match=r"'000000000001' in line for the device is of another version of pytest"):
            Device(f"exec:{sys.executable}").open()


def test_a_crowd_that_comes_and_dies_at_random(device: Device) -> None:
    token = [f"--token-file={device.token_file}"] if device.token_file else []
    words = [device.address, "--clients=6", "--seconds=7", *token]
    command = [sys.executable, "-m", "tests.faults.crowd", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
