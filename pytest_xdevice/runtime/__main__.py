"""The device server's command line: ``python3 -m pytest_xdevice.runtime --host 0.0.0.0 --port 9090``."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import Any
from typing import List
from typing import Optional

from .handshake import new_token
from .server import listen
from .server import log
from .server import read_token
from .server import Server


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    result = argparse.ArgumentParser(
        prog="xdevice serve",
        description="Serve this device to pytest-xdevice.",
        epilog="example: xdevice serve --host 0.0.0.0 --port 9090 --token-file ~/.xdevice-token",
    )
    result.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    result.add_argument("--port", type=int, default=9090, help="port to listen on, 0 for any (default: %(default)s)")
    result.add_argument(
        "--token-file",
        metavar="FILE",
        help="file with the token that hosts must know; made if it does not exist (default: a new token, printed)",
    )
    return result


def main(arguments: Optional[List[str]] = None) -> int:
    """Serve until interrupted.

    Returns
    -------
    int
        0 after SIGINT or SIGTERM, 1 when the address or the token cannot be had.
    """
    options = parser().parse_args(arguments)
    try:
        token, shown = (read_token(options.token_file)) if options.token_file else (new_token(), True)
        listener = listen(options.host, options.port)
    except (OSError, ValueError, OverflowError) as error:
        sys.stderr.write(f"xdevice serve: cannot serve on {options.host}:{options.port}: {error}\n")
        return 1
    # Before the line that says so: whoever reads it may end the server at once.
    signal.signal(signal.SIGTERM, _leave)
    try:
        _announce(options, listener.getsockname()[1], token if shown else None)
        Server(listener, token).serve()
    except KeyboardInterrupt:
        log("interrupted")
    return 0


def _announce(options: argparse.Namespace, port: int, token: Optional[str]) -> None:
    print(f"bind to {options.host}:{port}", flush=True)
    if token is not None:
        where = f"in {options.token_file}" if options.token_file else "for this run"
        print(f"token {where}: {token}", flush=True)
        print(f"on the host: XDEVICE_TOKEN={token} pytest --xdevice=HOST:{port}", flush=True)


def _leave(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
