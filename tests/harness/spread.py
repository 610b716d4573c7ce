"""Spread a run of everything over workers of pytest-xdist, a file of tests to each; a part of it stays in one process.

Many tests wait, for a silent peer or for a pytest that they start; another one has the processor then.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

# How the ids of tests begin that take longest. With these first, the run does not end with one worker busy and the
# others without work.
FIRST: Final = (
    "tests/boards/test_on_boards.py",
    "tests/faults/",
    "tests/docs/",
    "tests/packaging/",
    "tests/boards/",
)


def spread(config: pytest.Config) -> None:
    """Have a worker for each processor, where all tests are to run and nothing is said of workers.

    Parameters
    ----------
    config : pytest.Config
        The run's configuration; its options are changed.
    """
    option = config.option
    is_worker = hasattr(config, "workerinput")
    if is_worker or not config.pluginmanager.hasplugin("xdist") or option.numprocesses is not None or option.tx:
        return
    is_watched = option.usepdb or option.trace or option.capture == "no"
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS and not is_watched:
        option.numprocesses = len(os.sched_getaffinity(0))
        option.dist = "loadfile"  # what a module's tests share is made once
        option.loadscopereorder = False


def put_longest_first(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order the tests of a worker, which is how files are handed out."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: _rank(item.nodeid))


def forget_worker(config: pytest.Config) -> None:
    """Take from a worker's environment that it is one: the runs of pytest that tests start are none.

    pytest-benchmark measures nothing in a process that has such a variable.
    """
    if hasattr(config, "workerinput"):
        for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
            del os.environ[name]


def _rank(name: str) -> int:
    return next((rank for rank, beginning in enumerate(FIRST) if name.startswith(beginning)), len(FIRST))
