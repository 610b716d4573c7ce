"""TLS: sessions over it work like all others, and only with the server whose certificate was named."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pytest_xdevice import AuthenticationError
from pytest_xdevice import DeviceUnreachable
from pytest_xdevice.config import DeviceConfig
from pytest_xdevice.config import Settings
from pytest_xdevice.remote import Session
from pytest_xdevice.runtime import tls
from tests.harness.certificate import Certificate
from tests.harness.server import DeviceServer
from tests.harness.server import module_command
from tests.harness.server import running_server


@pytest.fixture(scope="module", params=["this Python", "the oldest"])
def tls_server(
    request: pytest.FixtureRequest, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DeviceServer]:
    """Return a server that speaks TLS."""
    if request.param == "the oldest":
        command = [request.getfixturevalue("oldest_python"), str(request.getfixturevalue("bundle"))]
    else:
        command = module_command()
    with running_server(command, tmp_path_factory.mktemp("tls"), *certificate.options) as running:
        yield running


def open_session(server: DeviceServer, fingerprint: str | None) -> Session:
    settings = Settings(token_file=server.token_file, tls_fingerprint=fingerprint)
    return Session.open(DeviceConfig("device", server.address), settings)


def test_sessions_streams_and_large_arrays(tls_server: DeviceServer, certificate: Certificate) -> None:
    for _ in range(2):
        session = open_session(tls_server, certificate.fingerprint)
        device = session.device("cpu")
        large = np.arange(16 << 20, dtype=np.float32)  # 64 MiB
        np.testing.assert_array_equal(device.array(large).numpy(), large)
        device.upload(b"data", "file")
        assert device.download("file") == b"data"
        session.close()


def test_a_crash_is_told_and_the_session_goes_on(tls_server: DeviceServer, certificate: Certificate) -> None:
    session = open_session(tls_server, certificate.fingerprint)
    session.worker("cpu").close()
    np.testing.assert_array_equal(session.device("cpu").array(np.ones(3)).numpy(), np.ones(3))
    session.close()


def test_the_server_prints_the_fingerprint(tls_server: DeviceServer, certificate: Certificate) -> None:
    assert certificate.fingerprint in tls_server.service.await_line("certificate")


def test_another_certificate_is_refused_before_anything_is_said(tls_server: DeviceServer) -> None:
    with pytest.raises(DeviceUnreachable, match="the server's certificate is another one, with the fingerprint"):
        open_session(tls_server, "0" * 64)


def test_a_server_without_tls_is_refused(server: DeviceServer, certificate: Certificate) -> None:
    with pytest.raises(DeviceUnreachable, match=r"no TLS connection.*was started with --tls-cert"):
        open_session(server, certificate.fingerprint)


def test_a_wrong_token_over_tls(tls_server: DeviceServer, certificate: Certificate) -> None:
    settings = Settings(token="x" * 32, tls_fingerprint=certificate.fingerprint)
    with pytest.raises(AuthenticationError, match="the token does not match"):
        Session.open(DeviceConfig("device", tls_server.address), settings)


def test_a_server_with_tls_answers_nobody_without(tls_server: DeviceServer) -> None:
    host, port = tls_server.address.split(":")
    with socket.create_connection((host, int(port)), 5) as plain:
        plain.sendall(b'{"request": {"purpose": "session"}}\n')
        try:
            answer = b"".join(iter(lambda: plain.recv(4096), b""))
        except ConnectionResetError:
            answer = b""
    assert b"XDEVICE" not in answer


def test_both_directions_at_once_from_two_threads_each(certificate: Certificate) -> None:
    """What deadlocks in CPython 3.13.6 where two threads use one TLS socket."""
    host, device = _tls_pair(certificate)
    data = os.urandom(8 << 20)
    senders = [threading.Thread(target=end.sendall, args=(data,)) for end in (host, device)]
    came: dict[socket.socket, bytes] = {}
    readers = [
        threading.Thread(target=lambda end=end: came.update({end: _read(end, len(data))})) for end in (host, device)
    ]
    for thread in senders + readers:
        thread.start()
    for thread in senders + readers:
        thread.join(60)
    assert came == {host: data, device: data}
    host.close()
    assert device.recv(1) == b""
    device.close()


def _tls_pair(certificate: Certificate) -> tuple[socket.socket, socket.socket]:
    context = tls.server_context(str(certificate.certificate), str(certificate.key))
    left, right = socket.socketpair()
    accepted: list[socket.socket] = []
    thread = threading.Thread(target=lambda: accepted.append(tls.accept(right, context, 5.0)))
    thread.start()
    host = tls.connect(left, certificate.fingerprint, 5.0)
    thread.join()
    return host, accepted[0]


def _read(end: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        data += end.recv(1 << 20)
    return bytes(data)


def test_a_peer_that_drips_bytes_is_cut_off(certificate: Certificate) -> None:
    context = tls.server_context(str(certificate.certificate), str(certificate.key))
    left, right = socket.socketpair()
    stop = threading.Event()

    def drip() -> None:
        left.sendall(b"\x16\x03\x01\x40\x00\x01")
        while not stop.wait(0.02):
            try:
                left.sendall(b"\0")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    with left, pytest.raises(tls.TlsError):
        tls.accept(right, context, 0.3)
    stop.set()
    thread.join()


@pytest.mark.parametrize(
    ("mode", "content", "message"),
    [
        (0o644, None, "is open to everyone: chmod 600"),
        (0o600, "nothing\n", "are no certificate and its key in PEM(: (?!None).+)?$"),
    ],
)
def test_a_key_that_cannot_be_used(
    certificate: Certificate, tmp_path: Path, mode: int, content: str | None, message: str
) -> None:
    key = tmp_path / "key.pem"
    key.write_text(certificate.key.read_text() if content is None else content)
    key.chmod(mode)
    with pytest.raises(OSError, match=message):
        tls.server_context(str(certificate.certificate), str(key))


def test_a_certificate_without_a_key(certificate: Certificate, tmp_path: Path) -> None:
    alone = tmp_path / "cert.pem"
    alone.write_text(certificate.certificate.read_text())
    alone.chmod(0o600)
    with pytest.raises(
        OSError, match=r"without --tls-key .*cert\.pem must be a certificate and its key in PEM(: (?!None).+)?$"
    ):
        tls.server_context(str(alone), None)
