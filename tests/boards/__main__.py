"""The boards' command line: ``python -m tests.boards --help``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from tests.boards.architecture import ARCHITECTURES
from tests.boards.board import Board
from tests.boards.board import board_spec
from tests.boards.board import Boards
from tests.boards.errors import BoardError
from tests.boards.layout import ROOT_VARIABLE


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser(
        prog="python -m tests.boards",
        description="Emulated boards for the tests: Debian of another architecture, each at its own address. Root.",
        epilog=f"Files are kept below ${ROOT_VARIABLE}, or the user's cache directory.",
    )
    commands = top.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a board and wait until ssh answers")
    up.add_argument("name")
    up.add_argument("--arch", choices=list(ARCHITECTURES), default="arm64")
    up.add_argument("--cpu", help="processor to emulate, as QEMU calls it (default: cortex-a53, cortex-a7 or rv64)")
    up.add_argument("--address", help="IPv4 address (default: the next free one)")
    up.add_argument("--opencl", action="store_true", help="with NumPy, pyopencl and PoCL: an OpenCL device on its CPU")
    down = commands.add_parser("down", help="end a board and all that runs on it")
    down.add_argument("name", help="`all` for every board")
    commands.add_parser("list", help="print each board: name, architecture, processor, address, up or down")
    config = commands.add_parser("ssh-config", help="print a configuration for `ssh -F`")
    config.add_argument("name")
    execute = commands.add_parser("exec", help="run a command on a board's console")
    execute.add_argument("name")
    execute.add_argument("argv", nargs=argparse.REMAINDER, metavar="command")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says.

    Returns
    -------
    int
        The exit status: 1 when a board could not be had, with the reason on standard error.
    """
    options = parser().parse_args(argv)
    try:
        perform(options, Boards())
    except BoardError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def perform(options: argparse.Namespace, boards: Boards) -> None:
    """Carry out one parsed command."""
    if options.command == "up":
        spec = board_spec(options.name, options.arch, cpu=options.cpu, address=options.address, opencl=options.opencl)
        print(describe(boards.up(spec)))
    elif options.command == "down":
        if options.name == "all":
            boards.down_all()
        else:
            boards.down(options.name)
    elif options.command == "list":
        for board in boards.list():
            print(describe(board))
    elif options.command == "ssh-config":
        print(boards.get(options.name).ssh_config.read_text(), end="")
    else:
        command = boards.get(options.name).command(*(options.argv or ["/bin/bash", "-l"]))
        os.execvp(command[0], command)


def describe(board: Board) -> str:
    """Return a board's line in the list."""
    return f"{board.name}\t{board.arch}\t{board.cpu}\t{board.address}\t{'up' if board.alive else 'down'}"


if __name__ == "__main__":
    sys.exit(main())
