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
    parser.add_argument("--opencl", nargs="?", const="", metavar="DEVICE", help="against OpenCL C, on this device")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of --opencl there too")
    parser.add_argument("--vectors", action="store_true", help="count vector instructions for other processors")
    options = parser.parse_args()
    if options.opencl is not None:
        from .on_opencl import compare_all as compare_opencl

        compare_opencl(options.opencl, options.k, options.rounds, options.json)
        return
    with tempfile.TemporaryDirectory() as folder:
        if options.vectors:
            from .vectors import compare_all as compare_vectors

            compare_vectors(Path(folder), options.k)
        else:
            from .native import compare_all

            compare_all(Path(folder), options.rounds, options.k)


if __name__ == "__main__":
    main()
