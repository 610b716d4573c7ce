"""The device server: listens, authenticates both sides, leases the device to one session at a time.

It reads nothing but the handshake. A granted connection goes to a session process of its own, which execnet
bootstraps from the host; further connections of the same host, proven with the same token, become streams of it.
"""

from __future__ import annotations

import json
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
from typing import TYPE_CHECKING

from .admission import Admission
from .admission import is_worth_a_line
from .handover import send_socket
from .handshake import authenticate_client
from .handshake import HandshakeError
from .handshake import PLAIN
from .handshake import printable
from .handshake import Refused
from .tcp_options import tune

if TYPE_CHECKING:
    from ssl import SSLContext  # not every device's Python has it

HANDSHAKE_SECONDS = 10.0
_PAUSE = 0.1  # seconds
_LOOK_SECONDS = 1.0
_END_SECONDS = 2.0  # that a session which was told to end may take
_TELL_SECONDS = 5.0  # that a host which waits may take to hear of it
_NAMED = 16  # of those who wait: they are to fit in a line

# The session process: a socket, and execnet's one line of source, behind which its messages may have come already.
_BOOT = """
import ast, ctypes, socket, sys
ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM: no session outlives its server
clientsock = socket.socket(fileno=int(sys.argv[1]))
xdevice_passed = int(sys.argv[2])
line = bytearray()
while not line.endswith(b"\\n"):
    seen = clientsock.recv(65536, socket.MSG_PEEK)
    if not seen:
        sys.exit(0)
    line += clientsock.recv(seen.find(b"\\n") + 1 or len(seen))
exec(ast.literal_eval(line.decode()))
"""


class Lease:
    """One session's hold on the device."""

    def __init__(self, request: Dict[str, Any], peer: str) -> None:
        self.identity = secrets.token_hex(16)
        self.holder = "{} from {}".format(printable(str(request.get("client", "someone")))[:80], peer)
        self.since = time.monotonic()
        self.passing: Optional[socket.socket] = None
        self.applicant = str(request.get("identity") or "")
        self.waits = bool(request.get("wait", True))
        self._process: Optional[subprocess.Popen[bytes]] = None
        self._is_over = False

    def run(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the session's process and return its exit status."""
        self._process = process
        if self._is_over:
            process.kill()
        return process.wait()

    def end(self) -> None:
        """End the session: it cleans up, unless it is stuck."""
        self._is_over = True
        if self._process is not None:
            self._process.terminate()
            last = threading.Timer(_END_SECONDS, self._process.kill)
            last.daemon = True
            last.start()


class Server:
    """Serves one device on one listening socket.

    Parameters
    ----------
    listener : socket
        Bound and listening.
    token : str
        The shared secret.
    tls : SSLContext, optional
        Speak TLS, and nothing else.
    channel : str
        The fingerprint of that context's certificate.
    """

    def __init__(
        self, listener: socket.socket, token: str, tls: Optional[SSLContext] = None, channel: str = PLAIN
    ) -> None:
        self._listener = listener
        self._token = token
        self._tls = tls
        self._channel = channel
        self._admission = Admission()
        self._turn = threading.Condition()
        self._line: List[Lease] = []  # the first one holds the device, the others wait in order

    def serve(self) -> None:
        """Accept connections until the listening socket is closed."""
        # A signal that comes when `accept` is about to wait does not interrupt it: it is seen after this time at most.
        self._listener.settimeout(_LOOK_SECONDS)
        while True:
            try:
                connection, (host, port, *_) = self._listener.accept()
            except socket.timeout:
                continue
            except OSError as error:
                if self._listener.fileno() < 0:
                    return
                log(f"cannot accept a connection: {error}")
                time.sleep(_PAUSE)  # out of descriptors, most likely: those of strangers are closed in time
                continue
            peer = f"{host}:{port}"
            obstacle = self._admission.enter(host)
            if obstacle:
                self._log_failure(host, f"{peer}: {obstacle}; closed")
                connection.close()
                continue
            try:
                threading.Thread(target=self._admit, args=(connection, host, peer), daemon=True).start()
            except RuntimeError as error:
                log(f"{peer}: {error}; closed")
                self._admission.leave(host)
                connection.close()

    def _admit(self, connection: socket.socket, host: str, peer: str) -> None:
        try:
            try:
                tune(connection)
                connection, request = self._authenticate(connection, host)
            finally:
                self._admission.leave(host)
            self._admission.succeeded(host)
        except (HandshakeError, Refused, OSError) as error:
            self._log_failure(host, f"{peer}: {error}")
            connection.close()
            return
        try:
            if request["purpose"] == "stream":
                self._pass_on(connection, str(request.get("session")))
            elif request["purpose"] == "who":
                _tell(connection, self._occupancy())
            elif request["purpose"] == "release":
                _tell(connection, {"released": self._release(peer)})
            else:
                self._run_session(connection, Lease(request, peer))
        except OSError as error:
            log(f"{peer}: the connection broke: {error}")
        finally:
            connection.close()

    def _authenticate(self, connection: socket.socket, host: str) -> Tuple[socket.socket, Dict[str, Any]]:
        """Return the connection to speak over, which with TLS is another socket, and what its proven owner asks for."""
        if self._tls is not None:
            from . import tls

            connection = tls.accept(connection, self._tls, HANDSHAKE_SECONDS)
        try:
            request = authenticate_client(
                connection, self._token, HANDSHAKE_SECONDS, self._channel, lambda: self._admission.hold(host)
            )
        except BaseException:
            connection.close()
            raise
        return connection, request

    def _log_failure(self, host: str, message: str) -> None:
        count = self._admission.failed(host)
        if is_worth_a_line(count):
            log(message if count <= 5 else f"{message} ({count} failures in a row)")

    def _pass_on(self, connection: socket.socket, identity: str) -> None:
        with self._turn:
            lease = self._line[0] if self._line else None
            if lease is None or lease.passing is None or not _same(lease.identity, identity):
                _tell(connection, {"error": "that session is not running any more"})
                return
            _tell(connection, {"state": "granted"})
            send_socket(lease.passing, connection)

    def _run_session(self, connection: socket.socket, lease: Lease) -> None:
        if not self._wait_for_turn(connection, lease):
            return
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                lease.passing = ours  # before the host is told, which opens its first stream at once
                _tell(connection, {"state": "granted", "session": lease.identity})
                log(f"session of {lease.holder} begins")
                status = _session_process(connection, theirs, lease)
                log(f"session of {lease.holder} ended ({status})")
            finally:
                lease.passing = None
                self._leave(lease)

    def _occupancy(self) -> Dict[str, Any]:
        with self._turn:
            line = list(self._line)
        if not line:
            return {"holder": None, "held": 0.0, "waiting": []}
        waiting = [lease.holder for lease in line[1 : 1 + _NAMED]]
        return {"holder": line[0].holder, "held": time.monotonic() - line[0].since, "waiting": waiting}

    def _release(self, peer: str) -> Optional[str]:
        """End the session that holds the device; return whose it was."""
        with self._turn:
            if not self._line:
                return None
            lease = self._line[0]
            lease.end()
        log(f"session of {lease.holder} is ended, as {peer} wants it")
        return lease.holder

    def _wait_for_turn(self, connection: socket.socket, lease: Lease) -> bool:
        """Wait in line, telling the host for whom; False when it does not want to, or gave up meanwhile."""
        connection.settimeout(_TELL_SECONDS)
        with self._turn:
            for earlier in self._line:
                if lease.applicant and earlier.applicant == lease.applicant:
                    earlier.end()  # its host lost the connection, which this end may not know yet
            occupancy = self._occupancy()
            is_free = occupancy["holder"] is None
            if is_free or lease.waits:
                self._line.append(lease)
        if not is_free and not lease.waits:
            _tell(connection, dict(occupancy, waiting=[], state="busy"))
            return False
        while True:
            with self._turn:
                ahead = self._line.index(lease)
                if not ahead:
                    break
            try:  # whoever waits and does not listen holds up nobody else
                _tell(connection, dict(self._occupancy(), waiting=[], state="waiting", ahead=ahead))
            except OSError:
                self._leave(lease)
                return False
            with self._turn:
                if self._line.index(lease) == ahead:
                    self._turn.wait(1.0)
        connection.settimeout(None)
        lease.since = time.monotonic()
        return True

    def _leave(self, lease: Lease) -> None:
        with self._turn:
            self._line.remove(lease)
            self._turn.notify_all()


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


def _session_process(connection: socket.socket, streams: socket.socket, lease: Lease) -> int:
    """Have a process serve a session until it ends, and return its exit status; both sockets become its own."""
    process = subprocess.Popen(
        # Without a look for packages, of which a session needs none: a third of Python's start.
        [sys.executable, "-S", "-c", _BOOT, str(connection.fileno()), str(streams.fileno())],
        pass_fds=[connection.fileno(), streams.fileno()],
        stdin=subprocess.DEVNULL,
        cwd="/",
    )
    # The process alone holds the connection now, so that its end is the connection's end.
    connection.close()
    streams.close()
    return lease.run(process)


def _same(left: str, right: str) -> bool:
    """Compare in constant time; what a host sends may be any text."""
    return secrets.compare_digest(left.encode(errors="replace"), right.encode(errors="replace"))


def _tell(connection: socket.socket, message: Dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")
