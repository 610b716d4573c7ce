"""The device behind its own server: authenticated connections to HOST:PORT."""

from __future__ import annotations

import getpass
import os
import socket
import time
from collections.abc import Callable
from typing import Any
from typing import Final

from ..errors import AuthenticationError
from ..errors import DeviceUnreachable
from ..runtime import handshake
from ..runtime.tcp_options import tune
from . import gateway
from .gateway import Control
from .protocol import StreamWay
from .spec import Spec

CONNECT_SECONDS: Final = 10.0


class SocketTransport:
    """Connections to a device server: one for control, one more for each stream."""

    stream_way: StreamWay = "passed"

    def __init__(self, spec: Spec, token: str, progress: Callable[[str], None]) -> None:
        self._address = (spec.host, spec.port or 0)
        self._label = f"{spec.host}:{spec.port}"
        self._token = token
        self._progress = progress
        self._session = ""
        self._control: Control | None = None

    def open(self) -> Control:
        """Authenticate, wait for the device to be free, and start a session in the process that the server gives."""
        client = f"{getpass.getuser()}@{socket.gethostname()} (process {os.getpid()})"
        self._sock = sock = self._connect({"purpose": "session", "client": client})
        try:
            self._session = str(self._wait_for_lease(sock)["session"])
            self._control = gateway.over_socket(sock, self._label)
        except BaseException:
            sock.close()
            raise
        return self._control

    def stream(self, path: str) -> socket.socket:
        """Open another connection, which the server passes on to the session."""
        sock = self._connect({"purpose": "stream", "session": self._session})
        answer = handshake.read_message(sock, time.monotonic() + CONNECT_SECONDS)
        if "error" in answer:
            sock.close()
            raise DeviceUnreachable(f"{self._label}: {answer['error']}")
        return sock

    def close(self) -> None:
        """End the session; the server lets the next one in."""
        if self._control is not None:
            self._control.close()
            self._sock.close()

    def _connect(self, request: dict[str, Any]) -> socket.socket:
        try:
            sock = socket.create_connection(self._address, CONNECT_SECONDS)
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise DeviceUnreachable(
                f"{self._label}: cannot connect: {reason}. Is the server running there? Start it on the device with: "
                f"python3 xdevice-runtime.pyz --host 0.0.0.0 --port {self._address[1]}"
            ) from None
        try:
            sock.settimeout(None)
            tune(sock)
            handshake.authenticate_server(sock, self._token, request, CONNECT_SECONDS)
        except handshake.Refused as refused:
            sock.close()
            raise AuthenticationError(
                f"{self._label}: the server refused: {refused}. Give the token that it printed at its start, "
                "as --xdevice-token-file FILE or in XDEVICE_TOKEN"
            ) from None
        except handshake.HandshakeError as error:
            sock.close()
            raise DeviceUnreachable(
                f"{self._label}: {error}. Something listens there, but is it a pytest-xdevice server of this version?"
            ) from None
        return sock

    def _wait_for_lease(self, sock: socket.socket) -> dict[str, Any]:
        told = ""
        while True:
            try:
                answer = handshake.read_message(sock, time.monotonic() + CONNECT_SECONDS)
            except handshake.HandshakeError as error:
                raise DeviceUnreachable(f"{self._label}: {error} while waiting for the device to be free") from None
            if answer.get("state") == "granted":
                return answer
            if answer.get("holder") != told:
                told = str(answer.get("holder"))
                self._progress(
                    f"{self._label}: waiting for the device, which {told} holds ({answer.get('ahead')} ahead)"
                )
