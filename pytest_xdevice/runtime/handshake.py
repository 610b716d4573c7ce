"""Mutual authentication of host and device server, before anything else is read.

Both ends know a token. Each proves it with an HMAC-SHA-256 over the two fresh nonces, a word that says which side
speaks, the request itself, and the channel: "plain", or the fingerprint of the certificate that TLS showed. So an
answer cannot be reflected, replayed, used for another purpose, or carried from one channel into another::

    server → "XDEVICE/1 <nonce>\\n"
    client → {"request": {...}, "nonce": ..., "mac": HMAC(token, "client", server nonce, client nonce, request)}\\n
    server → {"ok": true, "mac": HMAC(token, "server", server nonce, client nonce, request)}\\n
             or {"error": "..."}\\n

The construction is the challenge-response of Python's `multiprocessing.connection`, made mutual in one exchange and
bound to what is asked for (compare ISO/IEC 9798-4).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import socket
import time
from typing import Any
from typing import Callable
from typing import Dict
from typing import Optional
from typing import Tuple

VERSION = b"XDEVICE/1"
NONCE_BYTES = 32
MAX_LINE = 4096
PURPOSES = ("session", "stream", "who", "release")
PLAIN = "plain"  # the channel without TLS
_HEX = re.compile("[0-9a-f]{64}")  # a nonce, and a MAC as well


class HandshakeError(Exception):
    """The other end does not speak this protocol, in time and within bounds."""


class NoAnswer(HandshakeError):
    """The other end was silent for too long."""


class Refused(Exception):
    """The token does not match, or the server declines the request; the message says which and why."""


def authenticate_client(
    sock: socket.socket,
    token: str,
    timeout: float = 20.0,
    channel: str = PLAIN,
    before_refusal: Callable[[], None] = lambda: None,
) -> Dict[str, Any]:
    """Server side: challenge whoever connected and return the request that it proves itself with.

    Parameters
    ----------
    sock : socket
        A fresh connection, nothing read from it yet.
    token : str
        The shared secret.
    timeout : float
        Seconds for the whole exchange.
    channel : str
        `PLAIN`, or the fingerprint of the certificate that this side showed.
    before_refusal : callable
        Called before a wrong proof is answered; may take its time.

    Raises
    ------
    HandshakeError
        If the peer is silent, too slow, too long, or does not speak the protocol.
    Refused
        If its token is another one.
    """
    deadline = time.monotonic() + timeout
    nonce = secrets.token_hex(NONCE_BYTES)
    _send(sock, VERSION + b" " + nonce.encode() + b"\n", deadline)
    answer = _parse(read_line(sock, deadline))
    request, theirs, mac = answer.get("request"), _hex(answer.get("nonce")), _hex(answer.get("mac"))
    if not isinstance(request, dict) or request.get("purpose") not in PURPOSES:
        raise HandshakeError("the request has no known purpose")
    if any(isinstance(value, (dict, list)) for value in request.values()):
        raise HandshakeError("the request is nested")
    if not theirs or not mac:
        raise HandshakeError("the request carries no proof")
    if not hmac.compare_digest(mac, _mac(token, channel, "client", nonce, theirs, request)):
        before_refusal()
        reason = "the token does not match" if token else "the server runs with --insecure, which a host must ask for"
        _send(sock, json.dumps({"error": reason}).encode() + b"\n", time.monotonic() + 1.0)
        raise Refused("wrong token")
    proof = {"ok": True, "mac": _mac(token, channel, "server", nonce, theirs, request)}
    _send(sock, json.dumps(proof).encode() + b"\n", deadline)
    return request


def authenticate_server(
    sock: socket.socket, token: str, request: Dict[str, Any], timeout: float = 20.0, channel: str = PLAIN
) -> None:
    """Client side: prove the token for `request`, and check that the server knows it too.

    Parameters
    ----------
    sock : socket
    token : str
    request : dict
        Of strings, numbers, booleans or None, with a ``purpose``.
    timeout : float
        Seconds for the whole exchange.
    channel : str
        `PLAIN`, or the fingerprint of the certificate that the server showed.

    Raises
    ------
    HandshakeError
        If the peer is no device server, or does not answer in time.
    Refused
        If either side's token is another one.
    """
    deadline = time.monotonic() + timeout
    version, _, theirs = read_line(sock, deadline).decode("ascii", "replace").partition(" ")
    if version != VERSION.decode() or not _hex(theirs):
        raise HandshakeError("what answers there is no pytest-xdevice server of this version")
    mine = secrets.token_hex(NONCE_BYTES)
    proof = {"request": request, "nonce": mine, "mac": _mac(token, channel, "client", theirs, mine, request)}
    _send(sock, json.dumps(proof).encode() + b"\n", deadline)
    answer = _parse(read_line(sock, deadline))
    if "error" in answer:
        raise Refused(printable(str(answer["error"])))
    if not hmac.compare_digest(_hex(answer.get("mac")), _mac(token, channel, "server", theirs, mine, request)):
        raise Refused("the server does not know the token: it may be another one than you think")


def read_line(sock: socket.socket, deadline: Optional[float]) -> bytes:
    """Read one line, without its end, and not a byte more.

    Raises
    ------
    HandshakeError
        If it is longer than `MAX_LINE` bytes, or does not come before `deadline` (`time.monotonic`).
    """
    line = bytearray()
    while True:
        try:
            sock.settimeout(_left(deadline))
            # Peeking finds the end of the line without taking what follows it.
            seen = sock.recv(MAX_LINE, socket.MSG_PEEK)
            end = seen.find(b"\n")
            taken = sock.recv(end + 1 if end >= 0 else len(seen))
        except socket.timeout:
            raise NoAnswer("no answer in time") from None
        except OSError as error:
            raise HandshakeError(f"the connection broke: {error}") from None
        if not taken:
            raise HandshakeError("the connection was closed")
        line += taken
        if line.endswith(b"\n"):
            sock.settimeout(None)
            return bytes(line[:-1])
        if len(line) > MAX_LINE:
            raise HandshakeError(f"a line is longer than {MAX_LINE} bytes")


def read_message(sock: socket.socket, deadline: Optional[float]) -> Dict[str, Any]:
    """Read one line that is a JSON object."""
    return _parse(read_line(sock, deadline))


def _left(deadline: Optional[float]) -> Optional[float]:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise NoAnswer("no answer in time")
    return left


def _send(sock: socket.socket, data: bytes, deadline: float) -> None:
    try:
        sock.settimeout(_left(deadline))
        sock.sendall(data)
        sock.settimeout(None)
    except OSError as error:
        raise HandshakeError(f"the connection broke: {error}") from None


def _parse(line: bytes) -> Dict[str, Any]:
    try:
        value = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise HandshakeError("a message is not JSON") from None
    if not isinstance(value, dict):
        raise HandshakeError("a message is no JSON object")
    return value


def _mac(token: str, channel: str, side: str, server_nonce: str, client_nonce: str, request: Dict[str, Any]) -> str:
    asked = json.dumps(request, sort_keys=True)  # ASCII, in one line
    parts = (VERSION.decode(), channel, side, server_nonce, client_nonce, asked)
    return hmac.new(token.encode(), "\n".join(parts).encode(), hashlib.sha256).hexdigest()


def _hex(value: Any) -> str:
    """Return what should be 64 hexadecimal digits; nothing if it is not."""
    return value if isinstance(value, str) and _HEX.fullmatch(value) else ""


def printable(text: str) -> str:
    """Return what another end said, fit for a line of a log: 200 characters, none that a terminal obeys."""
    return "".join(character if character.isprintable() else "?" for character in text[:200])


def split_address(text: str) -> Tuple[str, int]:
    """Split ``HOST:PORT`` (or ``[IPv6]:PORT``).

    Raises
    ------
    ValueError
        If there is no port between 1 and 65535, or no host but a path or an address of another scheme.
    """
    host, _, port = text.rpartition(":")
    number = int(port)
    if not host or "/" in host or not 1 <= number <= 65535:
        raise ValueError(text)
    return host.strip("[]"), number
