"""Devices behind jump hosts: an sshd and a device server that only a gateway leads to, and hops that fail."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_xdevice import AuthenticationError
from pytest_xdevice import ConfigError
from pytest_xdevice import DeviceLost
from pytest_xdevice import DeviceUnreachable
from pytest_xdevice import JumpHostError
from pytest_xdevice.cli import main
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.config import split_environment
from pytest_xdevice.remote import Session
from pytest_xdevice.transport.spec import parse
from pytest_xdevice.transport.spec import Spec
from tests.boards.board import REPOSITORY
from tests.boards.processes import command_line
from tests.boards.processes import still_running
from tests.boards.processes import with_variable
from tests.faults.kernels import add_one
from tests.harness.certificate import make_certificate
from tests.harness.hidden import Hidden
from tests.harness.hidden import write_client_config
from tests.harness.server import DeviceServer
from tests.harness.server import module_command
from tests.harness.server import running_server
from tests.harness.service import Service
from tests.harness.sshd import running_sshd
from tests.harness.sshd import Sshd
from tests.transport.killed_host import killed_host

pytestmark = pytest.mark.usefixtures("compiler")


@pytest.fixture(scope="module")
def server(hidden: Hidden, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeviceServer]:
    """Return a device server in the hidden network."""
    command = [*hidden.within, *module_command()]
    with running_server(command, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def names(hidden: Hidden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have names for the gateway, for the same as a second hop behind it, and for the board."""
    config = write_client_config(
        tmp_path / "ssh_config",
        gateway=(hidden.door, hidden.gateway),
        inner=(hidden.gateway.port, hidden.gateway),
        board=(hidden.board.port, hidden.board),
    )
    monkeypatch.setenv("XDEVICE_SSH_CONFIG", str(config))
    return config


def open_session(address: str, **settings: Any) -> Session:
    return Session.open(DeviceConfig("device", address), Settings(lease_timeout=30, **settings))


def check(session: Session) -> None:
    """Run a kernel, and move an array larger than any buffer."""
    device = session.device("cpu")
    np.testing.assert_array_equal(device.run(add_one, np.zeros(5, np.float32)), np.ones(5))
    large = np.arange(1 << 20, dtype=np.float32)
    np.testing.assert_array_equal(device.array(large).numpy(), large)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def assert_nothing_left(folder: Path) -> None:
    """See that within a while there is no process and no file of a session here."""
    started_here = [pid for pid in with_variable("TMPDIR", str(folder)) if pid != os.getpid()]
    assert not still_running(started_here)
    assert not list(folder.iterdir())


@pytest.fixture(params=["ssh", "socket"])
def device(request: pytest.FixtureRequest, names: Path) -> tuple[str, dict[str, Any]]:
    """Return the address, without ``?via=``, and the settings of the hidden board and of the hidden server."""
    if request.param == "ssh":
        return "ssh://board", {}
    server = request.getfixturevalue("server")
    return server.address, {"token_file": server.token_file}


class TestWhatWorks:
    @pytest.mark.parametrize("via", ["gateway", "gateway,inner"])
    def test_what_only_a_gateway_leads_to(self, device: tuple[str, dict[str, Any]], via: str, folder: Path) -> None:
        address, settings = device
        with pytest.raises(DeviceUnreachable, match="Connection refused"):
            open_session(address, **settings)
        with closing(open_session(f"{address}?via={via}", **settings)) as session:
            check(session)
        assert_nothing_left(folder)

    def test_a_hop_by_its_user_and_port(self, hidden: Hidden, names: Path) -> None:
        names.write_text(names.read_text().replace("Host gateway", "Host gateway 127.0.0.1"))
        names.write_text(names.read_text().replace(f"  Port {hidden.door}\n", ""))
        with closing(open_session(f"ssh://board?via={hidden.gateway.user}@127.0.0.1:{hidden.door}")) as session:
            check(session)

    def test_settings_for_a_terminal_do_no_harm(self, names: Path, device: tuple[str, Any], folder: Path) -> None:
        address, settings = device
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
            names.write_text(
                f"{names.read_text()}Host *\n  ControlMaster auto\n  ControlPath {folder}/%h-%p\n  ControlPersist yes\n"
                f"  LocalForward {port} 127.0.0.1:1\n  ExitOnForwardFailure yes\n  RemoteCommand top\n"
                "  RequestTTY force\n  LogLevel QUIET\n"
            )
            with closing(open_session(f"{address}?via=gateway,inner", **settings)) as session:
                check(session)
        assert_nothing_left(folder)

    def test_a_server_that_speaks_tls_is_known_by_its_own_certificate(
        self, hidden: Hidden, names: Path, tmp_path: Path
    ) -> None:
        certificate = make_certificate(tmp_path)
        command = [*hidden.within, *module_command()]
        with running_server(command, tmp_path, *certificate.options) as server:
            address = f"{server.address}?via=gateway"
            with closing(
                open_session(address, token_file=server.token_file, tls_fingerprint=certificate.fingerprint)
            ) as session:
                check(session)
            with pytest.raises(DeviceUnreachable, match="the server's certificate is another one"):
                open_session(address, token_file=server.token_file, tls_fingerprint="0" * 64)

    def test_who_and_release(
        self, names: Path, device: tuple[str, dict[str, Any]], folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        address, settings = device
        address += "?via=gateway"
        options = [f"--token-file={settings['token_file']}"] if settings else []
        with closing(open_session(address, **settings)) as session:
            assert main(["who", address, *options]) == 0
            assert f"(process {os.getpid()})" in capsys.readouterr().out
            assert main(["release", address, *options, "--force"]) == 0
            assert f"{address}: taken from" in capsys.readouterr().out
            with pytest.raises(DeviceLost):
                check(session)
        assert_nothing_left(folder)


@pytest.mark.parametrize(
    ("address", "states"),
    [
        ("ssh://board?via=nobody@gateway", [("jump hosts", "failed")]),
        ("127.0.0.1:9090?via=nobody@gateway", [("jump hosts", "failed")]),
        ("ssh://nobody@board?via=gateway", [("jump hosts", "ok"), ("network", "ok"), ("authentication", "failed")]),
    ],
)
def test_the_doctor_looks_at_jump_hosts(
    names: Path,
    address: str,
    states: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDEVICE_TOKEN", "x" * 20)
    assert main(["doctor", address, "--json"]) == 1
    steps = json.loads(capsys.readouterr().out)["steps"]
    _, *steps = [step for step in steps if step["part"] == "device"]
    assert [(step["name"], step["state"]) for step in steps] == states
    assert "Permission denied" in steps[-1]["found"]


class TestInsecure:
    @pytest.fixture
    def port(self, hidden: Hidden, tmp_path: Path) -> Iterator[int]:
        command = [*hidden.within, *module_command(), "--port", "0", "--insecure"]
        with Service(command, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, cwd=str(tmp_path)) as service:
            yield int(service.await_line("bind to ").split(":")[-1])

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_the_loopback_of_the_last_hop_is_reached_without_a_token(self, names: Path, port: int, host: str) -> None:
        with closing(open_session(f"{host}:{port}?via=gateway", insecure=True)) as session:
            check(session)

    def test_a_network_behind_the_last_hop_is_not(self, names: Path, port: int) -> None:
        with pytest.raises(AuthenticationError, match="not the last jump host's loopback"):
            open_session(f"10.77.3.7:{port}?via=gateway", insecure=True)


class TestWhatIsSaid:
    def error(self, address: str) -> JumpHostError:
        with pytest.raises(JumpHostError) as caught:
            open_session(address, token="x" * 20)
        assert str(caught.value).startswith(f"{address}: the jump host {caught.value.hop} ")
        return caught.value

    @pytest.mark.parametrize("device", ["ssh://board", "127.0.0.1:9090"])
    def test_a_hop_that_refuses_the_connection(self, names: Path, device: str, folder: Path) -> None:
        closed = closed_port()
        error = self.error(f"{device}?via=127.0.0.1:{closed},gateway")
        assert error.hop == f"127.0.0.1:{closed}"
        assert f"cannot be reached: ssh: connect to host 127.0.0.1 port {closed}: Connection refused" in str(error)
        assert str(error).endswith(f"try by hand: ssh -F {names} ssh://127.0.0.1:{closed}")
        assert_nothing_left(folder)

    @pytest.mark.parametrize("device", ["ssh://board", "127.0.0.1:9090"])
    def test_a_second_hop_that_the_first_cannot_reach(self, names: Path, device: str) -> None:
        error = self.error(f"{device}?via=gateway,somebody@127.0.0.1:1")
        assert error.hop == "gateway"
        assert "cannot reach somebody@127.0.0.1:1: Connection refused. To mend it, see that" in str(error)

    @pytest.mark.parametrize("device", ["ssh://board", "127.0.0.1:9090"])
    @pytest.mark.parametrize("via", ["somebody-else@gateway", "gateway,somebody-else@inner"])
    def test_a_hop_that_lets_nobody_in(self, names: Path, device: str, via: str) -> None:
        error = self.error(f"{device}?via={via}")
        assert error.hop == via.split(",")[-1]
        assert "lets nobody in: somebody-else@127.0.0.1: Permission denied (publickey). To mend it, give" in str(error)
        before = ["-J", "gateway"] if "," in via else []
        assert str(error).endswith(shlex.join(["ssh", "-F", str(names), *before, f"ssh://{error.hop}"]))

    @pytest.mark.parametrize("device", ["ssh://board", "127.0.0.1:9090"])
    def test_a_hop_with_an_unknown_key(self, names: Path, device: str) -> None:
        names.write_text(names.read_text().replace("accept-new", "yes"))
        error = self.error(f"{device}?via=gateway")
        assert "has an unknown key: " in str(error)
        assert f"accept it, once and by hand: ssh -F {names} ssh://gateway" in str(error)

    @pytest.mark.parametrize("device", ["ssh://board", "127.0.0.1:9090"])
    @pytest.mark.parametrize("setting", ["AllowTcpForwarding no", "PermitOpen 127.0.0.1:1"])
    def test_a_hop_that_forbids_forwarding(
        self, sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, setting: str
    ) -> None:
        (tmp_path / "gateway").mkdir()
        with running_sshd(tmp_path / "gateway", setting) as gateway:
            config = write_client_config(tmp_path / "config", gateway=(gateway.port, gateway), board=(sshd.port, sshd))
            monkeypatch.setenv("XDEVICE_SSH_CONFIG", str(config))
            error = self.error(f"{device}?via=gateway")
        beyond = device.removeprefix("ssh://")
        assert f"the jump host gateway forbids to go on to {beyond}. To mend it, allow it in its sshd_config" in str(
            error
        )

    @pytest.mark.parametrize("device", ["ssh://pi@127.0.0.1:1", "127.0.0.1:1"])
    def test_a_device_behind_it_that_is_away(self, names: Path, device: str, folder: Path) -> None:
        error = self.error(f"{device}?via=gateway")
        beyond = device.removeprefix("ssh://")
        assert f"cannot reach {beyond}: Connection refused. To mend it, see that {beyond} is on" in str(error)
        assert_nothing_left(folder)

    def test_a_device_behind_it_that_lets_nobody_in(self, names: Path) -> None:
        with pytest.raises(DeviceUnreachable) as caught:
            open_session("ssh://somebody-else@board?via=gateway")
        assert not isinstance(caught.value, JumpHostError)
        assert "somebody-else@127.0.0.1: Permission denied (publickey)" in str(caught.value)
        assert str(caught.value).endswith(
            f"try it by hand: ssh -F {names} -J gateway somebody-else@board python3 --version"
        )

    def test_a_server_behind_it_that_does_not_know_the_token(self, names: Path, server: DeviceServer) -> None:
        with pytest.raises(AuthenticationError, match="the token does not match"):
            open_session(f"{server.address}?via=gateway", token="something else entirely")

    def test_no_ssh_here(self, names: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        with pytest.raises(DeviceUnreachable, match="there is no ssh here: install its client"):
            open_session("127.0.0.1:9090?via=gateway", token="x" * 20)


class TestWhatIsLeft:
    def test_nothing_of_a_host_that_is_killed(
        self, device: tuple[str, dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address, settings = device
        if settings:
            monkeypatch.setenv("XDEVICE_TOKEN", settings["token_file"].read_text().strip())
        killed_host(f"{address}?via=gateway,inner", signal.SIGKILL)
        assert_nothing_left(folder)
        open_session(f"{address}?via=gateway", **settings).close()  # it is free again

    def test_a_hop_that_dies_loses_the_session_and_the_next_one_works(
        self, device: tuple[str, dict[str, Any]], folder: Path
    ) -> None:
        address, settings = device
        with closing(open_session(f"{address}?via=gateway,inner", **settings)) as session:
            check(session)
            mine = [pid for pid in with_variable("TMPDIR", str(folder)) if command_line(pid).endswith("ssh://gateway")]
            os.kill(mine[0], signal.SIGKILL)
            with pytest.raises(DeviceLost):
                check(session)
            session.reconnect()
            check(session)
        assert_nothing_left(folder)

    def test_a_link_beyond_the_gateway_that_is_cut(
        self, hidden: Hidden, device: tuple[str, dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address, settings = device
        monkeypatch.setattr("pytest_xdevice.transport.tcp.CONNECT_SECONDS", 3.0)
        monkeypatch.setattr("pytest_xdevice.transport.ssh_command._CONNECT_SECONDS", 3)
        monkeypatch.setattr("pytest_xdevice.transport.ssh_command._EACH_HOP_SECONDS", 1)
        monkeypatch.setattr("pytest_xdevice.transport.ssh_command._ALIVE_COUNT", 1)
        with closing(open_session(f"{address}?via=gateway", **settings)) as session:
            check(session)
            hidden.cut()
            try:
                with pytest.raises(DeviceLost):
                    session.device("cpu").run(add_one, np.zeros(5, np.float32), timeout=1)
                with pytest.raises(JumpHostError, match=r"the jump host gateway is there, but .* does not answer"):
                    session.reconnect()
            finally:
                hidden.mend()
            session.reconnect()
            check(session)
        assert_nothing_left(folder)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("ssh://pi@Board?via=ci@Gate", Spec("ssh", "pi@Board", via=("ci@Gate",))),
        ("ssh://pi@board:23?via=a:24,b@c", Spec("ssh", "pi@board", 23, via=("a:24", "b@c"))),
        ("10.0.0.7:9090?via=ci@[::1]:22", Spec("socket", "10.0.0.7", 9090, via=("ci@[::1]:22",))),
    ],
)
def test_specifications(text: str, spec: Spec) -> None:
    assert parse(text) == spec
    assert spec.address == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ssh://pi@board?via=", "'' is no jump host: write"),
        ("ssh://pi@board?via=a,,b", "'' is no jump host"),
        ("ssh://pi@board?via=-oProxyCommand=true", "is no jump host"),
        ("ssh://pi@board?via=a&b=c", "is no jump host"),
        ("ssh://pi@board?by=a", r"nothing after it but \?via="),
        ("popen?via=gateway", "only HOST:PORT and ssh://user@host are reached through a jump host"),
        ("board?via=gateway", "names no device"),
    ],
)
def test_what_is_no_specification(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(text)


def test_hops_in_the_environment() -> None:
    assert split_environment("a:1?via=g,h b:1,c:2; ssh://d?via=g,h\nlocal") == [
        "a:1?via=g,h", "b:1", "c:2", "ssh://d?via=g,h", "local",
    ]  # fmt: skip
