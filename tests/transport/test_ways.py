"""Every way to a device that needs no board: the server, a command, this machine; and what each says when it fails."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import AuthenticationError
from pytest_xdevice import ConfigError
from pytest_xdevice import DeviceError
from pytest_xdevice import DeviceLost
from pytest_xdevice import DeviceUnreachable
from pytest_xdevice import dim
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.device_info import DeviceKind
from pytest_xdevice.remote import Session
from pytest_xdevice.transport import gateway
from pytest_xdevice.transport.spec import parse
from pytest_xdevice.transport.spec import Spec
from tests.boards.processes import still_running
from tests.boards.processes import with_variable
from tests.faults.kernels import add_one
from tests.harness.server import DeviceServer
from tests.transport.killed_host import killed_host

n = dim("n")


def open_session(address: str, **settings: Any) -> Session:
    return Session.open(DeviceConfig("device", address), Settings(**settings))


def check(session: Session) -> None:
    """Run a kernel, move an array larger than any buffer and arrays of nothing, store a file."""
    device = session.device("cpu")
    np.testing.assert_array_equal(device.run(add_one, np.zeros(5, np.float32)), np.ones(5))
    large = np.arange(3 << 20, dtype=np.float32)
    np.testing.assert_array_equal(device.array(large).numpy(), large)
    assert device.run(add_one, np.zeros(0, np.float32)).shape == (0,)
    assert device.array(np.zeros((2, 0, 3))).numpy().shape == (2, 0, 3)
    np.testing.assert_array_equal(device.run(add_one, large, threads=2), large + 1)
    device.upload(b"data", "file")
    assert device.listdir() == ["file"]


@pytest.fixture(params=["local", "exec", "server", "oldest"])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    if request.param == "local":
        session = open_session("local")
    elif request.param == "exec":
        session = open_session(f"exec:{shlex.quote(sys.executable)}")
    else:
        server = request.getfixturevalue("server" if request.param == "server" else "oldest_server")
        session = open_session(server.address, token_file=server.token_file)
    yield session
    session.close()


def test_kernels_arrays_and_files(session: Session) -> None:
    check(session)


@pytest.mark.parametrize("kinds", [("cpu", "opencl"), ("opencl", "cpu")], ids=" first, then ".join)
def test_a_worker_gets_its_own_stream_while_another_starts(session: Session, kinds: tuple[DeviceKind, ...]) -> None:
    for kind in kinds:
        session.prepare(kind)
    session.opencl_devices()
    check(session)


def test_a_worker_starts_before_it_is_asked_for(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    device = session.device("cpu")
    with monkeypatch.context() as patch:
        patch.setattr(session, "_attach_worker", None)  # one is on its way: no other is started
        np.testing.assert_array_equal(device.run(add_one, np.zeros(5, np.float32)), np.ones(5))


def test_a_worker_that_did_not_start_ahead_starts_when_it_is_asked_for(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kind: str) -> None:
        raise DeviceLost("not yet")

    with monkeypatch.context() as patch:
        patch.setattr(session, "_attach_worker", refuse)
        device = session.device("cpu")
    np.testing.assert_array_equal(device.run(add_one, np.zeros(5, np.float32)), np.ones(5))


def test_a_worker_that_nobody_asked_for_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    session = open_session("local")
    session.device("cpu")
    session.close()
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_on_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    session = open_session("local")
    check(session)
    assert list(tmp_path.iterdir())
    session.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["local", f"exec:{shlex.quote(sys.executable)}"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_nothing_is_left_of_a_host_that_is_killed(folder: Path, address: str, number: signal.Signals) -> None:
    killed_host(address, number)
    assert not still_running(pid for pid in with_variable("TMPDIR", str(folder)) if pid != os.getpid())
    assert not list(folder.iterdir())


def test_two_sessions_take_turns_on_a_server(server: DeviceServer) -> None:
    told: list[str] = []
    waiting = threading.Event()

    def progress(message: str) -> None:
        told.append(message)
        waiting.set()

    first = open_session(server.address, token_file=server.token_file)
    second: list[Session] = []

    def wait_in_line() -> None:
        config = DeviceConfig("second", server.address)
        second.append(Session.open(config, Settings(token_file=server.token_file), progress=progress))

    thread = threading.Thread(target=wait_in_line)
    thread.start()
    assert waiting.wait(10)
    assert not second
    first.close()
    thread.join(20)
    check(second[0])
    second[0].close()
    assert "waiting for the device" in told[0]


def test_a_session_that_is_killed_frees_the_device(server: DeviceServer) -> None:
    first = open_session(server.address, token_file=server.token_file)
    pid = int(first.device("cpu").session._control.request("pid"))
    os.kill(pid, signal.SIGKILL)
    second = open_session(server.address, token_file=server.token_file)
    check(second)
    second.close()
    first.close()


def test_a_wrong_token(server: DeviceServer) -> None:
    with pytest.raises(AuthenticationError, match="the token does not match"):
        open_session(server.address, token="something else entirely")


def test_no_token(server: DeviceServer) -> None:
    with pytest.raises(AuthenticationError, match="XDEVICE_TOKEN"):
        open_session(server.address)


def test_a_stranger_who_sends_garbage_is_shown_out_and_the_server_lives(server: DeviceServer) -> None:
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), 5) as stranger:
        stranger.sendall(b"GET / HTTP/1.0\r\n\r\n" + os.urandom(5000))
        try:
            answer = b"".join(iter(lambda: stranger.recv(4096), b""))
        except ConnectionResetError:
            answer = b"XDEVICE/1"
    assert answer.startswith(b"XDEVICE/1")
    session = open_session(server.address, token_file=server.token_file)
    check(session)
    session.close()


def test_a_closed_port() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(DeviceUnreachable, match=r"Connection refused\. Is the server running there"):
            open_session(address, token="x" * 20)


@pytest.mark.parametrize("command", ["false", "/no/such/python", "sh -c 'echo no python here >&2; exit 3'"])
def test_a_command_that_gives_no_python(command: str) -> None:
    with pytest.raises(DeviceUnreachable, match=r"cannot run|no session could be started"):
        open_session(f"exec:{command}")


@pytest.mark.parametrize("words", ["", "printf 1; "], ids=["silent", "silent after the first byte"])
def test_a_command_that_says_nothing_ends_with_all_that_it_started(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shell started holds the pipes, and is not waited for."""
    monkeypatch.setattr(gateway, "BOOT_SECONDS", 1.0)
    marker = f"{os.getpid()}.{len(words)}"
    start = time.monotonic()
    with pytest.raises(DeviceUnreachable, match=r"no answer within 1 s"):
        open_session(f"exec:env XDEVICE_TEST_SILENT={marker} sh -c '{words}sleep 30; true'")
    assert time.monotonic() - start < 15
    assert not still_running(with_variable("XDEVICE_TEST_SILENT", marker))


def test_a_command_that_may_not_be_killed_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As sudo, which runs as another user."""

    def refuse(process: subprocess.Popen[bytes]) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(gateway, "BOOT_SECONDS", 1.0)
    monkeypatch.setattr(subprocess.Popen, "kill", refuse)
    with pytest.raises(DeviceUnreachable, match=r"no answer within 1 s"):
        open_session("exec:sh -c 'sleep 3; true'")


def test_the_server_says_where_it_listens_and_prints_a_token() -> None:
    command = [sys.executable, "-m", "pytest_xdevice.runtime", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        first, second = process.stdout.readline(), process.stdout.readline()
        process.terminate()
        assert process.wait(10) == 0
    assert first.startswith("bind to 127.0.0.1:")
    assert second.startswith("token for this run: ")


def test_a_port_that_is_taken(server: DeviceServer) -> None:
    command = [sys.executable, "-m", "pytest_xdevice.runtime", "--port", server.address.split(":")[1]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "cannot serve on" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("local", Spec("local")),
        ("10.77.1.162:9090", Spec("socket", "10.77.1.162", 9090)),
        ("[::1]:9090", Spec("socket", "::1", 9090)),
        ("ssh://pi@Board", Spec("ssh", "pi@Board")),
        ("ssh://pi@board:2222", Spec("ssh", "pi@board", 2222)),
        ("exec:chroot /path python3", Spec("exec", command=("chroot", "/path", "python3"))),
        ("popen", Spec("local")),
        ("popen//python=python3.9", Spec("exec", command=("python3.9",))),
        ("ssh=-p 22 host//python=python3.9", Spec("ssh", "host", python="python3.9", ssh_options=("-p", "22"))),
        ("socket=host:9090", Spec("socket", "host", 9090)),
    ],
)
def test_specifications(text: str, spec: Spec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize(
    "text",
    [
        "nosuch", "host:port", "host:0", "host:65536", "tcp://host:9090", "ssh://", "ssh://host:x", "ssh://host:0",
        "exec:", "exec:'", "vagrant_ssh=x", "id=3", "",
    ],
)  # fmt: skip
def test_what_is_no_specification(text: str) -> None:
    with pytest.raises(ConfigError):
        parse(text)


def test_a_device_with_little_memory_says_so_and_goes_on() -> None:
    address = f"exec:sh -c 'ulimit -v 600000; exec {shlex.quote(sys.executable)} \"$@\"' python"
    session = open_session(address)
    device = session.device("cpu")
    with pytest.raises(DeviceError, match=r"no room for 4294967296 bytes \(Cannot|4294967296 bytes are more than"):
        device.empty(1 << 30)
    np.testing.assert_array_equal(device.run(add_one, np.zeros(5, np.float32)), np.ones(5))
    session.close()
