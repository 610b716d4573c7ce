"""Print every figure as a table: ``python -m benchmarks``.

Machines are shared and noisy, so each figure that has a peer is a ratio taken in the same run, and medians of many
short samples are used throughout.
"""

from __future__ import annotations

import contextlib
import tempfile

from pytest_xdevice.compile import Compiler

from .cold import cold_figure
from .compiling import compile_figures
from .distance import distance_figures
from .drawing import drawing_figure
from .figures import print_table
from .launches import launch_figures
from .launches import warm_figure
from .sessions import loopback_session
from .startup import startup_figure
from .threads import thread_figures
from .timing_loop import code_figures
from .transfers import throughput_figures


def main() -> None:
    """Take and print all figures."""
    with tempfile.TemporaryDirectory() as cache, contextlib.closing(Compiler(cache)) as compiler:
        with loopback_session(compiler) as session:
            figures = [warm_figure(session), cold_figure(session), *throughput_figures(session)]
        figures.append(drawing_figure(compiler))
        figures += [*launch_figures(compiler), *distance_figures(compiler), *code_figures(compiler)]
        figures += [*compile_figures(compiler), *thread_figures(compiler), startup_figure()]
    print_table(figures)


if __name__ == "__main__":
    main()
