"""Tokens and --insecure: what the server prints, what it refuses, and that a host must ask for less as well."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

import pytest

from pytest_xdevice import AuthenticationError
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from pytest_xdevice.runtime import handshake
from pytest_xdevice.runtime.tokens import Token
from tests.harness.server import DeviceServer
from tests.harness.server import module_command
from tests.harness.server import REPOSITORY
from tests.harness.server import running_server
from tests.harness.service import Service

SERVE = [*module_command(), "--port", "0"]


def serve_and_fail(*arguments: str) -> str:
    done = subprocess.run([*SERVE, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("is_new", [True, False])
def test_a_token_from_a_file_is_not_printed(tmp_path: Path, is_new: bool) -> None:
    path = tmp_path / "token"
    if not is_new:
        path.touch(mode=0o600)
        path.write_text("a-token-that-is-long-enough\n")
    with Service([*SERVE, "--token-file", str(path)], cwd=str(REPOSITORY)) as service:
        assert str(path) in service.await_line("token in")
        token = path.read_text().strip()
        assert path.stat().st_mode & 0o777 == 0o600
    assert token not in service.output


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_token_file_that_is_open_to_others_is_refused_on_both_sides(
    tmp_path: Path, server: DeviceServer, mode: int
) -> None:
    path = tmp_path / "token"
    path.write_bytes(server.token_file.read_bytes())
    path.chmod(mode)
    assert f"chmod 600 {path}" in serve_and_fail("--token-file", str(path))
    with pytest.raises(AuthenticationError, match=f"chmod 600 {path}"):
        Session.open(DeviceConfig("device", server.address), Settings(token_file=path))


@pytest.mark.parametrize("content", [b"", b"short\n", b"two words of some length", b"\xff" * 30, b"a" * 20 + b"\nb"])
def test_a_file_without_a_token(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_bytes(content)
    assert "holds no token" in serve_and_fail("--token-file", str(path))
    with pytest.raises(AuthenticationError, match="holds no token"):
        Session.open(DeviceConfig("device", "127.0.0.1:1"), Settings(token_file=path))


def test_a_token_does_not_show_in_a_traceback() -> None:
    assert repr(Settings(token=Token("secret"))).count("secret") == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_insecure_is_for_loopback_alone(host: str) -> None:
    assert "--insecure is for loopback alone" in serve_and_fail("--insecure", "--host", host)


def test_insecure_and_a_token_exclude_each_other(tmp_path: Path) -> None:
    assert "give one of them" in serve_and_fail("--insecure", "--token-file", str(tmp_path / "token"))


def test_both_sides_must_ask_for_insecure(server: DeviceServer) -> None:
    with Service([*SERVE, "--insecure"], cwd=str(REPOSITORY)) as service:
        address = service.await_line("bind to ").split()[-1]
        assert "may run code" in service.await_line("insecure: ")
        with pytest.raises(AuthenticationError, match="runs with --insecure, which a host must ask for"):
            Session.open(DeviceConfig("device", address), Settings(token="x" * 20))
        with pytest.raises(AuthenticationError, match="no token"):
            Session.open(DeviceConfig("device", address), Settings())
        Session.open(DeviceConfig("device", address), Settings(insecure=True)).close()
        Session.open(DeviceConfig("device", address, insecure=True), Settings(token="x" * 20)).close()
    with pytest.raises(AuthenticationError, match="leave --xdevice-insecure out"):
        Session.open(DeviceConfig("device", server.address), Settings(insecure=True))


def test_tls_needs_its_files(tmp_path: Path) -> None:
    assert "--tls-key needs --tls-cert" in serve_and_fail("--tls-key", "key.pem")
    assert "No such file" in serve_and_fail("--tls-cert", str(tmp_path / "none.pem"))


def test_nobody_sees_the_token_among_the_arguments(server: DeviceServer) -> None:
    session = Session.open(DeviceConfig("device", server.address), Settings(token_file=server.token_file))
    session.worker("cpu")
    token = server.token_file.read_bytes().strip()
    running = [server.service.process.pid, *server.service.descendants()]
    assert len(running) >= 3
    for pid in running:
        assert token not in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert token not in Path(f"/proc/{pid}/environ").read_bytes()
    session.close()
    assert token.decode() not in server.service.output


def test_who_guesses_waits_and_who_knows_does_not(tmp_path: Path) -> None:
    with running_server(module_command(), tmp_path) as server:
        address, token = handshake.split_address(server.address), server.token_file.read_text().strip()
        guesses = [threading.Thread(target=guess, args=(address,)) for _ in range(8)]
        for thread in guesses:
            thread.start()
        for thread in guesses:
            thread.join()
        # The refusal of the ninth takes longer than this waits.
        with pytest.raises(handshake.HandshakeError, match="no answer in time"):
            guess(address, 0.3)
        with socket.create_connection(address) as sock:
            handshake.authenticate_server(sock, token, {"purpose": "session"})
        assert "wrong token" in server.service.output


def guess(address: tuple[str, int], seconds: float = 10.0) -> None:
    with socket.create_connection(address) as sock:
        try:
            handshake.authenticate_server(sock, "a guess", {"purpose": "session"}, seconds)
        except handshake.Refused:
            return
