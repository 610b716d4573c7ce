"""Options of this project's own test run; fixtures are in ``tests/conftest.py``."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import HealthCheck
from hypothesis import settings

from tests.harness.requirement import everything_is_required
from tests.harness.requirement import OPTION
from tests.harness.requirement import VARIABLE
from tests.harness.spread import forget_worker
from tests.harness.spread import put_longest_first
from tests.harness.spread import spread

pytest_plugins = ["pytester"]

# A slow machine is no failure of a property. With ``--hypothesis-profile=anew`` each run draws something else.
settings.register_profile("anew", deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("again", settings.get_profile("anew"), derandomize=True, database=None)
settings.load_profile("again")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that turns skips into failures, and the one that draws more kernels."""
    parser.addoption(
        OPTION,
        action="store_true",
        help=f"fail what would be skipped because this machine lacks something (env: {VARIABLE}=1); CI uses it",
    )
    parser.addoption(
        "--drawn-kernels",
        type=int,
        metavar="N",
        help="draw N random kernels, new ones each time, in tests/device/test_drawn_kernels.py",
    )


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist's own, which starts workers
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Spread a run of everything over the processors."""
    spread(config)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Let the runs that tests start be runs of their own."""
    forget_worker(session.config)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, where the run is spread."""
    put_longest_first(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one where everything is required."""
    report = yield
    if everything_is_required(item.config):
        _require(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a module that skips itself into a failed one where everything is required."""
    report = yield
    if everything_is_required(collector.config):
        _require(report)
    return report


def _require(report: pytest.TestReport | pytest.CollectReport) -> None:
    # A test that is expected to fail reports as skipped, too.
    if report.skipped and not hasattr(report, "wasxfail"):
        path, line, reason = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{OPTION}: {path}:{line}: {reason}"
