"""Skip what this machine cannot run, with the reason; or, where everything is required, fail with it."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

OPTION = "--require-everything"
VARIABLE = "XDEVICE_REQUIRE_ALL"


def everything_is_required(config: pytest.Config) -> bool:
    """Return whether nothing may be skipped in this run."""
    return bool(config.getoption(OPTION)) or os.environ.get(VARIABLE) == "1"


def unavailable(config: pytest.Config, reason: str) -> NoReturn:
    """Skip the test for a reason that names what is missing, or fail it where everything is required.

    Parameters
    ----------
    config : pytest.Config
        The run's configuration.
    reason : str
        What this machine lacks, and how it could be had.
    """
    if everything_is_required(config):
        pytest.fail(f"{OPTION}: {reason}", pytrace=False)
    pytest.skip(reason)
