"""Run the plugin's device server on an emulated board, from the one-file bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.boards.board import Board
from tests.boards.processes import still_running
from tests.harness.server import DeviceServer
from tests.harness.server import write_token
from tests.harness.service import Service

BUNDLE = "/root/xdevice-runtime.pyz"
TOKEN = "/root/xdevice-token"
PORT = 9090


@contextlib.contextmanager
def device_server(board: Board, bundle: Path, directory: Path) -> Iterator[DeviceServer]:
    """Have a device server on a board for as long as the block runs.

    Parameters
    ----------
    board : Board
        The board.
    bundle : Path
        The one-file runtime, on this machine.
    directory : Path
        Where this machine's copy of the server's token goes.
    """
    token_file = write_token(directory / "token")
    board.write(BUNDLE, bundle.read_bytes())
    board.write(TOKEN, token_file.read_bytes())
    board.run("chmod", "600", TOKEN)
    serve = ["python3", BUNDLE, "--host", "0.0.0.0", "--port", str(PORT), "--token-file", TOKEN]
    # The console's process on this machine only waits for the one on the board, whose id is told by the shell.
    with Service(board.command("/bin/sh", "-c", 'echo "pid $$"; exec "$@"', "sh", *serve)) as service:
        pid = service.await_line("pid ").split()[1]
        try:
            service.await_line(f"bind to 0.0.0.0:{PORT}")
            yield DeviceServer(f"{board.address}:{PORT}", token_file, service)
        finally:
            if service.process.poll() is None:
                board.run("kill", pid)
                still_running([service.process.pid])
            board.run("rm", "-f", BUNDLE, TOKEN)
