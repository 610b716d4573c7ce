"""The device server's command line: ``python3 -m pytest_xdevice.runtime --host 0.0.0.0 --port 9090``."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from typing import Any
from typing import List
from typing import Optional
from typing import Tuple
from typing import TYPE_CHECKING

from .admission import is_loopback
from .handshake import PLAIN
from .server import listen
from .server import log
from .server import Server
from .tokens import new_token
from .tokens import NONE_NEEDED
from .tokens import read_or_make_token

if TYPE_CHECKING:
    from ssl import SSLContext


def parser(program: str = "xdevice serve") -> argparse.ArgumentParser:
    """Return the command line's parser; `program` is what was called, which a device alone has another name for."""
    result = argparse.ArgumentParser(
        prog=program,
        description="Serve this device to pytest-xdevice.",
        epilog=f"example: {program} --host 0.0.0.0 --port 9090 --token-file token",
    )
    result.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    result.add_argument("--port", type=int, default=9090, help="port to listen on, 0 for any (default: %(default)s)")
    result.add_argument(
        "--token-file",
        metavar="FILE",
        help="file with the token that hosts must know; made if it does not exist (default: a new token, printed)",
    )
    result.add_argument(
        "--tls-cert",
        metavar="FILE",
        help="speak TLS with this certificate, in PEM; its fingerprint is printed, for hosts to know the server by",
    )
    result.add_argument("--tls-key", metavar="FILE", help="the certificate's private key (default: in the same file)")
    result.add_argument(
        "--insecure",
        action="store_true",
        help="ask for no token: whoever is on this machine may run code as you. Only on a loopback address",
    )
    return result


def main(arguments: Optional[List[str]] = None, program: str = "xdevice serve") -> int:
    """Serve until interrupted.

    Parameters
    ----------
    arguments : list of str, optional
        Those of the process by default.
    program : str
        What was called, for messages.

    Returns
    -------
    int
        0 after SIGINT or SIGTERM, 1 when the address, the token or the certificate cannot be had.
    """
    given = parser(program)
    options = given.parse_args(arguments)
    if options.insecure and options.token_file:
        given.error("--insecure asks for no token, --token-file for one: give one of them")
    if options.tls_key and not options.tls_cert:
        given.error("--tls-key needs --tls-cert")
    try:
        listener = listen(options.host, options.port)
    except (OSError, OverflowError) as error:
        return _complain(f"{program}: cannot serve on {options.host}:{options.port}: {error}")
    try:
        token, lines = _token(options, listener)
        tls, channel = _tls(options)
    except (OSError, ValueError) as error:
        return _complain(f"{program}: cannot serve on {options.host}:{options.port}: {error}")
    # Before the line that says so: whoever reads it may end the server at once.
    signal.signal(signal.SIGTERM, _leave)
    try:
        print(f"bind to {options.host}:{listener.getsockname()[1]}", flush=True)
        if tls is not None:
            lines.append(f"certificate: give hosts --xdevice-tls-fingerprint {channel}")
        for line in lines:
            print(line, flush=True)
        Server(listener, token, tls, channel).serve()
    except KeyboardInterrupt:
        log("interrupted")
    return 0


def _token(options: argparse.Namespace, listener: socket.socket) -> Tuple[str, List[str]]:
    """Return the token, and what to print on it: a token is shown only where it is nowhere else."""
    address, port = listener.getsockname()[:2]
    if options.insecure:
        if not is_loopback(address):
            raise ValueError(
                "--insecure is for loopback alone, such as --host 127.0.0.1: "
                "without it the server makes a token, or takes one from --token-file"
            )
        return NONE_NEEDED, [
            "insecure: whoever is on this machine may run code here",
            f"on the host: pytest --xdevice=HOST:{port} --xdevice-insecure",
        ]
    if options.token_file:
        token, is_new = read_or_make_token(options.token_file)
        made = ", made just now: copy it to the hosts" if is_new else ""
        return token, [f"token in {options.token_file}{made}"]
    token = new_token()
    show = str(token)
    return token, [f"token for this run: {show}", f"on the host: XDEVICE_TOKEN={show} pytest --xdevice=HOST:{port}"]


def _tls(options: argparse.Namespace) -> Tuple[Optional[SSLContext], str]:
    """Return the context to speak TLS with, or None, and the channel's name in the handshake."""
    if not options.tls_cert:
        return None, PLAIN
    try:
        from . import tls
    except ImportError as error:
        raise OSError(f"this Python cannot speak TLS: {error}") from None
    return tls.server_context(options.tls_cert, options.tls_key), tls.certificate_fingerprint(options.tls_cert)


def _complain(message: str) -> int:
    sys.stderr.write(f"{message}\n")
    return 1


def _leave(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(program="python3 -m pytest_xdevice.runtime"))
