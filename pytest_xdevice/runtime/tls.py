"""TLS between host and device server, as a plain socket to all others: one thread owns the TLS connection.

Whoever speaks over it has one end of a socket pair, which can be peeked at, given a time limit by the kernel and passed
to another process. No two threads ever touch the TLS connection: CPython 3.13.6 deadlocks when one sends and another
receives (python/cpython#137583).

The certificate is not judged by its issuer: the host knows its SHA-256 fingerprint, which the server prints. The proofs
of the token cover that fingerprint too (`handshake`), as RFC 5929's tls-server-end-point would.
"""

from __future__ import annotations

import hashlib
import os
import re
import select
import socket
import ssl
import threading
from typing import Optional

from .handshake import HandshakeError

_CHUNK = 256 << 10


class TlsError(HandshakeError):
    """No TLS connection could be made; the message says why."""


class _Ended(Exception):
    """One side closed the connection."""


def server_context(certificate: str, key: Optional[str]) -> ssl.SSLContext:
    """Return the server's side of TLS.

    Parameters
    ----------
    certificate : str
        PEM file with the certificate (and those of its issuers).
    key : str or None
        PEM file with the private key; None if it is in the certificate's file.

    Raises
    ------
    OSError
        If a file cannot be read or does not hold what it should; PermissionError if anyone may read the key.
    """
    private = key or certificate
    if os.stat(private).st_mode & 0o007:
        raise PermissionError(f"the private key {private} is open to everyone: chmod 600 {private}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.num_tickets = 0  # every connection shows the certificate
    try:
        # A key with a passphrase would be asked for at a terminal that there may not be.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except ssl.SSLError as error:
        problem = f"{certificate} and {key} are no" if key else f"without --tls-key {certificate} must be a"
        reason = f": {error.reason}" if error.reason else ""
        raise OSError(f"{problem} certificate and its key in PEM{reason}") from None
    return context


def certificate_fingerprint(certificate: str) -> str:
    """Return the fingerprint of the first certificate in a PEM file.

    Raises
    ------
    OSError
        If there is none.
    """
    with open(certificate, encoding="ascii", errors="replace") as file:
        text = file.read()
    found = re.search("-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    try:
        return _fingerprint(ssl.PEM_cert_to_DER_cert(found.group(0) if found else ""))
    except ValueError:
        raise OSError(f"{certificate} holds no certificate in PEM") from None


def accept(connection: socket.socket, context: ssl.SSLContext, seconds: float) -> socket.socket:
    """Speak TLS on a connection that was accepted, and return the plain socket to it.

    Raises
    ------
    TlsError
        If the other end does not speak TLS, or not in time.
    """
    return _plain_end(_shake_hands(connection, context, seconds, server_side=True))


def connect(connection: socket.socket, fingerprint: str, seconds: float) -> socket.socket:
    """Speak TLS to the server that has this certificate and no other, and return the plain socket to it.

    Raises
    ------
    TlsError
        If it does not speak TLS, not in time, or has another certificate; nothing was sent to it then.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # the fingerprint below says more than an issuer could
    secure = _shake_hands(connection, context, seconds, server_side=False)
    shown = _fingerprint(secure.getpeercert(binary_form=True) or b"")
    if shown != fingerprint:
        secure.close()
        raise TlsError(f"the server's certificate is another one, with the fingerprint {shown}")
    return _plain_end(secure)


def _fingerprint(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest()


def _shake_hands(
    connection: socket.socket, context: ssl.SSLContext, seconds: float, *, server_side: bool
) -> ssl.SSLSocket:
    connection.settimeout(seconds)
    # The whole handshake has the time limit of one read: a peer that drips bytes is cut off by the timer.
    same = connection.dup()
    alarm = threading.Timer(seconds, _cut, [same])
    alarm.daemon = True
    alarm.start()
    try:
        return context.wrap_socket(connection, server_side=server_side)
    except socket.timeout:
        raise TlsError("no TLS handshake in time") from None
    except ssl.SSLError as error:
        raise TlsError(f"no TLS connection: {error.reason or error}") from None
    except (OSError, ValueError) as error:
        raise TlsError(f"the connection broke in the TLS handshake: {error}") from None
    finally:
        alarm.cancel()
        same.close()


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is over already


def _plain_end(secure: ssl.SSLSocket) -> socket.socket:
    ours, theirs = socket.socketpair()
    secure.setblocking(False)
    ours.setblocking(False)
    threading.Thread(target=_Pump(secure, ours).run, daemon=True).start()
    return theirs


class _Pump:
    """Moves bytes between a TLS connection and a plain socket, until one of them ends."""

    def __init__(self, secure: ssl.SSLSocket, plain: socket.socket) -> None:
        self._secure = secure
        self._plain = plain
        self._buffer = memoryview(bytearray(_CHUNK))
        self._inward = self._buffer[:0]  # what came over TLS and is not passed on yet
        self._outward = memoryview(b"")
        self._wanted = 0  # what TLS itself waits for, beyond new bytes

    def run(self) -> None:
        """Work until an end; then close both."""
        try:
            while True:
                self._wanted = 0
                if not self._move_in() | self._move_out():
                    self._wait()
        except (_Ended, OSError):
            pass  # both ends see it by what follows
        finally:
            self._say_goodbye()
            self._secure.close()
            self._plain.close()

    def _move_in(self) -> bool:
        if not self._inward:
            try:
                count = self._secure.recv_into(self._buffer)
            except ssl.SSLWantReadError:
                return False
            except ssl.SSLWantWriteError:
                self._wanted |= select.POLLOUT
                return False
            if not count:
                raise _Ended
            self._inward = self._buffer[:count]
        try:
            self._inward = self._inward[self._plain.send(self._inward) :]
        except BlockingIOError:
            return False
        return True

    def _move_out(self) -> bool:
        if not self._outward:
            try:
                data = self._plain.recv(_CHUNK)
            except BlockingIOError:
                return False
            if not data:
                raise _Ended
            self._outward = memoryview(data)
        try:
            self._outward = self._outward[self._secure.send(self._outward) :]
        except ssl.SSLWantWriteError:
            self._wanted |= select.POLLOUT
            return False
        except ssl.SSLWantReadError:
            self._wanted |= select.POLLIN
            return False
        return True

    def _wait(self) -> None:
        """Sleep until something can be moved.

        Raises
        ------
        _Ended
            If the TLS connection broke, which is looked for even while nothing is wanted of it.
        """
        poll = select.poll()
        poll.register(self._secure, self._wanted | (0 if self._inward else select.POLLIN))
        plain = (select.POLLOUT if self._inward else 0) | (0 if self._outward else select.POLLIN)
        if plain:
            poll.register(self._plain, plain)
        for descriptor, events in poll.poll():
            # Otherwise the next read finds that out.
            if descriptor == self._secure.fileno() and self._inward and events & (select.POLLERR | select.POLLHUP):
                raise _Ended

    def _say_goodbye(self) -> None:
        try:
            self._secure.unwrap()
        except (OSError, ValueError):
            return  # it need not be answered
