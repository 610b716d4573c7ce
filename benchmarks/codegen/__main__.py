"""Compare our code with hand-written code: ``python -m benchmarks.codegen``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path


def main() -> None:
    """Print the table that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codegen", description=__doc__)
    parser.add_argument("--rounds", type=int, default=301, help="batches of 0.2 ms for each side of each comparison")
    parser.add_argument("-k", default="", metavar="NAME", help="only comparisons with this in their name")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        from .native import compare_all

        compare_all(Path(folder), options.rounds, options.k)


if __name__ == "__main__":
    main()
