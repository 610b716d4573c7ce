"""A device behind ssh, with a real sshd on loopback: what works, what is said when it does not, and what is left."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import DeviceLost
from pytest_xdevice import DeviceUnreachable
from pytest_xdevice import dim
from pytest_xdevice import f32
from pytest_xdevice import i32
from pytest_xdevice import In
from pytest_xdevice import InOut
from pytest_xdevice import kernel
from pytest_xdevice import KernelCrash
from pytest_xdevice import KernelTimeout
from pytest_xdevice import Out
from pytest_xdevice import parallel
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.remote import Session
from tests.boards.processes import command_line
from tests.boards.processes import still_running
from tests.boards.processes import with_variable
from tests.faults.kernels import add_one
from tests.harness.sshd import HOST
from tests.harness.sshd import running_sshd
from tests.harness.sshd import Sshd
from tests.transport.killed_host import killed_host

pytestmark = pytest.mark.usefixtures("compiler")

n = dim("n")


@kernel
def write_far_away(a: In[f32, n], b: Out[f32, n]) -> None:
    for i in parallel(n):
        b[i + 100000000] = a[i]


@kernel
def spin(a: In[i32, n], b: InOut[i32, n]) -> None:
    while a[0] == 0:
        b[0] += 1


def open_session(address: str) -> Session:
    return Session.open(DeviceConfig("device", address))


def check(session: Session) -> None:
    """Run a kernel, move an array larger than any buffer, store a file and fetch it."""
    device = session.device("cpu")
    np.testing.assert_array_equal(device.run(add_one, np.zeros(5, np.float32)), np.ones(5))
    large = np.arange(3 << 20, dtype=np.float32)
    np.testing.assert_array_equal(device.array(large).numpy(), large)
    device.upload(b"data" * 100_000, "folder/file")
    assert device.listdir() == ["folder/file"]
    assert device.download("folder/file") == b"data" * 100_000
    device.remove("folder")


def stream_way(session: Session) -> str:
    return session._transport.stream_way


@pytest.fixture
def configured(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> Sshd:
    monkeypatch.setenv("XDEVICE_SSH_CONFIG", str(sshd.config))
    return sshd


@pytest.fixture
def session(configured: Sshd) -> Iterator[Session]:
    session = open_session(configured.spec)
    yield session
    session.close()


def assert_nothing_left(folder: Path, sshd: Sshd) -> None:
    """See that within a while neither end has a process or a file."""
    started_here = [pid for pid in with_variable("TMPDIR", str(folder)) if pid != os.getpid()]
    assert not still_running([*started_here, *sshd.processes()])
    assert not list(folder.iterdir())
    assert not list(sshd.temporary.iterdir())


class TestWhatWorks:
    def test_by_address_with_the_configuration_that_the_environment_names(self, session: Session) -> None:
        check(session)
        assert stream_way(session) == "unix"

    def test_by_an_execnet_specification(self, sshd: Sshd) -> None:
        session = open_session(sshd.execnet_spec)
        check(session)
        session.close()

    def test_the_device_has_a_python_of_its_own(self, configured: Sshd, oldest_python: str) -> None:
        session = Session.open(DeviceConfig("device", configured.spec, python=oldest_python))
        assert session.info.python.startswith("3.8.")
        check(session)
        session.close()

    def test_after_a_crash_the_next_launch_works(self, session: Session) -> None:
        device = session.device("cpu")
        for _ in range(2):
            with pytest.raises(KernelCrash) as caught:
                device.run(write_far_away, np.ones(4, np.float32))
            assert caught.value.signal == "SIGSEGV"
            check(session)
        assert stream_way(session) == "unix"

    def test_after_a_time_out_the_next_launch_works(self, session: Session) -> None:
        with pytest.raises(KernelTimeout):
            session.device("cpu").run(spin, np.zeros(1, np.int32), np.zeros(1, np.int32), timeout=0.2)
        check(session)

    def test_a_folder_for_temporary_files_with_a_long_path(
        self, configured: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = tmp_path / ("x" * 100)
        long.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(long))
        session = open_session(configured.spec)
        check(session)
        session.close()

    def test_settings_for_a_terminal_do_no_harm(self, sshd: Sshd, folder: Path, tmp_path: Path) -> None:
        with socket.socket() as taken:
            taken.bind((HOST, 0))
            config = tmp_path / "config"
            config.write_text(
                f"{sshd.config.read_text()}  ControlMaster auto\n  ControlPath {folder}/user\n  ControlPersist yes\n"
                f"  LocalForward {taken.getsockname()[1]} {HOST}:1\n  ExitOnForwardFailure yes\n"
                "  RemoteCommand top\n  RequestTTY force\n  Compression yes\n"
            )
            session = open_session(f"ssh=xdevice-sshd//ssh_config={config}")
            check(session)
            assert stream_way(session) == "unix"
            session.close()
        assert_nothing_left(folder, sshd)


@pytest.mark.parametrize(
    ("setting", "way"),
    [
        ("AllowStreamLocalForwarding no", "relay"),
        ("DisableForwarding yes", "relay"),
        ("AllowTcpForwarding no", "relay"),
        ("MaxSessions 1", "unix"),
    ],
)
@pytest.mark.usefixtures("sshd")  # which skips where there cannot be one
def test_an_sshd_that_forbids_something(
    setting: str, way: str, tmp_path_factory: pytest.TempPathFactory, folder: Path
) -> None:
    # Its path is shorter than `tmp_path`, so that sockets fit below it.
    with running_sshd(tmp_path_factory.mktemp("sshd"), setting) as sshd:
        session = open_session(sshd.execnet_spec)
        check(session)
        assert stream_way(session) == way
        with pytest.raises(KernelCrash):
            session.device("cpu").run(write_far_away, np.ones(4, np.float32))
        check(session)
        session.close()
        assert_nothing_left(folder, sshd)


class TestWhatIsSaid:
    def message(self, address: str, **config: Any) -> str:
        with pytest.raises(DeviceUnreachable) as caught:
            Session.open(DeviceConfig("device", address, **config))
        return str(caught.value)

    def test_no_such_python(self, configured: Sshd, folder: Path) -> None:
        message = self.message(configured.spec, python="python9")
        assert message.startswith(f"{configured.spec} (python9): no session could be started: ")
        assert "python9: command not found (exit status 127). The device needs Python 3.8 or newer" in message
        assert "Where 'python9' is not it, name another: ssh=HOST//python=PYTHON" in message
        assert_nothing_left(folder, configured)

    def test_something_else_than_a_python(self, configured: Sshd) -> None:
        message = self.message(configured.spec, python="echo")
        assert "it said nothing (exit status 0). The device needs Python 3.8 or newer" in message
        assert "A shell there must print nothing when it starts" in message

    def test_a_closed_port(self, configured: Sshd, folder: Path) -> None:
        with socket.socket() as taken:
            taken.bind((HOST, 0))
            port = taken.getsockname()[1]
            message = self.message(f"ssh://pi@{HOST}:{port}")
        assert f"connect to host {HOST} port {port}: Connection refused (exit status 255)" in message
        assert message.endswith(
            f"ssh could not connect; try it by hand: ssh -F {configured.config} -p {port} pi@{HOST} python3 --version"
        )
        assert_nothing_left(folder, configured)

    def test_a_host_that_hangs_up(self, configured: Sshd) -> None:
        with socket.create_server((HOST, 0)) as listener:
            listener.settimeout(10)
            command = [
                sys.executable,
                "-c",
                f"import socket; s = socket.socket(fileno={listener.fileno()}); s.accept()[0].close()",
            ]
            with subprocess.Popen(command, pass_fds=[listener.fileno()]):
                message = self.message(f"ssh://pi@{HOST}:{listener.getsockname()[1]}")
        assert "Connection closed by" in message or "Connection reset by" in message
        assert "ssh could not connect; try it by hand" in message

    def test_an_unknown_host_key(self, sshd: Sshd, tmp_path: Path) -> None:
        config = tmp_path / "config"
        text = sshd.config.read_text().replace("accept-new", "yes")
        config.write_text(text.replace(f"{sshd.config.parent}/known_hosts", "/dev/null"))
        message = self.message(f"ssh=xdevice-sshd//ssh_config={config}")
        assert "Host key verification failed. (exit status 255)" in message
        assert message.endswith(f"accept it, once and by hand: ssh -F {config} xdevice-sshd python3 --version")

    def test_a_key_that_lets_nobody_in(self, sshd: Sshd, tmp_path: Path) -> None:
        config = tmp_path / "config"
        config.write_text(sshd.config.read_text().replace("user_key", "host_key"))
        message = self.message(f"ssh=xdevice-sshd//ssh_config={config}")
        assert "Permission denied (publickey)" in message
        assert "give it your key (ssh-copy-id), or name another in your ssh configuration" in message
        assert message.endswith(f"ssh -F {config} xdevice-sshd python3 --version")

    def test_no_ssh_here(self, configured: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        assert "there is no ssh here: install its client" in self.message(configured.spec)

    def test_a_run_with_a_device_that_cannot_be_reached_is_a_usage_error(
        self, configured: Sshd, pytester: pytest.Pytester
    ) -> None:
        pytester.makepyfile("def test_add(xdevice): pass")
        result = pytester.runpytest_subprocess(f"--xdevice=ssh={HOST}//python=python9")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines(["ERROR: *python9: command not found*"])


class TestWhatIsLeft:
    def test_nothing_after_the_end_of_a_session(self, folder: Path, configured: Sshd) -> None:
        session = open_session(configured.spec)
        check(session)
        assert list(folder.iterdir())
        assert configured.processes()
        session.close()
        assert_nothing_left(folder, configured)

    @pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
    def test_nothing_of_a_host_that_is_killed(self, folder: Path, configured: Sshd, number: signal.Signals) -> None:
        killed_host(configured.spec, number)
        assert_nothing_left(folder, configured)

    def test_a_session_that_is_killed_is_lost_and_the_next_one_works(self, folder: Path, configured: Sshd) -> None:
        session = open_session(configured.spec)
        check(session)
        os.kill(int(session._control.request("pid")), signal.SIGKILL)
        with pytest.raises(DeviceLost):
            check(session)
        session.close()
        second = open_session(configured.spec)
        check(second)
        second.close()
        assert_nothing_left(folder, configured)  # the second one removed what the first could not

    def test_a_connection_that_breaks_is_lost_and_the_device_is_clean(self, folder: Path, configured: Sshd) -> None:
        session = open_session(configured.spec)
        check(session)
        (ssh,) = (pid for pid in with_variable("TMPDIR", str(folder)) if command_line(pid).startswith("ssh "))
        os.kill(ssh, signal.SIGKILL)
        with pytest.raises(DeviceLost):
            check(session)
        session.close()
        assert_nothing_left(folder, configured)
