"""Which of a run's reports belong together, and which of them are of a part of a test alone."""

from __future__ import annotations

import pytest


def execution(report: pytest.TestReport) -> tuple[str, str]:
    """Return what a report shares with the others of one execution of a test: the test's id, and a worker's.

    The latter is empty but with ``--dist each``, where every worker of xdist runs every test. Elsewhere a test that
    one worker crashed in may be run again by another.
    """
    node = getattr(report, "node", None)
    if node is None or node.config.getoption("dist") != "each":
        return report.nodeid, ""
    return report.nodeid, str(node.gateway.id)


def is_of_a_subtest(report: pytest.TestReport) -> bool:
    """Return whether a report is of a subtest, whose time is part of its test's."""
    return hasattr(report, "context")
