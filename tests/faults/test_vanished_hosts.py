"""A host that vanishes with its network, without a word: the device notices by itself, and nothing of it runs on."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_xdevice.runtime.ssh_peer import Connection
from pytest_xdevice.runtime.ssh_peer import silence
from pytest_xdevice.runtime.ssh_peer import ssh_connection
from tests.boards.processes import still_running
from tests.faults.matrix import add
from tests.faults.matrix import GONE_SECONDS
from tests.faults.matrix import sessions_on
from tests.faults.matrix import ways_to
from tests.harness.far_machine import FarMachine
from tests.harness.sshd import Sshd
from tests.transport.killed_host import host_with_session

NOISE = 3.0  # seconds that a busy machine may add


def test_nothing_of_it_is_left_on_the_device(machine: FarMachine, tmp_path: Path) -> None:
    with ways_to(machine, tmp_path, "socket", "ssh") as sessions:
        running = sessions_on(machine)
        assert len(running) >= 2 * len(sessions)  # a session and a worker each
        machine.cut_the_link()
        assert not still_running(running, limit=GONE_SECONDS + NOISE)
        machine.mend_the_link()
        for session in sessions.values():
            session.reconnect()
            add(session)


def test_the_ssh_of_a_stopped_host_is_still_heard(sshd: Sshd) -> None:
    with host_with_session(sshd.execnet_spec) as host:
        connection = connection_of(sshd)
        os.killpg(host.pid, signal.SIGSTOP)  # as Ctrl-Z does
        for _ in range(2):
            wait_until(lambda: silence_of(connection) > 0.5)
            wait_until(lambda: silence_of(connection) < 0.5)


def connection_of(sshd: Sshd) -> Connection:
    """Return the connection that the session of an ssh server came over."""
    for pid in sshd.processes():
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        for variable in variables:
            if variable.startswith(b"SSH_CONNECTION="):
                connection = ssh_connection(variable.decode().partition("=")[2])
                assert connection is not None
                return connection
    raise AssertionError("nobody has logged in")


def silence_of(connection: Connection) -> float:
    seconds = silence(connection)
    assert seconds is not None
    return seconds


def wait_until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.01)


IPV6 = Path("/proc/net/if_inet6")
NO_IPV6 = pytest.mark.skipif(not (IPV6.exists() and IPV6.read_text()), reason="this machine has no IPv6")


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), pytest.param(socket.AF_INET6, "::1", marks=NO_IPV6)]
)
def test_silence_ends_with_what_comes(family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as listener:
        peer = socket.create_connection(listener.getsockname()[:2])
        ours, (peer_host, peer_port, *_) = listener.accept()
        with ours, peer:
            connection = ssh_connection(f"{peer_host} {peer_port} {host} {ours.getsockname()[1]}")
            assert connection is not None
            wait_until(lambda: silence_of(connection) > 0.2)
            peer.send(b"data")
            wait_until(lambda: silence_of(connection) < 0.2)
    assert silence(connection) is None


@pytest.mark.parametrize(
    "text", ["", "UNKNOWN 65535 UNKNOWN 65535", "127.0.0.1 x 127.0.0.1 22", "1.2.3.4 5 6", "fe80::1%none 1 fe80::2 22"]
)
def test_what_names_no_connection(text: str) -> None:
    assert ssh_connection(text) is None
