"""The distributions are built once a run, and so is the environment with the wheel."""

from __future__ import annotations

import pytest

from tests.packaging.distributions import build_distributions
from tests.packaging.distributions import Distributions
from tests.packaging.distributions import Environment
from tests.packaging.distributions import make_environment


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """Return the sdist and the wheel of this tree."""
    return build_distributions(tmp_path_factory.mktemp("distributions"))


@pytest.fixture(scope="session")
def with_wheel(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return an environment with the wheel, its dependencies and its extra for OpenCL."""
    return make_environment(
        tmp_path_factory.mktemp("wheel") / "env", f"pytest-xdevice[opencl] @ {distributions.wheel.as_uri()}"
    )


@pytest.fixture(scope="session")
def device_alone(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Return an environment with the wheel and nothing else, as a device may have it."""
    return make_environment(tmp_path_factory.mktemp("device") / "env", "--no-deps", str(distributions.wheel))
