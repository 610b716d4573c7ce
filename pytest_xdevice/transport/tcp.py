"""The device behind its own server: authenticated connections to HOST:PORT."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any
from typing import Final

from ..errors import AuthenticationError
from ..errors import DeviceUnreachable
from ..errors import XDeviceError
from ..runtime import handshake
from ..runtime.admission import is_loopback
from ..runtime.tcp_options import tune
from . import gateway
from .control import Control
from .credentials import Credentials
from .lease import Applicant
from .lease import Occupancy
from .protocol import StreamWay
from .sockets import closing_on_failure
from .spec import Spec
from .tunnel import Tunnel

CONNECT_SECONDS: Final = 10.0


class SocketTransport:
    """Connections to a device server: one for control, one more for each stream."""

    stream_way: StreamWay = "passed"

    def __init__(self, spec: Spec, credentials: Credentials, applicant: Applicant) -> None:
        self._address = (spec.host, spec.port or 0)
        self._label = spec.address
        self._tunnel = Tunnel(spec) if spec.via else None
        self._credentials = credentials
        self._applicant = applicant
        self._session = ""
        self._control: Control | None = None
        self._ahead: socket.socket | None = None  # a stream that nobody has asked for yet

    def open(self) -> Control:
        """Authenticate, wait for the device to be free, and start a session in the process that the server gives."""
        applicant = self._applicant
        request = {
            "purpose": "session", "client": applicant.name, "identity": applicant.identity, "wait": applicant.waits
        }  # fmt: skip
        with contextlib.ExitStack() as undo:
            undo.callback(self._close_tunnel)
            self._sock = sock = self._connect(request)
            undo.callback(sock.close)
            self._session = str(applicant.wait(self._label, lambda: self._read(sock))["session"])
            # Through jump hosts TCP tells the device of the last of them alone.
            beats = self._tunnel is not None and not self._credentials.tls_fingerprint
            self._control = gateway.over_socket(sock, self._label, beats=beats, meanwhile=self._open_ahead)
            undo.pop_all()
        return self._control

    def stream(self, path: str) -> socket.socket:
        """Open another connection, which the server passes on to the session."""
        sock, self._ahead = self._ahead, None
        return sock or self._open_stream()

    def _open_ahead(self) -> None:
        """Open the first stream, while the device is busy; what cannot be done now is told when it is asked for."""
        with contextlib.suppress(XDeviceError):
            self._ahead = self._open_stream()

    def _open_stream(self) -> socket.socket:
        sock = self._connect({"purpose": "stream", "session": self._session})
        with closing_on_failure(sock):
            answer = self._read(sock)
            if "error" in answer:
                raise DeviceUnreachable(f"{self._label}: {answer['error']}")
        return sock

    def close(self) -> None:
        """End the session; the server lets the next one in."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None
        if self._control is not None:
            self._control.close()
            self._sock.close()
        self._close_tunnel()

    def who(self) -> Occupancy:
        """Ask the server who holds the device."""
        return Occupancy.from_wire(self._ask("who"))

    def release(self) -> str | None:
        """Have the server end the session that holds the device."""
        holder: str | None = self._ask("release")["released"]
        return holder

    def _connect(self, request: dict[str, Any]) -> socket.socket:
        sock = self._tunnel.connect() if self._tunnel else self._dial()
        try:
            return self._authenticate(sock, request)
        except handshake.Refused as refused:
            raise AuthenticationError(f"{self._label}: the server refused: {refused}. {self._advice()}") from None
        except handshake.HandshakeError as error:
            raise self._unreachable(
                f"{error}. Something listens there, but is it a pytest-xdevice server of this version? "
                + self._advice_on_tls(),
                error,
            ) from None

    def _dial(self) -> socket.socket:
        try:
            return socket.create_connection(self._address, CONNECT_SECONDS)
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise DeviceUnreachable(
                f"{self._label}: cannot connect: {reason}. Is the server running there? Start it on the device with: "
                f"python3 xdevice-runtime.pyz --host 0.0.0.0 --port {self._address[1]}"
            ) from None

    def _unreachable(self, problem: str, cause: handshake.HandshakeError) -> DeviceUnreachable:
        """Return the error of a connection that nothing came of; a jump host may be why, whose connections just end."""
        error = DeviceUnreachable(f"{self._label}: {problem}")
        is_silent = isinstance(cause, handshake.NoAnswer)
        return self._tunnel.blame(error, is_silent=is_silent) if self._tunnel else error

    def _close_tunnel(self) -> None:
        if self._tunnel:
            self._tunnel.close()

    def _is_loopback(self, sock: socket.socket) -> bool:
        """Return whether the server is where the last leg begins: on this machine, or on the last jump host itself."""
        if self._tunnel:
            return self._address[0] == "localhost" or is_loopback(self._address[0])
        return is_loopback(sock.getpeername()[0])

    def _authenticate(self, sock: socket.socket, request: dict[str, Any]) -> socket.socket:
        """Prove who this is, and have the server prove it; return the socket to speak over, or close it."""
        credentials = self._credentials
        try:
            if credentials.insecure and not self._is_loopback(sock):
                where = "the last jump host's loopback" if self._tunnel else "loopback"
                raise handshake.Refused(f"this address is not {where}, and only there one may go without a token")
            sock.settimeout(None)
            if not self._tunnel:  # ssh looks after its own connection
                tune(sock)
            if credentials.tls_fingerprint:
                sock = _speak_tls(sock, credentials.tls_fingerprint)
            channel = credentials.tls_fingerprint or handshake.PLAIN
            handshake.authenticate_server(sock, credentials.token or "", request, CONNECT_SECONDS, channel)
        except BaseException:
            sock.close()
            raise
        return sock

    def _advice(self) -> str:
        if self._credentials.insecure:
            return "It asks for a token: leave --xdevice-insecure out and give it, as --xdevice-token-file FILE"
        return "Give the token that it printed at its start, as --xdevice-token-file FILE or in XDEVICE_TOKEN"

    def _advice_on_tls(self) -> str:
        if self._credentials.tls_fingerprint:
            return "One that speaks TLS was started with --tls-cert, and printed the fingerprint of its certificate"
        return "One that was started with --tls-cert needs --xdevice-tls-fingerprint"

    def _ask(self, purpose: str) -> dict[str, Any]:
        with contextlib.closing(self), contextlib.closing(self._connect({"purpose": purpose})) as sock:
            return self._read(sock)

    def _read(self, sock: socket.socket) -> dict[str, Any]:
        try:
            return handshake.read_message(sock, time.monotonic() + CONNECT_SECONDS)
        except handshake.HandshakeError as error:
            raise self._unreachable(f"{error} while waiting for the server's word", error) from None


def _speak_tls(sock: socket.socket, fingerprint: str) -> socket.socket:
    from ..runtime import tls

    return tls.connect(sock, fingerprint, CONNECT_SECONDS)
