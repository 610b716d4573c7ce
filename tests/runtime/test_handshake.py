"""The handshake: both sides prove the token, and nobody else gets a word in."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pytest_xdevice.runtime import handshake
from pytest_xdevice.runtime.handshake import HandshakeError
from pytest_xdevice.runtime.handshake import Refused

REQUEST = {"purpose": "session", "client": "someone"}


def serve(token: str, client: Callable[[socket.socket], Any]) -> tuple[Any, Any]:
    """Run the server's side in a thread and `client` here; return what each gave or raised."""
    left, right = socket.socketpair()
    outcome: list[Any] = []

    def server() -> None:
        try:
            outcome.append(handshake.authenticate_client(left, token, timeout=5.0))
        except (HandshakeError, Refused) as error:
            outcome.append(error)
        finally:
            left.close()

    thread = threading.Thread(target=server)
    thread.start()
    try:
        answer = client(right)
    except (HandshakeError, Refused) as error:
        answer = error
    right.close()
    thread.join()
    return outcome[0], answer


def test_one_token_lets_both_in() -> None:
    request, answer = serve("secret", lambda sock: handshake.authenticate_server(sock, "secret", REQUEST, 5.0))
    assert request == REQUEST
    assert answer is None


def test_another_token_is_refused_on_both_sides() -> None:
    server, client = serve("secret", lambda sock: handshake.authenticate_server(sock, "guess", REQUEST, 5.0))
    assert isinstance(server, Refused)
    assert isinstance(client, Refused)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\0" * 64 + b"\n",
        b"x" * 10_000,
        b"[]\n",
        b"{}\n",
        b'{"request": {"purpose": "x"}}\n',
        b'{"request": {"purpose": "session", "x": [[]]}, "nonce": "%s", "mac": "%s"}\n' % (b"0" * 64, b"0" * 64),
        b'{"request": {"purpose": "session"}, "nonce": "%s", "mac": "%s"}\n' % (b"0" * 64, b"\\ud800" * 64),
        b"[" * 4000 + b"\n",
        b"",
    ],
    ids=["http", "zeros", "no end", "list", "empty", "purpose", "nested", "no text", "deep", "silence"],
)
def test_a_stranger_is_refused(said: bytes) -> None:
    def stranger(sock: socket.socket) -> None:
        handshake.read_line(sock, None)
        sock.sendall(said)
        sock.shutdown(socket.SHUT_WR)

    server, _ = serve("secret", stranger)
    assert isinstance(server, HandshakeError)


def test_a_server_without_the_token_is_refused() -> None:
    left, right = socket.socketpair()

    def impostor() -> None:
        left.sendall(b"XDEVICE/1 " + b"0" * 64 + b"\n")
        handshake.read_line(left, None)
        left.sendall(json.dumps({"ok": True, "mac": "0" * 64}).encode() + b"\n")

    thread = threading.Thread(target=impostor)
    thread.start()
    with left, right, pytest.raises(Refused, match="does not know the token"):
        handshake.authenticate_server(right, "secret", REQUEST, 5.0)
    thread.join()


def test_a_recorded_proof_is_worth_nothing_later() -> None:
    recorded: list[bytes] = []

    def record(sock: socket.socket) -> None:
        _, _, nonce = handshake.read_line(sock, None).partition(b" ")
        mac = handshake._mac("secret", "plain", "client", nonce.decode(), "a" * 64, REQUEST)
        recorded.append(json.dumps({"request": REQUEST, "nonce": "a" * 64, "mac": mac}).encode() + b"\n")
        sock.sendall(recorded[0])
        handshake.read_line(sock, None)

    def replay(sock: socket.socket) -> None:
        handshake.read_line(sock, None)
        sock.sendall(recorded[0])
        handshake.read_line(sock, None)

    assert serve("secret", record)[0] == REQUEST
    assert isinstance(serve("secret", replay)[0], Refused)


def test_a_proof_cannot_be_carried_to_another_channel() -> None:
    def client(sock: socket.socket) -> None:
        handshake.authenticate_server(sock, "secret", REQUEST, 5.0, channel="a" * 64)

    server, answer = serve("secret", client)
    assert isinstance(server, Refused)
    assert isinstance(answer, Refused)


def test_a_proof_cannot_be_used_for_another_request() -> None:
    def client(sock: socket.socket) -> None:
        _, _, nonce = handshake.read_line(sock, None).partition(b" ")
        mac = handshake._mac("secret", "plain", "client", nonce.decode(), "a" * 64, REQUEST)
        asked = {"request": dict(REQUEST, purpose="stream"), "nonce": "a" * 64, "mac": mac}
        sock.sendall(json.dumps(asked).encode() + b"\n")
        handshake.read_line(sock, None)

    assert isinstance(serve("secret", client)[0], Refused)


def test_a_proof_is_not_taken_back_from_where_it_came() -> None:
    """A client that is asked by two servers at once cannot be made to answer for itself."""
    left, right = socket.socketpair()

    def mirror() -> None:
        left.sendall(b"XDEVICE/1 " + b"0" * 64 + b"\n")
        said = json.loads(handshake.read_line(left, None))
        left.sendall(json.dumps({"ok": True, "mac": said["mac"]}).encode() + b"\n")

    thread = threading.Thread(target=mirror)
    thread.start()
    with left, right, pytest.raises(Refused, match="does not know the token"):
        handshake.authenticate_server(right, "secret", REQUEST, 5.0)
    thread.join()


def test_what_a_server_says_does_not_reach_the_terminal_as_it_is() -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"XDEVICE/1 " + b"0" * 64 + b"\n" + b'{"error": "\\u001b[2J\\n' + b"x" * 1000 + b'"}\n')
        with pytest.raises(Refused) as refusal:
            handshake.authenticate_server(right, "secret", REQUEST, 5.0)
    assert str(refusal.value).startswith("?[2J?xxx")
    assert len(str(refusal.value)) <= 200


@pytest.mark.parametrize("text", ["host", "host:", "host:x", "host:70000", ":9090"])
def test_addresses_without_a_port(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - int() and the function itself word it differently
        handshake.split_address(text)
