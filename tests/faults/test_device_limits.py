"""Devices that lack something: folders that are full, read-only or noexec, no shared memory, little memory at all."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import DeviceError
from pytest_xdevice import DeviceLost
from pytest_xdevice import DeviceUnreachable
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from pytest_xdevice.remote import transport_to
from tests.faults.kernels import add_one
from tests.faults.kernels import add_two
from tests.harness import namespace
from tests.harness.namespace import mounted
from tests.harness.namespace import Namespace
from tests.harness.requirement import unavailable
from tests.harness.server import REPOSITORY
from tests.harness.service import Service
from tests.harness.sshd import running_sshd

Enter = Callable[[str], Namespace]

# Where this checkout and its Python are, also for one who sees another folder mounted over them.
OUTSIDE = f"/proc/{os.getpid()}/root"
PYTHON = OUTSIDE + sys.executable

# What is mounted over a folder, and whether a session can be there all the same.
LIMITS = {
    "noexec": ("mount -t tmpfs -o noexec tmpfs {}", True),
    "full": ("mount -t tmpfs -o size=64k tmpfs {0}; head -c 64k /dev/zero >{0}/data", False),
    "read-only": ("mount -t tmpfs -o ro tmpfs {}", False),
}
READ_ONLY_EVERYWHERE = "for folder in /tmp /var/tmp /dev/shm; do mount -t tmpfs -o ro tmpfs $folder; done"
# The nodes that a Python and a kernel need, and nothing else: no /dev/shm.
LITTLE_DEV = """
mkdir {0}/dev
mount -t tmpfs tmpfs {0}/dev
for node in null zero full random urandom; do touch {0}/dev/$node; mount --bind /dev/$node {0}/dev/$node; done
mount --move {0}/dev /dev
"""


@pytest.fixture
def enter(request: pytest.FixtureRequest) -> Iterator[Enter]:
    """Return a function that makes a namespace by a shell script; they end with the test."""
    reason = namespace.obstacle()
    if reason:
        unavailable(request.config, reason)
    with contextlib.ExitStack() as stack:
        yield lambda script: stack.enter_context(mounted(script))


def behind(enter: list[str], *words: str) -> str:
    """Return the specification of a device whose Python runs behind a command."""
    return "exec:" + shlex.join([*enter, *words, PYTHON])


@contextlib.contextmanager
def by_exec(inside: Namespace, tmp_path: Path) -> Iterator[str]:
    yield behind(inside.enter)


@contextlib.contextmanager
def by_ssh(inside: Namespace, tmp_path: Path) -> Iterator[str]:
    with running_sshd(tmp_path, enter=inside.enter) as sshd:
        yield sshd.execnet_spec


@contextlib.contextmanager
def by_socket(inside: Namespace, tmp_path: Path) -> Iterator[str]:
    command = [*inside.enter, PYTHON, "-m", "pytest_xdevice.runtime", "--insecure", "--port", "0"]
    with Service(command, env={**os.environ, "PYTHONPATH": f"{OUTSIDE}{REPOSITORY}"}) as service:
        yield service.await_line("bind to ").split()[-1]


Way = Callable[[Namespace, Path], AbstractContextManager[str]]
WAYS: list[Way] = [by_exec, by_ssh, by_socket]


def open_session(address: str, seconds: float = 60.0) -> Session:
    return Session.open(DeviceConfig("device", address), Settings(insecure=True, lease_timeout=seconds))


def check(session: Session) -> None:
    device = session.device("cpu")
    np.testing.assert_array_equal(device.run(add_one, np.zeros(5, np.float32)), np.ones(5))
    device.upload(b"data", "file")
    assert device.download("file") == b"data"
    device.remove("file")


def folder_of(session: Session) -> str:
    """Return where the session's folder is on the device."""

    def where() -> str:
        import os.path
        import sys

        return os.path.dirname(sys.path[0])

    folder: str = session.remote(where)
    return folder


def sessions_in(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("xdevice-*")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_folder_for_temporary_files_that_is(limit: str, way: Way, enter: Enter, tmp_path: Path) -> None:
    script, is_used = LIMITS[limit]
    # Over ssh, since its keys are below /tmp, in another folder, which TMPDIR names there.
    folder, next_one = (str(tmp_path / "tmp"), "/tmp") if way is by_ssh else ("/tmp", "/var/tmp")
    Path(folder).mkdir(exist_ok=True)
    inside = enter(script.format(folder))
    with way(inside, tmp_path) as address:
        session = open_session(address)
        assert folder_of(session) == (folder if is_used else next_one)
        check(session)
        session.close()
    assert not sessions_in(inside.path(folder))


def test_no_folder_at_all_says_which_were_tried_and_why(enter: Enter) -> None:
    inside = enter(READ_ONLY_EVERYWHERE)
    with pytest.raises(DeviceUnreachable) as caught:
        open_session(behind(inside.enter, "env", "HOME=/nowhere"))
    message = str(caught.value)
    for folder in ("/tmp", "/var/tmp", "/dev/shm"):
        assert f"{folder}: Read-only file system; " in message
    assert "/nowhere/.cache: No such file or directory" in message
    assert "TMPDIR" in message
    assert "Traceback" not in message


@pytest.mark.parametrize("limit", LIMITS)
def test_a_cache_for_opencl_that_is(limit: str, enter: Enter, pytestconfig: pytest.Config) -> None:
    script, _ = LIMITS[limit]
    prepared = f"mount -t tmpfs tmpfs /tmp; mkdir -p /tmp/home/.cache; {script.format('/tmp/home/.cache')}"
    session = open_session(behind(enter(prepared).enter, "env", "--unset=XDG_CACHE_HOME", "HOME=/tmp/home"))
    if not session.opencl_devices():
        unavailable(pytestconfig, str(session.opencl_problem))
    np.testing.assert_array_equal(session.device("opencl").run(add_one, np.zeros(5, np.float32)), np.ones(5))
    session.close()


def test_a_device_without_shared_memory(enter: Enter, tmp_path: Path) -> None:
    inside = enter(LITTLE_DEV.format(tmp_path))
    assert not inside.path("/dev/shm").exists()
    session = open_session(behind(inside.enter))
    check(session)
    session.close()


def test_a_disk_that_fills_up_during_a_session(enter: Enter) -> None:
    inside = enter("mount -t tmpfs -o size=4m tmpfs /tmp")
    session = open_session(behind(inside.enter))
    device = session.device("cpu")
    with pytest.raises(DeviceError, match=r"large cannot be stored on the device: .*No space left"):
        device.upload(bytes(8 << 20), "large")
    check(session)  # what there was room for of that file is gone again
    fill(inside.path("/tmp/data"))
    with pytest.raises(DeviceError, match="No space left"):
        device.upload(bytes(1 << 20), "small")
    with pytest.raises(DeviceError, match=r"where could not be run on the device: .*No space left"):
        folder_of(session)
    values = np.zeros(5, np.float32)
    np.testing.assert_array_equal(device.run(add_two, values), values + 2)  # loaded from memory, without a file
    session.close()
    assert not sessions_in(inside.path("/tmp"))


def fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as data:
        while True:
            data.write(bytes(4096))


def test_a_full_disk_leads_nobody_to_another_line(enter: Enter) -> None:
    inside = enter("mount -t tmpfs -o size=8m tmpfs /tmp")
    address, data = behind(inside.enter), inside.path("/tmp/data")
    fill(data)
    with_it = open_session(address)
    occupancy = transport_to(DeviceConfig("device", address), Settings()).who()
    assert occupancy is not None
    assert str(occupancy.holder).startswith("process ")  # there was no room for more
    data.unlink()
    with pytest.raises(DeviceUnreachable, match="not free within"):
        open_session(address, 0.2)
    with_it.close()
    open_session(address).close()


# Not even a folder can be made there.
WITHOUT_A_NAME_LEFT = "mount -t tmpfs -o nr_inodes=1 tmpfs {}"


def test_a_disk_too_full_for_a_name_has_its_line_in_memory(enter: Enter) -> None:
    inside = enter(WITHOUT_A_NAME_LEFT.format("/tmp"))
    address = behind(inside.enter)
    with_it = open_session(address)
    check(with_it)
    with pytest.raises(DeviceUnreachable, match=rf"not free within 0\.2 s: .*\(process {os.getpid()}\) since"):
        open_session(address, 0.2)
    subprocess.run([*inside.enter, "mount", "-o", "remount,nr_inodes=100", "/tmp"], check=True)
    with pytest.raises(DeviceUnreachable, match=r"not free within 0\.2 s"):  # that is still where the line is
        open_session(address, 0.2)
    transport = transport_to(DeviceConfig("device", address), Settings())
    assert f"(process {os.getpid()})" in str(transport.release())
    open_session(address).close()
    with_it.close()
    assert not list(Path("/dev/shm").glob(f"xdevice-lease-*-{inside.path('/tmp').stat().st_ino:x}"))


def test_no_room_for_a_line_anywhere_says_what_to_do(enter: Enter) -> None:
    inside = enter("; ".join(WITHOUT_A_NAME_LEFT.format(folder) for folder in ("/tmp", "/dev/shm")))
    with pytest.raises(DeviceLost) as caught:
        open_session(behind(inside.enter))
    assert str(caught.value) == (
        "the session could not lease: OSError: /tmp and /dev/shm on the device have no room for another file, by which "
        "sessions take turns: free some there, or name another folder in TMPDIR, the same for all sessions"
    )


def test_an_array_larger_than_a_process_may_have() -> None:
    session = open_session(f"exec:prlimit --as={2 << 30} {sys.executable}")
    with pytest.raises(DeviceError, match=r"3221225472 bytes .*(Cannot allocate memory|has free)"):
        session.device("cpu").empty(3 << 30, np.uint8)
    check(session)
    session.close()
