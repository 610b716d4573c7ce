"""What the tests of the plugin share: runs of pytest that see no device but those that a test gives them."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import pytest

# pytester forgets the modules that a run within this process imports, and NumPy cannot be imported twice.
import pytest_xdevice.remote  # noqa: F401
from tests.harness.requirement import unavailable

ADD_ONE = """
import numpy as np
import pytest
from pytest_xdevice import In, Out, dim, f32, kernel, parallel

n = dim("n")

@kernel
def add_one(a: In[f32, n], b: Out[f32, n]):
    for i in parallel(n):
        b[i] = a[i] + 1.0

"""

# Two of them take most of a run's time: one imports hypothesis at the end, one collects garbage five times.
UNUSED_PLUGINS = ("cacheprovider", "benchmark", "hypothesispytest", "unraisableexception")


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory for compiled kernels that the tests' runs share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, cache_home: Path) -> pytest.Pytester:
    """Return a pytester whose runs see nothing of this machine's settings, and in which a warning is an error."""
    for name in ("XDEVICE", "XDEVICE_TOKEN", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_home))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join([*(f"-p no:{plugin}" for plugin in UNUSED_PLUGINS), "-W error"]))
    return pytester


@pytest.fixture
def add_one(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a pytester with the module ``kernels``, which defines the kernel ``add_one``."""
    pytester.makepyfile(kernels=ADD_ONE)
    pytester.syspathinsert()
    return pytester


@pytest.fixture
def closed_port() -> str:
    """Return the address of a port on loopback at which nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def pyopencl(request: pytest.FixtureRequest) -> None:
    """Skip the test where this machine's Python has no pyopencl, which is not imported here: a worker does that."""
    if importlib.util.find_spec("pyopencl") is None:
        unavailable(
            request.config, "pyopencl is not installed: python -m pip install pyopencl pocl-binary-distribution"
        )
