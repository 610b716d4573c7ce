"""The device server: listens, authenticates both sides, leases the device to one session at a time.

It reads nothing but the handshake. A granted connection goes to a session process of its own, which execnet
bootstraps from the host; further connections of the same host, proven with the same token, become streams of it.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from typing import Any
from typing import Dict
from typing import List
from typing import Optional
from typing import Tuple

from .handover import send_socket
from .handshake import authenticate_client
from .handshake import HandshakeError
from .handshake import Refused
from .tcp_options import tune

HANDSHAKE_SECONDS = 10.0
MAX_PENDING = 64  # connections that have not authenticated yet

# The session process: a socket, and execnet's one line of source. The line ends where the host waits for an answer.
_BOOT = """
import ast, ctypes, socket, sys
ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM: no session outlives its server
clientsock = socket.socket(fileno=int(sys.argv[1]))
xdevice_passed = int(sys.argv[2])
line = bytearray()
while not line.endswith(b"\\n"):
    data = clientsock.recv(65536)
    if not data:
        sys.exit(0)
    line += data
exec(ast.literal_eval(line.decode()))
"""


class Lease:
    """One session's hold on the device."""

    def __init__(self, request: Dict[str, Any], peer: str) -> None:
        self.identity = secrets.token_hex(16)
        self.holder = "{} from {}".format(str(request.get("client", "someone"))[:80], peer)
        self.since = time.time()
        self.passing: Optional[socket.socket] = None


class Server:
    """Serves one device on one listening socket.

    Parameters
    ----------
    listener : socket
        Bound and listening.
    token : str or None
        The shared secret.
    """

    def __init__(self, listener: socket.socket, token: str) -> None:
        self._listener = listener
        self._token = token
        self._pending = threading.Semaphore(MAX_PENDING)
        self._turn = threading.Condition()
        self._line: List[Lease] = []  # the first one holds the device, the others wait in order

    def serve(self) -> None:
        """Accept connections until the listening socket is closed."""
        while True:
            try:
                connection, (host, port, *_) = self._listener.accept()
            except OSError:
                return
            peer = f"{host}:{port}"
            if not self._pending.acquire(blocking=False):
                log(f"{peer}: too many connections that do not authenticate; closed")
                connection.close()
                continue
            threading.Thread(target=self._admit, args=(connection, peer), daemon=True).start()

    def _admit(self, connection: socket.socket, peer: str) -> None:
        try:
            tune(connection)
            try:
                request = authenticate_client(connection, self._token, HANDSHAKE_SECONDS)
            finally:
                self._pending.release()
            if request["purpose"] == "stream":
                self._pass_on(connection, str(request.get("session")))
            else:
                self._run_session(connection, Lease(request, peer))
        except (HandshakeError, Refused) as error:
            log(f"{peer}: {error}")
        except OSError as error:
            log(f"{peer}: the connection broke: {error}")
        finally:
            connection.close()

    def _pass_on(self, connection: socket.socket, identity: str) -> None:
        with self._turn:
            lease = self._line[0] if self._line else None
            if lease is None or lease.passing is None or not secrets.compare_digest(lease.identity, identity):
                _tell(connection, {"error": "that session is not running any more"})
                return
            _tell(connection, {"state": "granted"})
            send_socket(lease.passing, connection)

    def _run_session(self, connection: socket.socket, lease: Lease) -> None:
        if not self._wait_for_turn(connection, lease):
            return
        try:
            _tell(connection, {"state": "granted", "session": lease.identity})
            log(f"session of {lease.holder} begins")
            status = self._session_process(connection, lease)
            log(f"session of {lease.holder} ended ({status})")
        finally:
            self._leave(lease)

    def _wait_for_turn(self, connection: socket.socket, lease: Lease) -> bool:
        """Wait in line, telling the host for whom; False when the host gave up meanwhile."""
        with self._turn:
            self._line.append(lease)
            while self._line[0] is not lease:
                holder = self._line[0]
                waiting = {"state": "waiting", "holder": holder.holder, "since": holder.since}
                try:
                    _tell(connection, dict(waiting, ahead=self._line.index(lease)))
                except OSError:
                    self._leave(lease)
                    return False
                self._turn.wait(1.0)
            return True

    def _leave(self, lease: Lease) -> None:
        with self._turn:
            self._line.remove(lease)
            self._turn.notify_all()

    def _session_process(self, connection: socket.socket, lease: Lease) -> int:
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(connection.fileno()), str(theirs.fileno())],
                pass_fds=[connection.fileno(), theirs.fileno()],
                stdin=subprocess.DEVNULL,
                cwd="/",
            )
            theirs.close()
            lease.passing = ours
            # The process alone holds the connection now, so that its end is the connection's end.
            connection.close()
            return process.wait()
        finally:
            lease.passing = None
            ours.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises
    ------
    OSError
        If the address is in use or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(128)
    return listener


def log(message: str) -> None:
    """Write one line with the time to stderr."""
    sys.stderr.write("{} {}\n".format(time.strftime("%Y-%m-%d %H:%M:%S"), message))
    sys.stderr.flush()


def _tell(connection: socket.socket, message: Dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def read_token(path: str) -> Tuple[str, bool]:
    """Return the token in a file; where there is no such file, make one, readable by its owner alone.

    Returns
    -------
    tuple of str and bool
        The token, and whether it is new.

    Raises
    ------
    PermissionError
        If others may read the file.
    ValueError
        If the file holds no token of at least 16 characters.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        token = secrets.token_urlsafe(32)
        with os.fdopen(descriptor, "w") as file:
            file.write(token + "\n")
        return token, True
    if os.stat(path).st_mode & 0o077:
        raise PermissionError(f"{path} can be read by others: chmod 600 {path}")
    with open(path) as file:
        token = file.read().strip()
    if len(token) < 16:
        raise ValueError(f"{path} holds no token: it must have at least 16 characters")
    return token, False
